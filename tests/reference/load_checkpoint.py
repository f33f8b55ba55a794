"""Loads an Ito checkpoint in diffusers and compares the two networks' outputs. Needs torch and diffusers.

    python tests/reference/load_checkpoint.py --checkpoint C --input x.npy --c-noise V
        draws x.npy if there is none, and says what to run next:
    ./inspect forward --checkpoint C --input x.npy --c-noise V --output y.npy
    python tests/reference/load_checkpoint.py --checkpoint C --input x.npy --c-noise V --output y.npy

C/unet holds config.json and diffusion_pytorch_model.safetensors; x and y are float32 [N, C, H, W]. Fails when
diffusers finds a tensor missing, unexpected or of another shape, or when max|y - F| > tolerance * max|F|,
with F(x; c_noise) computed by UNet2DModel in double.
"""

import argparse
import pathlib

import numpy as np
import torch
from diffusers import UNet2DModel

from unet_parity import bare_network


def load(checkpoint):
    model, found = UNet2DModel.from_pretrained(
        checkpoint, subfolder="unet", torch_dtype=torch.float64, low_cpu_mem_usage=False,
        use_safetensors=True, local_files_only=True, output_loading_info=True,
    )
    wrong = {what: names for what, names in found.items() if names}
    if wrong:
        raise SystemExit(f"{checkpoint}/unet does not fit UNet2DModel: {wrong}")
    return model.eval()


def draw_input(path, config):
    size = config.sample_size
    height, width = (size, size) if isinstance(size, int) else size
    shape = (3, config.in_channels, height, width)
    np.save(path, np.random.default_rng(0).standard_normal(shape, np.float32))


def compare(model, x, c_noise, y, tolerance):
    if y.dtype != np.float32 or y.shape != (x.shape[0], model.config.out_channels, *x.shape[2:]):
        raise SystemExit(f"output is {y.dtype} {y.shape}, for an input of {x.shape}")
    with torch.no_grad():
        levels = torch.full((x.shape[0],), c_noise, dtype=torch.float64)
        want = bare_network(model, torch.from_numpy(x).double(), levels).numpy()
    error, scale = np.abs(y - want).max(), np.abs(want).max()
    print(f"max|y - F| = {error:.2e}, max|F| = {scale:.3g}, ratio {error / scale:.2e}")
    if not error <= tolerance * scale:  # a NaN fails too
        raise SystemExit(f"the outputs differ by more than {tolerance:g}")


def main():
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=verbatim)
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--input", type=pathlib.Path, required=True)
    parser.add_argument("--c-noise", type=float, required=True)
    parser.add_argument("--output", type=pathlib.Path, help="what ./inspect forward wrote")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="relative to max|F|")
    options = parser.parse_args()

    model = load(options.checkpoint)
    print(f"loaded {sum(p.numel() for p in model.parameters()):,} parameters")
    if not options.input.exists():
        draw_input(options.input, model.config)
    if options.output is None:
        print(f"now run: ./inspect forward --checkpoint {options.checkpoint} --input {options.input}"
              f" --c-noise {options.c_noise} --output y.npy")
        return
    compare(model, np.load(options.input), options.c_noise, np.load(options.output), options.tolerance)


if __name__ == "__main__":
    main()
