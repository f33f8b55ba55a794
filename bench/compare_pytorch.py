"""PyTorch's rates for our networks on this machine: diffusers' UNet2DModel, float32, whole step. Prints JSON.

    python bench/compare_pytorch.py                                  small, both embeddings, batch 16
    python bench/compare_pytorch.py --preset celeba64 --batch 4
    python bench/compare_pytorch.py --preset my.json                 UNet2DModel's keyword arguments

A training step is the EDM loss, backward, clipping to norm 1, fused AdamW and an EMA of the weights; an
evaluation is one denoiser call without gradients. Each mode runs in a process of its own, for a peak memory
of its own; the processes take turns in short blocks, so that a busy machine slows all of them alike. Images
per second are the median over blocks; only a quiet machine gives figures worth quoting (threads that wait for
each other suffer out of proportion), so the load average stands beside them. Needs torch and diffusers, and a
C++ compiler for the compiled modes, whose first step takes minutes.
"""

import argparse
import json
import multiprocessing
import os
import pathlib
import platform
import resource
import statistics
import sys
import time

PRESETS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "presets.json"
MODES = ("eager", "eager_channels_last", "compiled", "compiled_channels_last")
TASKS = ("training", "evaluation")
SIGMA_DATA = 0.5


def network_config(preset):
    if preset.endswith(".json"):
        return json.loads(pathlib.Path(preset).read_text())
    presets = json.loads(PRESETS.read_text())
    if preset not in presets:
        sys.exit(f"no preset {preset!r}: take one of {', '.join(presets)}, or a .json file of arguments")
    return presets[preset]["config"]


def denoise(model, x, sigma):
    """EDM's D(x; sigma) (Karras et al. 2022, table 1). x [N, C, H, W], sigma [N, 1, 1, 1]."""
    total = sigma**2 + SIGMA_DATA**2
    c_skip, c_out, c_in = SIGMA_DATA**2 / total, sigma * SIGMA_DATA / total.sqrt(), total.rsqrt()
    c_noise = sigma.flatten().log() / 4
    if model.config.time_embedding_type == "fourier":  # it takes its timestep's logarithm and divides by it
        timestep = c_noise.exp()
        network = model(c_in * x, timestep).sample * timestep[:, None, None, None]
    else:
        network = model(c_in * x, c_noise).sample
    return c_skip * x + c_out * network


def training_step(torch, model, images, compiled):
    parameters = [p for p in model.parameters() if p.requires_grad]
    averages = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def loss_of(images, sigma, noise):
        weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2
        return (weight * (denoise(model, images + sigma * noise, sigma) - images) ** 2).mean()

    if compiled:
        loss_of = torch.compile(loss_of)

    def step():
        sigma = (1.2 * torch.randn(images.shape[0], 1, 1, 1) - 1.2).exp()
        loss = loss_of(images, sigma, torch.randn_like(images))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch._foreach_lerp_(averages, parameters, 1e-3)
        return loss.item()

    return step


def evaluation_step(torch, model, images, compiled):
    model.eval()
    sigma = torch.linspace(0.01, 10, images.shape[0])[:, None, None, None]
    call = torch.compile(denoise) if compiled else denoise

    def step():
        with torch.no_grad():
            return call(model, images, sigma).sum().item()

    return step


def worker(pipe, config, task, mode, batch, threads):
    """Builds one way of running, then answers each number of steps with the seconds they took."""
    import torch
    from diffusers import UNet2DModel

    if threads:
        torch.set_num_threads(threads)
    torch.manual_seed(0)
    layout = torch.channels_last if mode.endswith("channels_last") else torch.contiguous_format
    model = UNet2DModel(**config).to(memory_format=layout)
    size = config["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    images = torch.randn(batch, config["in_channels"], height, width).to(memory_format=layout)
    make_step = training_step if task == "training" else evaluation_step
    step = make_step(torch, model, images, mode.startswith("compiled"))
    start = time.perf_counter()
    step()
    pipe.send(dict(first_step_s=round(time.perf_counter() - start, 2), threads=torch.get_num_threads()))
    while (steps := pipe.recv()) is not None:
        start = time.perf_counter()
        for _ in range(steps):
            step()
        pipe.send(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux
    pipe.send(round(peak / 1024))


def measure(config, task, options):
    """Runs every mode in turns; returns one row a mode."""
    context = multiprocessing.get_context("spawn")
    rows, pipes, blocks = {}, {}, {mode: [] for mode in options.modes}
    for mode in options.modes:
        pipes[mode], theirs = context.Pipe()
        arguments = (theirs, config, task, mode, options.batch, options.threads)
        context.Process(target=worker, args=arguments, daemon=True).start()
        theirs.close()
        rows[mode] = pipes[mode].recv()
    for block in range(options.blocks + 1):
        for mode in options.modes:
            pipes[mode].send(options.steps)
            seconds = pipes[mode].recv()
            if block > 0:  # the first only warms up
                blocks[mode].append(seconds)
    for mode in options.modes:
        pipes[mode].send(None)
        rows[mode] |= summary(blocks[mode], options.batch * options.steps)
        rows[mode]["peak_rss_mib"] = pipes[mode].recv()
    return rows


def summary(blocks, images):
    rates = [images / seconds for seconds in blocks]
    return dict(
        images_per_s=round(statistics.median(rates), 2),
        lowest=round(min(rates), 2),
        highest=round(max(rates), 2),
    )


def machine():
    import diffusers
    import torch

    names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return dict(
        processor=names[0] if names else platform.processor(),
        cpus=len(os.sched_getaffinity(0)),
        capability=torch.backends.cpu.get_cpu_capability(),
        torch=torch.__version__,
        diffusers=diffusers.__version__,
        python=platform.python_version(),
    )


def main():
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=verbatim)
    parser.add_argument("--preset", action="append", help="a name or a .json file; may be repeated")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--blocks", type=int, default=5, help="blocks counted for each mode")
    parser.add_argument("--steps", type=int, default=2, help="steps in a block")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=MODES[:3])
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--threads", type=int, default=0, help="PyTorch's own choice if 0")
    options = parser.parse_args()

    report = machine() | dict(batch=options.batch, load_before=os.getloadavg(), results={})
    for preset in options.preset or ["small", "small-sinusoidal"]:
        config = network_config(preset)
        report["results"][preset] = {task: measure(config, task, options) for task in options.tasks}
    print(json.dumps(report | dict(load_after=os.getloadavg()), indent=2))


if __name__ == "__main__":
    main()
