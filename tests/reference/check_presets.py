"""Counts the parameters of tests/fixtures/presets.json in diffusers' UNet2DModel. Needs torch and diffusers.

Each preset there states UNet2DModel's keyword arguments ("config"), how many parameters learn ("trainable")
and how many are fixed: the Fourier frequencies time_proj.weight, which checkpoints store all the same.
"""

import json
import pathlib

import torch
from diffusers import UNet2DModel

PRESETS = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "presets.json"


def count(config):
    with torch.device("meta"):
        parameters = list(UNet2DModel(**config).parameters())
    trainable = sum(p.numel() for p in parameters if p.requires_grad)
    return trainable, sum(p.numel() for p in parameters) - trainable


def main():
    failures = 0
    for name, preset in json.loads(PRESETS.read_text()).items():
        trainable, fixed = count(preset["config"])
        right = (trainable, fixed) == (preset["trainable"], preset["fixed"])
        failures += not right
        print(f"{name}: {trainable:,} trainable, {fixed} fixed: {'as stated' if right else 'NOT as stated'}")
    raise SystemExit(failures != 0)


if __name__ == "__main__":
    main()
