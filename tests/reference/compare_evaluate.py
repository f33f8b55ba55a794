"""./evaluate on two folders of photos, compared with the published programs, with random weights in the published files' form:
every number must agree to 1e-3. Prints the table; the exit code is 1 where one does not.

    pip install torch torchvision pytorch-fid torch-fidelity clean-fid lpips prdc scipy pillow
    python3 tests/reference/compare_evaluate.py GENERATED REFERENCE [PROGRAM]

FID: pytorch-fid's features; the trace of the root as the nuclear norm of X1 X2^T, since with fewer images than
dimensions SciPy's matrix root turns complex. pytorch-fid must also read --save-stats. KID: torch-fidelity. Precision
to coverage: prdc. Diversity: lpips, on folders of two photos each. The Vendi score by NumPy.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import lpips
import numpy as np
import torch
from PIL import Image
from prdc import compute_prdc
from pytorch_fid import fid_score
from torch_fidelity.metric_kid import kid_features_to_metric

import feature_recipe
from inception_features import published_network
from lpips_features import alexnet_name

BOUND = 1e-3
HERE = pathlib.Path(__file__).resolve().parent


def files_of(folder):
    return sorted(p for p in pathlib.Path(folder).rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))


def published_inception(place):
    """pytorch-fid's network, and its random weights in the file's legacy form."""
    network, wrapper = published_network()
    torch.save(feature_recipe.state_dict(network), place / "inception.pth", _use_new_zipfile_serialization=False)
    return wrapper.float()


def published_lpips(place):
    """The lpips package with a random AlexNet and its own heads, both as files."""
    model = lpips.LPIPS(net="alex", pretrained=True, pnet_rand=True, verbose=False).eval()
    state = {alexnet_name(n): feature_recipe.weight(alexnet_name(n), tuple(v.shape))
             for n, v in model.state_dict().items() if n.startswith("net.slice")}
    own = model.state_dict()
    for name in [n for n in own if n.startswith("net.slice")]:
        own[name] = torch.from_numpy(state[alexnet_name(name)])
    model.load_state_dict(own)
    torch.save({n: torch.from_numpy(v) for n, v in state.items()}, place / "alexnet.pth")
    heads = pathlib.Path(lpips.__file__).parent / "weights" / "v0.1" / "alex.pth"
    return model, heads


def evaluate(program, *arguments):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([program, *map(str, arguments), "--json", out.name], check=True, stdout=subprocess.DEVNULL)
        return json.load(open(out.name))


def nuclear_fid(x, y):
    m1, m2 = x.mean(0), y.mean(0)
    p, q = (x - m1) / np.sqrt(len(x) - 1), (y - m2) / np.sqrt(len(y) - 1)
    root = np.linalg.svd(p @ q.T, compute_uv=False).sum()
    return ((m1 - m2) ** 2).sum() + (p**2).sum() + (q**2).sum() - 2 * root


def vendi(x):
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    values = np.linalg.eigvalsh(unit @ unit.T / len(unit))
    values = values[values > 1e-14]
    return np.exp(-(values * np.log(values)).sum())


def main(generated, reference, program=str(HERE.parent.parent / "evaluate")):
    wrong = 0

    def compare(name, ours, theirs):
        nonlocal wrong
        difference = abs(ours - theirs) / max(abs(theirs), 1e-12)
        bad = not difference <= BOUND
        wrong += bad
        print(f"{name:14} {ours:16.9g} {theirs:16.9g} {difference:10.1e}{'   WRONG' if bad else ''}")

    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        place = pathlib.Path(folder)
        network, (metric, heads) = published_inception(place), published_lpips(place)
        weights = ["--inception", place / "inception.pth", "--alexnet", place / "alexnet.pth", "--lpips", heads]
        files = {side: files_of(side) for side in (generated, reference)}
        count = max(map(len, files.values()))
        ours = evaluate(program, generated, "--reference", reference, "--count", count, "--save-stats",
                        place / "stats.npz", *weights)
        x, y = (fid_score.get_activations(files[side], network, 20, 2048, "cpu", 0).astype(np.float64)
                for side in (generated, reference))
        print(f"{len(x)} and {len(y)} images\n{'':14} {'./evaluate':>16} {'published':>16} {'difference':>10}")
        compare("fid", ours["fid"], nuclear_fid(x, y))
        size = min(1000, len(x), len(y))
        kid = kid_features_to_metric(torch.tensor(x), torch.tensor(y), kid_subsets=100, kid_subset_size=size,
                                     kid_degree=3, kid_gamma=None, kid_coef0=1, rng_seed=2020, verbose=False)
        compare("kid", ours["kid"], kid["kernel_inception_distance_mean"])
        three, five = compute_prdc(y, x, 3), compute_prdc(y, x, 5)
        for name, values in (("precision", three), ("recall", three), ("density", five), ("coverage", five)):
            compare(name, ours[name], values[name])
        compare("vendi", ours["vendi"], vendi(x))
        for i in range(4):  # a folder of two has one pair
            pair = place / f"pair{i}"
            pair.mkdir()
            chosen = [files[generated][j] for j in (i, -1 - 7 * i)]
            for j, file in enumerate(chosen):
                (pair / f"{j}{file.suffix}").write_bytes(file.read_bytes())
            a, b = (torch.from_numpy(np.array(Image.open(f).convert("RGB"))).permute(2, 0, 1)[None] / 127.5 - 1
                    for f in chosen)
            compare(f"lpips, pair {i}", evaluate(program, pair, *weights)["diversity"], metric(a, b).item())
        mean, covariance = fid_score.compute_statistics_of_path(str(place / "stats.npz"), network, 20, 2048, "cpu", 0)
        compare("tr of stats", np.trace(covariance), np.trace(np.cov(x, rowvar=False)))
        compare("|mu| of stats", np.linalg.norm(mean), np.linalg.norm(x.mean(0)))
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
