"""Numbers that Python and C++ (tests/parity_recipe.h) both draw, bit for bit, so no fixture stores weights.

Version 1. Every array is a stream of 32-bit hashes; element i of stream s is

    h = murmur3_finalizer(s * 0x9E3779B1 + i)   all arithmetic modulo 2^32
    u = h / 2^31 - 1                            in [-1, 1), exact in double

and each value is computed in double and rounded once to float32. Every factor but the square root is a
short binary fraction, so no other operation rounds and fused multiply-adds cannot change a bit.

Parameter p, counted from 0 in the fixture's order of names, is stream p. Its elements are in diffusers'
row-major order, [out, in, kernel_h, kernel_w] for convolutions and [out, in] for linear layers:

    time_proj.weight       2 u                   the fixed Fourier frequencies
    any other bias         u / 8
    weight of one axis     1 + u / 8             normalisation gains
    weight of more axes    sqrt(3 / fan_in) u    fan_in: all axes but the first; variance 1 / fan_in

The other streams lie far above any parameter's: input x = 2 u, output cotangent = u (both NCHW, row-major),
and noise level c_noise = 3/2 u - 1/2.
"""

import numpy as np

VERSION = 1
INPUT_STREAM, NOISE_STREAM, COTANGENT_STREAM = 1_000_000, 1_000_001, 1_000_002


def hash32(x):
    """The finalizer of MurmurHash3 on an array of uint32."""
    x = x ^ (x >> np.uint32(16))
    x = x * np.uint32(0x85EBCA6B)
    x = x ^ (x >> np.uint32(13))
    x = x * np.uint32(0xC2B2AE35)
    return x ^ (x >> np.uint32(16))


def unit(stream, shape):
    """u of a whole stream, in double."""
    start = np.uint32(stream * 0x9E3779B1 % 2**32)
    index = np.arange(int(np.prod(shape)), dtype=np.uint32)
    return (hash32(start + index).astype(np.float64) / 2.0**31 - 1.0).reshape(shape)


def parameter(position, name, shape):
    u = unit(position, shape)
    if name == "time_proj.weight":
        value = 2 * u
    elif name.endswith(".bias"):
        value = u / 8
    elif len(shape) == 1:
        value = 1 + u / 8
    else:
        value = np.sqrt(3.0 / np.prod(shape[1:])) * u
    return value.astype(np.float32)


def input_image(shape):
    return (2 * unit(INPUT_STREAM, shape)).astype(np.float32)


def noise_level(count):
    return (1.5 * unit(NOISE_STREAM, (count,)) - 0.5).astype(np.float32)


def cotangent(shape):
    return unit(COTANGENT_STREAM, shape).astype(np.float32)


def golden():
    """The numbers that tests/test_parity_recipe.cpp repeats."""
    rows = {
        "hash32(0, 1, 2^32-1)": hash32(np.array([0, 1, 2**32 - 1], np.uint32)),
        "conv_in.weight 0 [8,3,3,3]": parameter(0, "conv_in.weight", (8, 3, 3, 3)),
        "conv_in.bias 1 [8]": parameter(1, "conv_in.bias", (8,)),
        "conv_norm_out.weight 70 [8]": parameter(70, "conv_norm_out.weight", (8,)),
        "time_embedding.linear_1.weight 3 [32,7]": parameter(3, "time_embedding.linear_1.weight", (32, 7)),
        "time_proj.weight 2 [8]": parameter(2, "time_proj.weight", (8,)),
        "input [2,3,4,4]": input_image((2, 3, 4, 4)),
        "c_noise 2": noise_level(2),
        "cotangent [2,3,4,4]": cotangent((2, 3, 4, 4)),
    }
    for title, values in rows.items():
        flat = values.ravel()
        words = flat if flat.dtype == np.uint32 else flat.view(np.uint32)
        print(f"{title}: first {[hex(w) for w in words[:3]]} last {hex(words[-1])} "
              f"xor {hex(np.bitwise_xor.reduce(words))}")


if __name__ == "__main__":
    golden()
