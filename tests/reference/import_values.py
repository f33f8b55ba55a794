"""Images that diffusers draws with a small network, for tests/test_import.cpp.

Usage: python3 tests/reference/import_values.py      writes tests/fixtures/import.json
Recorded with torch 2.15.0 and diffusers 0.42.1, in double. Weights are those of parity_recipe.py; the first noise is
sqrt(3) parity_recipe.unit(INPUT_STREAM). Holds the network's configuration and names in the recipe's order, and for each
scheduler its configuration, steps and images [N,C,H,W].
"""
import json
import pathlib

import numpy as np
import torch
from diffusers import DDIMScheduler

import parity_recipe
from unet_parity import TWO_LEVELS, build

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "import.json"
SHAPE, STEPS = (2, 3, 8, 8), 10


def draw(model, scheduler):
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
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
    for options in (dict(clip_sample=False), dict(clip_sample=True),
                    dict(clip_sample=False, set_alpha_to_one=False, steps_offset=1)):
        scheduler = DDIMScheduler(**options)
        config = json.loads(scheduler.to_json_string())
        cases.append({"config": config, "steps": STEPS, "images": draw(model, scheduler)})
    about = {"network": json.loads(model.to_json_string()), "parameters": [n for n, _ in model.named_parameters()],
             "cases": cases}
    OUT.write_text(json.dumps(about, separators=(",", ":")).replace('{"config"', '\n{"config"') + "\n")
    print(OUT.stat().st_size, "bytes", [np.abs(c["images"]).max() for c in cases])


if __name__ == "__main__":
    main()
