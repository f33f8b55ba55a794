"""Writes tests/fixtures/npz_*.npz: small archives made by NumPy.

    python3 -m pip install numpy
    python3 tests/reference/npz_fixtures.py

Element i of every array is (3 i - 7) / 4 (integers: 3 i + 1, modulo 256 for bytes).
"""
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "fixtures"


def reals(*shape):
    return (3 * np.arange(int(np.prod(shape))) - 7).astype(np.float64).reshape(shape) / 4


def integers(*shape):
    return (3 * np.arange(int(np.prod(shape))) + 1).reshape(shape)


def main():
    statistics = {"mu": reals(5), "sigma": reals(5, 5)}
    np.savez(FOLDER / "npz_stored.npz", **statistics)
    np.savez_compressed(FOLDER / "npz_compressed.npz", **statistics)
    np.savez_compressed(FOLDER / "npz_kinds.npz", integers(2, 3, 4, 3).astype("u1"), integers(3).astype("<i4"),
                        pool_3=reals(4, 6).astype("<f4"), labels=integers(2).astype("<i8"),
                        count=np.float64(reals(1)[0]), none=np.zeros((0, 3), "<f4"))
    np.savez(FOLDER / "npz_bad.npz", good=reals(2), order=np.asfortranarray(reals(2, 3)),
             half=reals(2).astype("<f2"), names=np.array(["a", "b"]))


if __name__ == "__main__":
    main()
