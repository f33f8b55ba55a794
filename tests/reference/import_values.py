"""Images that diffusers draws with a small network, for tests/test_import.cpp.

Usage: python3 tests/reference/import_values.py      writes tests/fixtures/import.json
Recorded with torch 2.15.0 and diffusers 0.42.1, in double. Weights are those of parity_recipe.py; the first noise is
sqrt(3) parity_recipe.unit(INPUT_STREAM). Holds the network's configuration and names in the recipe's order, and for each
scheduler its configuration, steps and images [N,C,H,W]. DDPM's steps get the noise that Ito's sampler draws for the seeds 0
and 1 (kernels/base/philox.h), repeated here.
"""
import json
import pathlib

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from diffusers.schedulers import scheduling_ddpm

import parity_recipe
from unet_parity import TWO_LEVELS, build

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "import.json"
SHAPE, STEPS, SAMPLER_NOISE = (2, 3, 8, 8), 10, 9


def philox(counter, key):
    """Philox 4x32-10 (Salmon et al., 2011) of an array [4,n] of counters under one key of two words."""
    c = [word.astype(np.uint64) for word in counter]
    k, mask = [np.uint64(word) for word in key], np.uint64(0xFFFFFFFF)
    for _ in range(10):
        p0, p1 = np.uint64(0xD2511F53) * c[0], np.uint64(0xCD9E8D57) * c[2]
        c = [(p1 >> np.uint64(32)) ^ c[1] ^ k[0], p1 & mask, (p0 >> np.uint64(32)) ^ c[3] ^ k[1], p0 & mask]
        k = [(k[0] + np.uint64(0x9E3779B9)) & mask, (k[1] + np.uint64(0xBB67AE85)) & mask]
    return c


def sampler_noise(seed, step, shape):
    """N(0,1) numbers [C,H,W] of a step: element i of [H,W,C] is number i of the stream, four to a block."""
    channels, height, width = shape
    blocks = np.arange(channels * height * width // 4, dtype=np.uint32)
    words = philox([blocks, np.full_like(blocks, step), np.zeros_like(blocks), np.full_like(blocks, SAMPLER_NOISE)],
                   (seed & 0xFFFFFFFF, seed >> 32))
    u = [((word >> np.uint64(9)).astype(np.float64) + 0.5) / 8388608.0 for word in words]
    pairs = [(np.sqrt(-2 * np.log(a)) * np.cos(2 * np.pi * b), np.sqrt(-2 * np.log(a)) * np.sin(2 * np.pi * b))
             for a, b in ((u[0], u[1]), (u[2], u[3]))]
    return np.stack([*pairs[0], *pairs[1]], -1).reshape(height, width, channels).transpose(2, 0, 1)


class StepNoise:
    """In place of diffusers' random numbers: the noise of one step after another."""

    def __init__(self):
        self.step = 0

    def __call__(self, shape, **_):
        self.step += 1
        return torch.from_numpy(np.stack([sampler_noise(seed, self.step - 1, shape[1:]) for seed in range(shape[0])]))


def draw(model, scheduler):
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    if isinstance(scheduler, DDPMScheduler):
        scheduling_ddpm.randn_tensor = StepNoise()
        scheduler.one = scheduler.one.double()
    else:
        scheduler.final_alpha_cumprod = scheduler.final_alpha_cumprod.double()
    x = torch.from_numpy(parity_recipe.unit(parity_recipe.INPUT_STREAM, SHAPE) * np.sqrt(3.0))
    scheduler.set_timesteps(STEPS)
    with torch.no_grad():
        for t in scheduler.timesteps:
            x = scheduler.step(model(x, t).sample, t, x).prev_sample
    return [float(f"{v:.7g}") for v in x.flatten()]


def main():
    model = build(TWO_LEVELS, torch.float64)
    cases = []
    for scheduler in (DDIMScheduler(clip_sample=False), DDIMScheduler(clip_sample=True),
                      DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
                      DDPMScheduler(clip_sample=False), DDPMScheduler(clip_sample=True, variance_type="fixed_large")):
        config = json.loads(scheduler.to_json_string())
        cases.append({"config": config, "steps": STEPS, "images": draw(model, scheduler)})
    about = {"network": json.loads(model.to_json_string()), "parameters": [n for n, _ in model.named_parameters()],
             "cases": cases}
    OUT.write_text(json.dumps(about, separators=(",", ":")).replace('{"config"', '\n{"config"') + "\n")
    print(OUT.stat().st_size, "bytes", [np.abs(c["images"]).max() for c in cases])


if __name__ == "__main__":
    main()
