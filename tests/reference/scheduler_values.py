"""Timesteps and results of diffusers' schedulers, for tests/test_import.cpp.

Usage: python3 tests/reference/scheduler_values.py      writes tests/fixtures/schedulers.json
Recorded with torch 2.15.0 and diffusers 0.42.1. A case holds a scheduler's configuration as diffusers writes it, the
timesteps it visits, and what it makes of five pixels whose denoised images are known (sampler_values.denoise, with the
pixels' start and noise as there). Its tables are f32 in diffusers and made f64 here, from the same betas.
"""
import json
import pathlib

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm

from sampler_values import START, Noise, denoise

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "schedulers.json"


def in_double(scheduler):
    """The same tables without the rounding of f32 to f32 products."""
    c = scheduler.config
    t = torch.arange(c.num_train_timesteps, dtype=torch.float64)
    part = t / (c.num_train_timesteps - 1)
    if c.trained_betas is not None:
        betas = torch.tensor(c.trained_betas, dtype=torch.float64)
    elif c.beta_schedule == "linear":
        betas = c.beta_start + (c.beta_end - c.beta_start) * part
    elif c.beta_schedule == "scaled_linear":
        betas = (c.beta_start ** 0.5 + (c.beta_end ** 0.5 - c.beta_start ** 0.5) * part) ** 2
    else:
        betas = scheduler.betas.double()
    assert (betas - scheduler.betas.double()).abs().max() < 1e-7
    scheduler.betas, scheduler.alphas = betas, 1 - betas
    scheduler.alphas_cumprod = torch.cumprod(1 - betas, 0)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    if hasattr(scheduler, "final_alpha_cumprod"):
        scheduler.final_alpha_cumprod = scheduler.one if c.set_alpha_to_one else scheduler.alphas_cumprod[0]


def output(prediction, x, d, abar):
    """What the network would have to say for the denoised image d."""
    noise = (x - abar.sqrt() * d) / (1 - abar).sqrt()
    return {"epsilon": noise, "sample": d, "v_prediction": abar.sqrt() * noise - (1 - abar).sqrt() * d}[prediction]


def case(kind, steps, eta=None, **options):
    scheduler = kind(**options)
    configuration = json.loads(scheduler.to_json_string())
    in_double(scheduler)
    scheduler.set_timesteps(steps)
    (scheduling_ddim if kind is DDIMScheduler else scheduling_ddpm).randn_tensor = Noise()
    abar = scheduler.alphas_cumprod
    first = scheduler.timesteps[0]
    x = (START * ((1 - abar[first]) / abar[first]).sqrt() * abar[first].sqrt())[None]
    for t in scheduler.timesteps:
        d = denoise(x[0] / abar[t].sqrt(), ((1 - abar[t]) / abar[t]).sqrt())[None]
        extra = {} if eta is None else {"eta": eta}
        x = scheduler.step(output(scheduler.config.prediction_type, x, d, abar[t]), t, x, **extra).prev_sample
    return {"config": configuration, "steps": steps, "eta": eta, "timesteps": scheduler.timesteps.tolist(),
            "result": x.flatten().tolist()}


def main():
    cases = []
    for steps in (10, 50):
        for variance in ("fixed_small", "fixed_large"):
            cases.append(case(DDPMScheduler, steps, variance_type=variance, clip_sample=False))
        cases.append(case(DDPMScheduler, steps, clip_sample=True))
        for eta in (0.0, 0.5, 1.0):
            cases.append(case(DDIMScheduler, steps, eta, clip_sample=False))
        cases.append(case(DDIMScheduler, steps, 0.0, clip_sample=True))
        cases.append(case(DDIMScheduler, steps, 1.0, clip_sample=True))
    for first in (0, 1):
        cases.append(case(DDIMScheduler, 10, 0.0, clip_sample=False, set_alpha_to_one=False, steps_offset=first))
    for spacing in ("linspace", "trailing"):
        cases.append(case(DDPMScheduler, 7, timestep_spacing=spacing, clip_sample=False))
    cases.append(case(DDIMScheduler, 10, 0.0, timestep_spacing="trailing", clip_sample=False))
    for schedule in ("scaled_linear", "squaredcos_cap_v2", "sigmoid"):
        cases.append(case(DDPMScheduler, 10, beta_schedule=schedule, clip_sample=False))
    for prediction in ("sample", "v_prediction"):
        cases.append(case(DDPMScheduler, 10, prediction_type=prediction, clip_sample=False))
    betas = [float(b) for b in np.linspace(0.01, 0.3, 20)]
    cases.append(case(DDPMScheduler, 5, trained_betas=betas, num_train_timesteps=20, clip_sample=False))
    OUT.write_text(json.dumps({"cases": cases}, indent=None, separators=(",", ":")).replace('{"config"', '\n{"config"') + "\n")
    print(len(cases), "cases,", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
