"""Weights and images for the metrics' networks that Python and C++ (tests/feature_recipe.h) both draw, bit for bit.

Numbers are parity_recipe's u in [-1, 1), computed in double and rounded once to float32. Tensor NAME is the stream
fnv1a(NAME), 32 bits, in PyTorch's row-major order:

    *.running_var                  1 + u/4
    *.running_mean, *.bias         u / 8
    *.bn.weight                    1 + u/8
    lin*.weight (LPIPS' heads)     1 + u
    any other weight               sqrt(6 / fan_in) u     variance 2 / fan_in: ReLU layers keep their size

Image byte i of [n,h,w,3], at row y and column x of its image, is hash32(7 * 0x9E3779B1 + i) >> 24 modulo 96, plus
100 y / h + 59 x / w, each rounded down: rough, and different at every edge.
"""

import numpy as np

from parity_recipe import hash32, unit


def fnv1a(text):
    h = 2166136261
    for byte in text.encode():
        h = (h ^ byte) * 16777619 % 2**32
    return h


def weight(name, shape):
    u = unit(fnv1a(name), shape)
    if name.endswith(".running_var"):
        value = 1 + u / 4
    elif name.endswith((".running_mean", ".bias")):
        value = u / 8
    elif name.endswith(".bn.weight"):
        value = 1 + u / 8
    elif name.startswith("lin"):
        value = 1 + u
    else:
        value = np.sqrt(6.0 / np.prod(shape[1:])) * u
    return value.astype(np.float32)


def images(n, h, w):
    i = np.arange(n * h * w * 3, dtype=np.uint32)
    noise = (hash32(np.uint32(7 * 0x9E3779B1 % 2**32) + i) >> np.uint32(24)) % np.uint32(96)
    y, x = i // 3 // w % h, i // 3 % w
    return (noise + 100 * y // h + 59 * x // w).astype(np.uint8).reshape(n, h, w, 3)


def state_dict(module, rename=lambda name: name):
    """The recipe's numbers for every floating-point tensor of a PyTorch module."""
    import torch

    return {name: torch.from_numpy(weight(rename(name), tuple(value.shape))) if value.is_floating_point() else value
            for name, value in module.state_dict().items()}
