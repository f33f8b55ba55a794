"""Figures of a scripts/gpu_check run, from its folder: ceilings, our targets, PyTorch, a line for bench/history.

    python bench/gpu_summary.py FOLDER        reads kernels.json, training.json, pytorch.json where they are
"""

import json
import pathlib
import sys

MEMORY_TARGET = 85.0  # percent of the same run's copy
CONVOLUTION_TARGET = 250.0  # TFLOP/s, bf16 at 64x64 and 32x32
TRAINING_TARGET = 2000.0  # images/s, celeba64 in bf16 at batch 256
HEUN_EVALUATIONS = 2 * 18 - 1  # of 18 steps


def read(folder, name):
    """The JSON documents of a file, one after the other; nothing where there is no file."""
    try:
        text = (folder / name).read_text().lstrip()
    except OSError:
        return []
    documents = []
    while text:
        try:
            document, end = json.JSONDecoder().raw_decode(text)
        except ValueError:
            break
        documents.append(document)
        text = text[end:].lstrip()
    return documents


def judge(value, target):
    return "met" if value >= target else "MISSED"


def lowest(rows, key):
    return min(rows, key=lambda row: row[key]) if rows else None


def kernels(report, history):
    ceilings = report["ceilings"]
    rates = ", ".join(f"{r['name']} {r['tflops']:.0f} TFLOP/s" for r in ceilings["arithmetic"])
    print(f"ceilings      copy {ceilings['copy_gbps']:.0f} GB/s; {rates}")
    history |= dict(copy_gbps=round(ceilings["copy_gbps"]))
    memory = [c for c in report["cases"] if c["ceiling"] == "memory"]
    worst = lowest(memory, "percent_of_ceiling")
    if worst:
        good = sum(c["percent_of_ceiling"] >= MEMORY_TARGET for c in memory)
        print(f"memory-bound  {good} of {len(memory)} kernels reach {MEMORY_TARGET:.0f} % of the copy; lowest "
              f"{worst['percent_of_ceiling']:.0f} % ({worst['kind']} {worst['name']} {worst['shape']}): "
              f"{judge(worst['percent_of_ceiling'], MEMORY_TARGET)}")
    large = [c for c in report["cases"] if "conv" in c["kind"] and "tflops" in c and c["dtype"] == "bf16"
             and any(s in c["shape"] for s in ("64x64", "32x32"))]
    worst = lowest(large, "tflops")
    if worst:
        print(f"convolutions  bf16 at 64x64 and 32x32: lowest {worst['tflops']:.0f} TFLOP/s "
              f"({worst['name']} {worst['shape']}), target {CONVOLUTION_TARGET:.0f}: "
              f"{judge(worst['tflops'], CONVOLUTION_TARGET)}")
        history |= dict(lowest_convolution_tflops=round(worst["tflops"], 1))


def training(report, history):
    row, precision = report["rows"][0], report["precision"]
    rate, evaluations = row["images_per_second"], row["evaluations_per_second"]
    conv = row["convolutions"]
    name = f"{precision} x {report['batch']}"
    text = f"{name:<13} training {rate:.1f} images/s (--conv {conv})"
    if precision == "bf16" and conv == "auto":
        text += f", target {TRAINING_TARGET:.0f}: {judge(rate, TRAINING_TARGET)}"
    print(f"{text}; sampling {evaluations / HEUN_EVALUATIONS:.2f} images/s (Heun, 18 steps)")
    which = precision if conv == "auto" else f"{precision}_{conv}"
    history[which + "_images_per_second"] = round(rate, 1)
    history[which + "_evaluations_per_second"] = round(evaluations, 1)
    history |= dict(gpu=report["machine"], date=report["date"], commit=report["commit"])


def pytorch(report, history):
    for preset, rows in report["gradients"].items():
        for name, row in rows.items():
            if name != "good":
                print(f"gradients     {name}: {row['gradients']:.1e} from PyTorch's in float32, output {row['output']:.1e}")
    for preset, tasks in report["results"].items():
        for task, ours in (("training", "bf16_images_per_second"), ("evaluation", "bf16_evaluations_per_second")):
            rates = {mode: row["images_per_s"] for mode, row in tasks.get(task, {}).items()}
            if not rates:
                continue
            best = max(rates, key=rates.get)
            ratio = f"; ours is {history[ours] / rates[best]:.2f} times that" if ours in history else ""
            print(f"PyTorch       {task} {rates[best]:.1f} images/s ({best}, of {', '.join(rates)}){ratio}")
            history |= {f"pytorch_{task}_images_per_second": rates[best], "pytorch": report["torch"]}


def main():
    folder = pathlib.Path(sys.argv[1])
    history = {}
    for name, describe in (("kernels", kernels), ("training", training), ("pytorch", pytorch)):
        reports = read(folder, name + ".json")
        if not reports:
            print(f"{name:<13} no figures")
        for report in reports:
            try:
                describe(report, history)
            except (KeyError, IndexError, TypeError) as error:
                print(f"{name:<13} {name}.json is not as expected: {error!r}")
    if history:
        print("\nfor bench/history:\n" + json.dumps(history))


if __name__ == "__main__":
    main()
