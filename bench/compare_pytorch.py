"""PyTorch's rates for our networks on this machine, a whole step, and its gradients compared with ours. Prints JSON.

    python bench/compare_pytorch.py                                  small, both embeddings, batch 16, on the CPU
    python bench/compare_pytorch.py --preset celeba64 --batch 4
    python bench/compare_pytorch.py --preset my.json                 UNet2DModel's keyword arguments
    python bench/compare_pytorch.py --preset celeba256 --batch 1 --tasks evaluation --diffusers --ito ./bench_train
    python bench/compare_pytorch.py --device cuda --preset celeba64 --batch 256 --gradients build-cuda/tests/cuda

The network is bench/unet_torch.py, diffusers' UNet2DModel in plain PyTorch, or with --diffusers that itself. A training
step is the EDM loss, backward, clipping to norm 1, fused AdamW and an EMA of the weights; an evaluation is one denoiser
call without gradients. On a GPU it runs under bf16 autocast, and images lie in the GPU's memory. Each mode runs in a
process of its own, for a peak memory of its own. On the CPU the processes take turns in short blocks, so that a busy
machine slows all of them equally; on a GPU one follows the other, and --out is rewritten after each. Images per
second are the median over blocks; only a quiet machine gives figures worth quoting (threads that wait for each
other suffer out of proportion), so the load average is printed with them. Needs torch, and a C++ compiler or
Triton for the compiled modes, whose first step takes minutes.

--ito names our program bench_train, which takes its turns in evaluations; "ratio" is its rate over that of the best
mode.

--gradients names the folder of our program network_gradients: before anything is timed, output and gradients
of Ito and of PyTorch in bf16 are compared with PyTorch's in float32 (exit code 1 where ours are worse).
"""

import argparse
import importlib
import json
import math
import multiprocessing
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

PRESETS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "presets.json"
MODES = {  # name: channels_last, torch.compile's mode or None
    "eager": (False, None),
    "eager_channels_last": (True, None),
    "compiled": (False, "default"),
    "compiled_channels_last": (True, "default"),
    "graphs": (True, "reduce-overhead"),  # CUDA graphs of what was compiled
    "max_autotune": (True, "max-autotune"),
}
DEFAULT_MODES = {
    "cpu": ["eager", "eager_channels_last", "compiled"],
    "cuda": ["eager_channels_last", "graphs", "max_autotune"],  # the ones that compile for minutes come last
}
TASKS = ("training", "evaluation")
SIGMA_DATA = 0.5
WORSE = 1.5  # how many times PyTorch's own error in bf16 ours may be


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
    return c_skip * x + c_out * model(c_in * x, sigma.flatten().log() / 4)


def training_step(torch, model, images, compile_mode):
    parameters = [p for p in model.parameters() if p.requires_grad]
    averages = [p.detach().clone() for p in parameters]
    optimizer = torch.optim.AdamW(parameters, lr=1e-4, fused=True)

    def loss_of(images, sigma, noise):
        weight = (sigma**2 + SIGMA_DATA**2) / (sigma * SIGMA_DATA) ** 2
        return (weight * (denoise(model, images + sigma * noise, sigma) - images) ** 2).mean()

    if compile_mode:
        loss_of = torch.compile(loss_of, mode=compile_mode)

    def step():
        sigma = (1.2 * torch.randn(images.shape[0], 1, 1, 1, device=images.device) - 1.2).exp()
        with torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            loss = loss_of(images, sigma, torch.randn_like(images))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        torch._foreach_lerp_(averages, parameters, 1e-3)
        return loss

    return step


def evaluation_step(torch, model, images, compile_mode):
    model.eval()
    sigma = torch.linspace(0.01, 10, images.shape[0], device=images.device)[:, None, None, None]
    call = torch.compile(denoise, mode=compile_mode) if compile_mode else denoise

    def step():
        with torch.no_grad(), torch.autocast(images.device.type, torch.bfloat16, enabled=images.is_cuda):
            return call(model, images, sigma).sum()

    return step


def diffusers_unet():
    from diffusers import UNet2DModel

    class UNet(UNet2DModel):
        def forward(self, x, c_noise):
            # Of Fourier features diffusers takes the logarithm itself.
            fourier = self.config.time_embedding_type == "fourier"
            return super().forward(x, c_noise.exp() if fourier else c_noise).sample

    return UNet


def ito_seconds(preset, options):
    """Seconds of a block of our evaluations, and the most memory in MiB."""
    command = [options.ito, "--evaluation", "--preset", preset, "--device", options.device]
    command += ["--batch", str(options.batch), "--repeats", str(options.steps), "--threads", str(options.threads)]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    row = report["rows"][0]
    return sum(row["evaluation_seconds"]), round(row["peak_bytes"] / 2**20)


def worker(pipe, config, task, mode, options):
    """Builds one way of running, then answers each number of steps with the seconds they took."""
    import torch

    UNet = diffusers_unet() if options.diffusers else importlib.import_module("unet_torch").UNet
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.backends.cudnn.benchmark = True
    torch.manual_seed(0)
    channels_last, compile_mode = MODES[mode]
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = UNet(**config).to(options.device, memory_format=layout)
    size = config["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    images = torch.randn(options.batch, config["in_channels"], height, width, device=options.device)
    make_step = training_step if task == "training" else evaluation_step
    step = make_step(torch, model, images.to(memory_format=layout), compile_mode)
    start = time.perf_counter()
    step().item()
    first = round(time.perf_counter() - start, 2)
    pipe.send(dict(first_step_s=first, threads=torch.get_num_threads()))
    while (steps := pipe.recv()) is not None:
        start = time.perf_counter()
        for _ in range(steps):
            value = step()
        value.item()  # waits for all of them
        pipe.send(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    if options.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**20
    pipe.send(round(peak))


def measure(preset, task, modes, options):
    """Runs these modes in turns; returns one row a mode."""
    config = network_config(preset)
    ito, ito_mib = [], 0
    context = multiprocessing.get_context("spawn")
    rows, pipes, blocks = {}, {}, {mode: [] for mode in modes}
    for mode in modes:
        pipes[mode], theirs = context.Pipe()
        context.Process(target=worker, args=(theirs, config, task, mode, options), daemon=True).start()
        theirs.close()
        rows[mode] = pipes[mode].recv()
    for block in range(options.blocks + 1):
        for mode in modes:
            pipes[mode].send(options.steps)
            seconds = pipes[mode].recv()
            if block > 0:  # the first only warms up
                blocks[mode].append(seconds)
        if options.ito and task == "evaluation" and block > 0:
            seconds, ito_mib = ito_seconds(preset, options)
            ito.append(seconds)
    for mode in modes:
        pipes[mode].send(None)
        rows[mode] |= summary(blocks[mode], options.batch * options.steps)
        rows[mode]["peak_mib"] = pipes[mode].recv()
    if ito:
        best = max(rows[mode]["images_per_s"] for mode in modes)
        rows["ito"] = summary(ito, options.batch * options.steps) | dict(peak_mib=ito_mib)
        rows["ito"]["ratio"] = round(rows["ito"]["images_per_s"] / best, 2)
    return rows


def summary(blocks, images):
    rates = [images / seconds for seconds in blocks]
    return dict(
        images_per_s=round(statistics.median(rates), 4),
        lowest=round(min(rates), 4),
        highest=round(max(rates), 4),
    )


def compare_gradients(preset, folder, device, batch=4):
    """Relative L2 differences from PyTorch in float32, of the output and of all gradients together."""
    import torch
    import unet_torch

    # What is compared with is to be f32, not TF32.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    config = network_config(preset)
    model = unet_torch.UNet(**config)
    unet_torch.set_weights(model, sorted(dict(model.named_parameters())))
    model.to(device)
    shape = (batch, config["in_channels"], config["sample_size"], config["sample_size"])
    want = {name: t.cpu() for name, t in unet_torch.gradients(model, shape).items()}
    # All gradients are one vector, since some are zero except for rounding (a bias before a normalisation of it alone).
    results = {"pytorch_bf16": unet_torch.gradients(model, shape, torch.bfloat16)}
    with tempfile.TemporaryDirectory() as place:
        for precision in ("f32", "bf16"):
            path = pathlib.Path(place) / f"{precision}.safetensors"
            program = pathlib.Path(folder) / "network_gradients"
            subprocess.run([program, preset, str(batch), device, precision, path], check=True)
            results["ours_" + precision] = unet_torch.read_safetensors(path)[0]

    def row(got):
        squares = sum(float((got[n].double().cpu() - want[n].double()).norm()) ** 2 for n in want if n != "output")
        norm = math.sqrt(sum(float(t.double().norm()) ** 2 for n, t in want.items() if n != "output"))
        return dict(output=unet_torch.distance(got["output"], want["output"]), gradients=math.sqrt(squares) / norm)

    rows = {name: row(got) for name, got in results.items()}
    bound = WORSE * rows["pytorch_bf16"]["gradients"]
    return rows | dict(good=rows["ours_f32"]["gradients"] < 1e-3 and rows["ours_bf16"]["gradients"] < bound)


def machine(options):
    import torch

    names = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    return dict(
        processor=names[0] if names else platform.processor(),
        gpu=torch.cuda.get_device_name() if options.device == "cuda" else "",
        cpus=len(os.sched_getaffinity(0)),
        capability=torch.backends.cpu.get_cpu_capability(),
        torch=torch.__version__,
        python=platform.python_version(),
    )


def parse_arguments():
    verbatim = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=verbatim)
    parser.add_argument("--preset", action="append", help="a name or a .json file; may be repeated")
    parser.add_argument("--device", choices=DEFAULT_MODES, default="cpu")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--blocks", type=int, default=5, help="blocks counted for each mode")
    parser.add_argument("--steps", type=int, help="steps in a block (CPU: 2, GPU: 20)")
    parser.add_argument("--modes", nargs="+", choices=MODES)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=TASKS)
    parser.add_argument("--threads", type=int, default=0, help="PyTorch's own choice if 0")
    parser.add_argument("--diffusers", action="store_true", help="diffusers' own UNet2DModel")
    parser.add_argument("--ito", help="our program bench_train, to take its turns in evaluations")
    parser.add_argument("--gradients", help="the folder of network_gradients")
    parser.add_argument("--out", help="a file that receives the JSON, too")
    options = parser.parse_args()
    options.modes = options.modes or DEFAULT_MODES[options.device]
    options.steps = options.steps or (2 if options.device == "cpu" else 20)
    return options


def main():
    options = parse_arguments()
    report = machine(options) | dict(device=options.device, batch=options.batch, load_before=os.getloadavg())
    report |= dict(gradients={}, results={})

    def save():
        text = json.dumps(report | dict(load_after=os.getloadavg()), indent=2)
        if options.out:
            pathlib.Path(options.out).write_text(text + "\n")
        return text

    good = True
    presets = options.preset or ["small", "small-sinusoidal"]
    for preset in presets if options.gradients else []:
        report["gradients"][preset] = rows = compare_gradients(preset, options.gradients, options.device)
        good = good and rows["good"]
        save()
    # In turns on the CPU; on a GPU, whose memory one mode may fill, one by one.
    turns = [options.modes] if options.device == "cpu" else [[mode] for mode in options.modes]
    for preset in presets:
        rows = report["results"].setdefault(preset, {task: {} for task in options.tasks})
        for modes in turns:
            for task in options.tasks:
                rows[task] |= measure(preset, task, modes, options)
                save()
    print(save())
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
