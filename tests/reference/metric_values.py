"""Values of the metrics from NumPy and SciPy, for tests/test_metrics.cpp.

Usage: python3 tests/reference/metric_values.py      writes tests/fixtures/metrics.json
Recorded with numpy 2.4.6 and scipy 1.17.1. Nothing of Ito's is used: numbers come from the recipe below, which
tests/metric_recipe.h states again, and every metric is written as its paper or its published program has it.

Recipe, version 1. u(s, i) is element i of stream s of parity_recipe.py, in [-1, 1). Features [N, D] of set s:
    x[n, d] = float32(offset + scale * (u(s, n D + d) + u(s, n D + (d + 1) % D) / 2))
Pictures [H, W, 3] of set s: a ramp, a wave of squares and noise,
    p[y, x, c] = clip(16 c + 2 x + y + 40 ((x // 8 + y // 8) % 2) + floor(noise * u(s, (y W + x) 3 + c)), 0, 255)
"""
import json
import pathlib

import numpy as np
import scipy.linalg
import scipy.signal
import scipy.special

import parity_recipe

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "metrics.json"


def features(stream, n, d, offset=0.0, scale=1.0):
    u = parity_recipe.unit(stream, (n, d))
    return (offset + scale * (u + np.roll(u, -1, axis=1) / 2)).astype(np.float32)


def picture(stream, height, width, noise):
    y, x, c = np.meshgrid(np.arange(height), np.arange(width), np.arange(3), indexing="ij")
    base = 16 * c + 2 * x + y + 40 * ((x // 8 + y // 8) % 2)
    u = parity_recipe.unit(stream, (height, width, 3))
    return np.clip(base + np.floor(noise * u), 0, 255).astype(np.uint8)


def frechet(x, y):
    """pytorch-fid's formula, with scipy's matrix root."""
    m1, m2 = x.astype(np.float64).mean(0), y.astype(np.float64).mean(0)
    s1, s2 = np.cov(x.astype(np.float64), rowvar=False), np.cov(y.astype(np.float64), rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2)
    assert np.abs(np.imag(root)).max() < 1e-10
    return ((m1 - m2) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * np.trace(np.real(root))


def frechet_by_nuclear_norm(x, y):
    """Without a matrix root: tr (S1 S2)^(1/2) is the sum of the singular values of X1 X2^T, centred and scaled."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    m1, m2 = x.mean(0), y.mean(0)
    a, b = (x - m1) / np.sqrt(len(x) - 1), (y - m2) / np.sqrt(len(y) - 1)
    nuclear = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return ((m1 - m2) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * nuclear


def kernel_distance(x, y, subsets, size, seed):
    """torch-fidelity's draws and estimator, in float64."""
    random = np.random.RandomState(seed)
    x, y = x.astype(np.float64), y.astype(np.float64)
    values = []
    for _ in range(subsets):
        a = x[random.choice(len(x), size, replace=False)]
        b = y[random.choice(len(y), size, replace=False)]
        kernel = lambda p, q: (p @ q.T / p.shape[1] + 1) ** 3
        kaa, kbb, kab = kernel(a, a), kernel(b, b), kernel(a, b)
        values.append((kaa.sum() - np.trace(kaa) + kbb.sum() - np.trace(kbb)) / (size * (size - 1)) - 2 * kab.mean())
    return float(np.mean(values)), float(np.std(values))


def distances(x, y):
    return np.sqrt(((x[:, None, :].astype(np.float64) - y[None, :, :].astype(np.float64)) ** 2).sum(-1))


def radii(x, k):
    return np.sort(distances(x, x), axis=1)[:, k]  # column 0 is the row itself


def overlap(real, generated):
    d = distances(real, generated)
    ball, dense = radii(real, 3), radii(real, 5)
    return {
        "precision": (d <= ball[:, None]).any(0).mean(),
        "recall": (d <= radii(generated, 3)[None, :]).any(1).mean(),
        "density": (d < dense[:, None]).sum(0).mean() / 5,
        "coverage": (d.min(1) < dense).mean(),
    }


def vendi(x):
    x = x.astype(np.float64)
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    w = np.linalg.eigvalsh(x @ x.T / len(x))
    w = w[w > 1e-14]
    return np.exp(-(w * np.log(w)).sum())


def inception_score(logits, splits):
    p = scipy.special.softmax(logits.astype(np.float64), axis=1)
    scores = []
    for i in range(splits):
        part = p[i * len(p) // splits:(i + 1) * len(p) // splits]
        scores.append(np.exp(scipy.special.rel_entr(part, part.mean(0, keepdims=True)).sum(1).mean()))
    return float(np.mean(scores)), float(np.std(scores))


def ms_ssim3(a, b):
    """tf.image.ssim_multiscale with its first three weights, divided by their sum."""
    weights = np.array([0.0448, 0.2856, 0.3001])
    weights /= weights.sum()
    g = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    window = np.outer(g, g) / np.outer(g, g).sum()
    blur = lambda p: scipy.signal.convolve2d(p, window, mode="valid")
    channels = []
    for c in range(a.shape[2]):
        x, y, product = a[..., c].astype(np.float64), b[..., c].astype(np.float64), 1.0
        for scale in range(3):
            mx, my = blur(x), blur(y)
            vx, vy, vxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
            structure = (2 * vxy + (0.03 * 255) ** 2) / (vx + vy + (0.03 * 255) ** 2)
            luminance = (2 * mx * my + (0.01 * 255) ** 2) / (mx**2 + my**2 + (0.01 * 255) ** 2)
            value = (structure * luminance if scale == 2 else structure).mean()
            product *= max(value, 0) ** weights[scale]
            if scale < 2:
                x, y = halve(x), halve(y)
        channels.append(product)
    return float(np.mean(channels))


def halve(p):
    p = np.pad(p, ((0, p.shape[0] % 2), (0, p.shape[1] % 2)), mode="symmetric")
    return (p[::2, ::2] + p[::2, 1::2] + p[1::2, ::2] + p[1::2, 1::2]) / 4


def main():
    a, b = features(1, 300, 24), features(2, 200, 24, 0.25, 1.125)
    few_a, few_b = features(3, 40, 96), features(4, 30, 96, 0.25, 1.125)
    wave = [picture(5 + i, 64, 64, 8 << i) for i in range(3)]
    odd = [picture(8 + i, 45, 51, 30) for i in range(2)]
    kid, kid_whole = kernel_distance(a, b, 10, 50, 2020), kernel_distance(few_a, few_b, 1, 30, 7)
    score = inception_score(8 * features(11, 103, 12), 10)
    values = {
        "frechet": frechet(a, b),
        "frechet_again": frechet_by_nuclear_norm(a, b),
        "frechet_few": frechet_by_nuclear_norm(few_a, few_b),
        "frechet_few_many": frechet_by_nuclear_norm(few_a, features(5, 400, 96, 0.25, 1.125)),
        "kid": kid[0], "kid_deviation": kid[1], "kid_whole": kid_whole[0],
        **overlap(a, b),
        "nearest_row": int(distances(b, a)[17].argmin()), "nearest_distance": distances(b, a)[17].min(),
        "vendi": vendi(a), "vendi_few": vendi(few_a),
        "inception_score": score[0], "inception_score_deviation": score[1],
        "ms_ssim3": ms_ssim3(wave[0], wave[1]), "ms_ssim3_far": ms_ssim3(wave[0], wave[2]),
        "ms_ssim3_odd": ms_ssim3(odd[0], odd[1]), "ms_ssim3_inverted": ms_ssim3(wave[0], 255 - wave[0]),
    }
    assert abs(values["frechet"] - values["frechet_again"]) < 1e-9
    OUT.write_text(json.dumps({k: v if isinstance(v, int) else float(v) for k, v in values.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
