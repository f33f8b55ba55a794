"""Golden values of FID's Inception network: what the published programs themselves compute, in f64, with the
weights and images of feature_recipe.py.

    pip install torch torchvision pytorch-fid torch-fidelity clean-fid scipy pillow
    python3 tests/reference/inception_features.py tests/fixtures/metrics_inception.safetensors

"NAME": 64 numbers of a stage of pytorch-fid's network for two images of 64x64, at multiples of count / 64 of the
flattened [N,C,H,W]. "NAME.corner": its last 4 channels, in the second image, at pixels (0,0), (0,1), (1,0), (1,1),
(-1,-1), (-1,-2): the pool branch, whose divisor differs there. "input.MODE.HxW": also 64 numbers of the resized
images; "pool3.MODE.HxW": 64 features; "logits.MODE.HxW". Modes: pytorch-fid; tf1 by torch-fidelity; clean by clean-fid.
"""

import sys
import tempfile

import numpy as np
import torch
from cleanfid.resize import build_resizer
from pytorch_fid import inception as pytorch_fid
from safetensors.numpy import save_file
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

import feature_recipe

CORNERS = [(0, 0), (0, 1), (1, 0), (1, 1), (-1, -1), (-1, -2)]
SIZES = [(64, 64), (40, 400), (299, 299)]
golden = {}


def keep(name, tensor):
    flat = tensor.detach().reshape(-1).numpy()
    golden[name] = flat[np.arange(64) * (flat.size // 64)].astype(np.float32)


def published_network():
    """pytorch-fid's network and its wrapper, with the recipe's weights instead of a download."""
    networks = []

    def build(*args, **kwargs):
        networks.append(build_original(*args, **kwargs))
        return networks[-1]

    build_original, pytorch_fid._inception_v3 = pytorch_fid._inception_v3, build
    pytorch_fid.load_state_dict_from_url = lambda *_, **__: feature_recipe.state_dict(networks[-1])
    wrapper = pytorch_fid.InceptionV3([3])
    return networks[-1].double().eval(), wrapper.double().eval()


def main(path):
    network, wrapper = published_network()

    def see(name):
        def hook(_, __, y):
            keep(name, y)
            if name.startswith("Mixed"):
                golden[name + ".corner"] = np.stack([y[1, -4:, i, j].numpy() for i, j in CORNERS]).astype(np.float32)
        return hook

    def pixels(h, w):
        return torch.from_numpy(feature_recipe.images(2, h, w)).permute(0, 3, 1, 2)

    stages = dict(network.named_children())
    stages["MaxPool_1"], stages["MaxPool_2"] = wrapper.blocks[0][3], wrapper.blocks[1][2]
    hooks = [module.register_forward_hook(see(name)) for name, module in stages.items()]
    with torch.no_grad():
        wrapper((pixels(64, 64).float() / 255).double())  # as torchvision's ToTensor gives it
        for hook in hooks:
            hook.remove()
        inputs = []
        wrapper.blocks[0].register_forward_pre_hook(lambda _, x: inputs.append(x[0]))
        for h, w in SIZES:
            x = pixels(h, w)
            y = wrapper((x.float() / 255).double())[0].flatten(1)
            record("pytorch-fid", h, w, inputs[-1], y, y @ network.fc.weight.T)
        with tempfile.NamedTemporaryFile(suffix=".pth") as file:
            torch.save(feature_recipe.state_dict(network), file.name)
            fidelity = FeatureExtractorInceptionV3("inception", ["2048", "logits_unbiased"], file.name, "float64")
        fidelity.Conv2d_1a_3x3.register_forward_pre_hook(lambda _, x: inputs.append(x[0]))
        for h, w in SIZES:
            y, logits = fidelity(pixels(h, w))
            record("tf1", h, w, inputs[-1], y, logits)
        resize = build_resizer("clean")
        for h, w in SIZES:
            x = np.stack([resize(image) for image in feature_recipe.images(2, h, w)])
            x = (torch.from_numpy(x).permute(0, 3, 1, 2).double() - 128) / 128  # as clean-fid's wrapper scales
            for block in wrapper.blocks:
                y = block(y) if block is not wrapper.blocks[0] else block(x)
            y = y.flatten(1)
            record("clean", h, w, x, y, y @ network.fc.weight.T)
    for name in golden:
        print(f"{name:30} rms {np.sqrt(np.mean(golden[name]**2)):.4f}  deviation {golden[name].std():.4f}")
    save_file(golden, path)


def record(mode, h, w, x, y, logits):
    keep(f"input.{mode}.{h}x{w}", x)
    keep(f"pool3.{mode}.{h}x{w}", y)
    keep(f"logits.{mode}.{h}x{w}", logits)


if __name__ == "__main__":
    main(sys.argv[1])
