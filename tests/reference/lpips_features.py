"""Golden values of LPIPS v0.1 with AlexNet: what the published package computes, in f64, with the weights and images
of feature_recipe.py.

    pip install torch torchvision lpips scipy
    python3 tests/reference/lpips_features.py tests/fixtures/metrics_lpips.safetensors

"relu1" ... "relu5": 64 numbers of a layer for the first two images of 64x64, at multiples of count / 64 of the
flattened [N,C,H,W]. "distances.HxW": of images 0..2 from images 3..5; "layers.HxW": the five summands of each, [3,5].
"""

import sys

import lpips
import numpy as np
import torch
from safetensors.numpy import save_file

import feature_recipe

SIZES = [(64, 64), (31, 77)]


def alexnet_name(name):
    """net.slice2.3.weight is torchvision's features.3.weight."""
    return "features." + name.split(".", 2)[2] if name.startswith("net.slice") else name


def main(path):
    model = lpips.LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False)
    constants = {name: value for name, value in model.state_dict().items() if name.startswith("scaling")}
    shared = {n for n in model.state_dict() if n.startswith("lins.")}  # the heads under a second name
    state = feature_recipe.state_dict(model, alexnet_name) | constants
    for name in shared:
        state[name] = state["lin" + name[len("lins."):]]
    model.load_state_dict(state)
    model.double().eval()
    golden = {}
    with torch.no_grad():
        for h, w in SIZES:
            x = torch.from_numpy(feature_recipe.images(6, h, w)).permute(0, 3, 1, 2).double() / 127.5 - 1
            d, layers = model(x[:3], x[3:], retPerLayer=True)
            golden[f"distances.{h}x{w}"] = d.flatten().numpy()
            golden[f"layers.{h}x{w}"] = torch.stack([layer.flatten() for layer in layers], 1).numpy()
            if (h, w) == SIZES[0]:
                for i, y in enumerate(model.net(model.scaling_layer(x[:2]))):
                    flat = y.reshape(-1).numpy()
                    golden[f"relu{i + 1}"] = flat[np.arange(64) * (flat.size // 64)].astype(np.float32)
    for name in golden:
        print(f"{name:20} {golden[name].ravel()[:6]}")
    save_file(golden, path)


if __name__ == "__main__":
    main(sys.argv[1])
