"""Values of samplers from diffusers' schedulers and k-diffusion's functions, for tests/test_diffusion_orders.cpp.

Usage: python3 tests/reference/sampler_values.py      writes tests/fixtures/samplers.json
Recorded with torch 2.15.0, diffusers 0.42.1 and k-diffusion 0.1.1. Nothing of Ito's is used: the denoiser is that of the mixture
of three Gaussians below, which tests/plan_runs.h states again, on five pixels. All in float64; noise is
parity_recipe.unit(stream) times sqrt(3), stream 100 + step, so that a test can make it again.

A case holds the levels (sigma = s / a, without the final 0), what it started from (xbar = x / a), and the result.
"""
import json
import pathlib

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler
from diffusers.schedulers import scheduling_ddim, scheduling_ddpm

import parity_recipe

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "samplers.json"
START = torch.tensor([-1.3, -0.4, 0.05, 0.7, 1.9], dtype=torch.float64)
WEIGHT, CENTRE, STDDEV = (torch.tensor(v, dtype=torch.float64)[:, None]
                          for v in ([0.3, 0.5, 0.2], [-0.7, 0.1, 0.8], [0.1, 0.2, 0.05]))


def denoise(x, sigma):
    own = STDDEV ** 2
    variance = own + float(sigma) ** 2
    density = WEIGHT / variance.sqrt() * torch.exp(-0.5 * (x - CENTRE) ** 2 / variance)
    return (density * (CENTRE + own / variance * (x - CENTRE))).sum(0) / density.sum(0)


class Noise:
    """Draws stream 100, 101, ..."""

    def __init__(self):
        self.step = 0

    def __call__(self, *_, **__):
        values = parity_recipe.unit(100 + self.step, (5,)) * np.sqrt(3)
        self.step += 1
        return torch.tensor(np.asarray(values, dtype=np.float64))


def case(name, sigmas, result, **options):
    levels = [float(s) for s in sigmas if float(s) > 0]
    return {"name": name, "sigmas": levels, "start": (START * levels[0]).tolist(), "result": result.tolist(), **options}


def by_sigmas(name, scheduler, steps, **options):
    """DPM-Solver++ and UniPC, whose state is alpha (x_0 + sigma z) with alpha = 1 / sqrt(1 + sigma^2)."""
    scheduler.set_timesteps(steps)
    sigmas = scheduler.sigmas.double()
    scheduler.sigmas = sigmas
    alpha = 1 / (1 + sigmas ** 2).sqrt()
    x = (START * sigmas[0] * alpha[0])[None]
    for i, t in enumerate(scheduler.timesteps):
        d = denoise(x[0] / alpha[i], sigmas[i])[None]
        x = scheduler.step(d, t, x).prev_sample
    return case(name, sigmas, x.flatten(), **options)


def by_chain(name, scheduler, module, steps, **options):
    """DDIM and DDPM on the discrete chain of DDPM."""
    scheduler.set_timesteps(steps)
    scheduler.alphas_cumprod = scheduler.alphas_cumprod.double()
    scheduler.final_alpha_cumprod = torch.tensor(1.0, dtype=torch.float64)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    abar = scheduler.alphas_cumprod[scheduler.timesteps]
    sigmas = ((1 - abar) / abar).sqrt()
    x = (START * sigmas[0] * abar[0].sqrt())[None]
    module.randn_tensor = Noise()
    for i, t in enumerate(scheduler.timesteps):
        d = denoise(x[0] / abar[i].sqrt(), sigmas[i])[None]
        eta = {"eta": options["eta"]} if "eta" in options else {}
        x = scheduler.step(d, t, x, **eta).prev_sample
    return case(name, sigmas, x.flatten(), means=abar.sqrt().tolist(), **options)


def by_k_diffusion(name, function, steps, noise_argument=True, **options):
    from k_diffusion import sampling
    sigmas = sampling.get_sigmas_karras(steps, 0.02, 20).double()
    noise = {"noise_sampler": Noise()} if noise_argument else {}
    model = lambda x, sigma, **_: denoise(x[0], sigma[0])[None]
    x = getattr(sampling, function)(model, (START * sigmas[0])[None], sigmas, disable=True, **noise, **options)[0]
    return case(name, sigmas, x.flatten(), **options)


def main():
    vp = dict(beta_start=1e-4, beta_end=0.02, beta_schedule="linear", prediction_type="sample")
    final = dict(final_sigmas_type="zero", use_karras_sigmas=True)
    chain = dict(clip_sample=False, timestep_spacing="leading", steps_offset=0)
    cases = []
    for order in (2, 3):
        for steps in (8, 20):
            cases.append(by_sigmas("dpm++", DPMSolverMultistepScheduler(**vp, **final, solver_order=order), steps,
                                   order=order))
            cases.append(by_sigmas("unipc", UniPCMultistepScheduler(**vp, **final, solver_order=order,
                                                                    solver_type="bh2"), steps, order=order))
    for eta in (0.0, 0.6, 1.0):
        cases.append(by_chain("ddim", DDIMScheduler(**vp, **chain, set_alpha_to_one=True), scheduling_ddim, 10, eta=eta))
    for variance in ("small", "large"):
        cases.append(by_chain("ancestral", DDPMScheduler(**vp, **chain, variance_type="fixed_" + variance),
                              scheduling_ddpm, 10, variance=variance))
    cases.append(by_k_diffusion("dpm++", "sample_dpmpp_2m", 12, noise_argument=False) | {"order": 2, "exact": True})
    for order, function in ((2, "sample_dpmpp_2m_sde"), (3, "sample_dpmpp_3m_sde")):
        for eta in (0.0, 0.5, 1.0):
            cases.append(by_k_diffusion("dpm++", function, 12, eta=eta) | {"order": order, "exact": True})
    cases.append(by_k_diffusion("ddim", "sample_euler_ancestral", 12, eta=0.7) | {"exact": True})
    cases.append(by_k_diffusion("heun", "sample_heun", 12, noise_argument=False) | {"exact": True})
    OUT.write_text(json.dumps({"cases": cases}, indent=1) + "\n")
    print(len(cases), "cases,", OUT.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
