"""Outputs and gradients of diffusers' own UNet2DModel, for the tests of model/unet.

    python tests/reference/unet_parity.py           writes tests/fixtures/unet_<name>.safetensors
    python tests/reference/unet_parity.py --check   compares, and prints what float32 arithmetic costs

Needs torch, diffusers and safetensors. Weights, input x, noise level c_noise and output cotangent come from
parity_recipe.py, which C++ repeats bit for bit. With F(x; c_noise) the bare network and
L = sum(F * cotangent), each file holds, in float32, NCHW and OIHW:

    output          F
    grad.input      dL/dx
    grad.<name>     dL/d<name> of every trainable parameter

and one metadata entry "parity", JSON: recipe (its version), input_shape, parameters (all names in recipe
order, the fixed time_proj.weight among them) and config (what diffusers writes as config.json).

A Fourier network takes the logarithm of its timestep and divides by it, so
F = UNet2DModel(x, exp(c_noise)) * exp(c_noise). Where there are K classes, image i is of class (2 i + 1) mod K. Everything is computed in double and rounded at the end,
except the sinusoidal embedding, which diffusers computes in float32 (absolute error about 1e-7).
"""

import argparse
import json
import pathlib

import numpy as np
import torch
from diffusers import UNet2DModel
from safetensors.numpy import load_file, save_file

import parity_recipe

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"

TWO_LEVELS = dict(
    sample_size=8,
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "AttnDownBlock2D"),
    up_block_types=("AttnUpBlock2D", "UpBlock2D"),
    layers_per_block=1,
    attention_head_dim=None,
    norm_num_groups=4,
)
CASES = {
    "sinusoidal": ((2, 3, 8, 8), TWO_LEVELS),
    "fourier": ((2, 3, 8, 8), TWO_LEVELS | dict(time_embedding_type="fourier")),
    "heads": (
        (2, 3, 8, 16),
        dict(
            sample_size=(8, 16),
            block_out_channels=(8, 8, 16),
            down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
            layers_per_block=2,
            attention_head_dim=8,
            norm_num_groups=4,
        ),
    ),
    "ddpm": (
        (2, 3, 8, 8),
        TWO_LEVELS | dict(downsample_padding=0, flip_sin_to_cos=False, freq_shift=1, norm_eps=1e-6),
    ),
    "adm": (
        (2, 3, 8, 16),
        dict(
            sample_size=(8, 16),
            block_out_channels=(8, 8, 16),
            down_block_types=("ResnetDownsampleBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
            up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"),
            layers_per_block=1,
            attention_head_dim=4,
            norm_num_groups=4,
            attn_norm_num_groups=4,
            resnet_time_scale_shift="scale_shift",
            downsample_type="resnet",
            upsample_type="resnet",
            num_class_embeds=3,
        ),
    ),
}


def build(config, dtype):
    model = UNet2DModel(**config)
    with torch.no_grad():
        for position, (name, weight) in enumerate(model.named_parameters()):
            weight.copy_(torch.from_numpy(parity_recipe.parameter(position, name, tuple(weight.shape))))
    return torch.nn.Module.to(model, dtype)  # diffusers' override warns about layers that are not there


def bare_network(model, x, c_noise):
    """F(x; c_noise)."""
    classes = model.config.num_class_embeds
    labels = (2 * torch.arange(len(x)) + 1) % classes if classes else None
    if model.config.time_embedding_type != "fourier":
        return model(x, c_noise, class_labels=labels).sample
    timestep = c_noise.exp()
    return model(x, timestep).sample * timestep[:, None, None, None]


def evaluate(config, shape, dtype):
    model = build(config, dtype)
    x = torch.from_numpy(parity_recipe.input_image(shape)).to(dtype).requires_grad_()
    c_noise = torch.from_numpy(parity_recipe.noise_level(shape[0])).to(dtype)
    output = bare_network(model, x, c_noise)
    output.backward(torch.from_numpy(parity_recipe.cotangent(tuple(output.shape))).to(dtype))
    tensors = {"output": output.detach(), "grad.input": x.grad}
    tensors |= {f"grad.{name}": p.grad for name, p in model.named_parameters() if p.requires_grad}
    return model, {name: t.to(torch.float32).contiguous().numpy() for name, t in tensors.items()}


def describe(model, shape):
    return json.dumps(
        dict(
            recipe=parity_recipe.VERSION,
            input_shape=shape,
            parameters=[name for name, _ in model.named_parameters()],
            config=json.loads(model.to_json_string()),
        )
    )


def largest_error(got, want):
    """The largest over tensors of max|got - want| / max|want|, and that tensor's name.

    Key biases are left out: softmax does not see them, so their gradients are rounding around zero.
    """
    ratio = {
        name: np.abs(got[name] - want[name]).max() / np.abs(want[name]).max()
        for name in want
        if not name.endswith("to_k.bias")
    }
    worst = max(ratio, key=ratio.get)
    return ratio[worst], worst


def check(path, config, shape, tensors):
    stored = load_file(path)
    if stored.keys() != tensors.keys():
        raise SystemExit(f"{path}: tensors differ: {sorted(stored.keys() ^ tensors.keys())}")
    error, name = largest_error(tensors, stored)
    single_error, single_name = largest_error(evaluate(config, shape, torch.float32)[1], stored)
    print(f"{path.name}: double differs by {error:.1e} ({name})")
    print(f"{path.name}: float32 differs by {single_error:.1e} ({single_name})")
    if error > 1e-6:
        raise SystemExit(f"{path}: differs from this diffusers by more than 1e-6")


def main():
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=verbatim)
    parser.add_argument("--check", action="store_true", help="compare with the committed files")
    only_check = parser.parse_args().check
    for name, (shape, config) in CASES.items():
        path = FIXTURES / f"unet_{name}.safetensors"
        model, tensors = evaluate(config, shape, torch.float64)
        if only_check:
            check(path, config, shape, tensors)
            continue
        save_file(tensors, path, metadata={"parity": describe(model, shape)})
        print(f"{path.name}: {len(tensors)} tensors, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
