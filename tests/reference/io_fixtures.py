"""Writes tests/fixtures/io_*: small files made by the real safetensors and numpy packages.

    python3 -m pip install torch safetensors numpy
    python3 tests/reference/io_fixtures.py

Element i of every array is (3 i - 7) / 4, rounded to the array's type (integers: 3 i + 1).
"""
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

FOLDER = Path(__file__).resolve().parent.parent / "fixtures"


def reals(*shape):
    count = int(np.prod(shape))
    return (3 * np.arange(count) - 7).astype(np.float64).reshape(shape) / 4


def integers(*shape):
    return (3 * np.arange(int(np.prod(shape))) + 1).reshape(shape)


def main():
    FOLDER.mkdir(exist_ok=True)
    save_file(
        {
            "conv.weight": torch.tensor(reals(2, 3, 1, 2), dtype=torch.float32),
            "half": torch.tensor(reals(5), dtype=torch.bfloat16),
            "double": torch.tensor(reals(3), dtype=torch.float64),
            "step": torch.tensor(4, dtype=torch.int64),
            "bytes": torch.tensor(integers(7), dtype=torch.uint8),
            "empty": torch.zeros(0, 4),
        },
        FOLDER / "io_torch.safetensors",
        metadata={"format": "pt", "note": 'quotes " and \u00fc'},
    )
    np.save(FOLDER / "io_f4.npy", reals(2, 3, 1, 2).astype("<f4"))
    np.save(FOLDER / "io_f8.npy", np.float64(reals(1)[0]))
    np.save(FOLDER / "io_u1.npy", integers(5).astype("u1"))
    np.save(FOLDER / "io_i4.npy", integers(0, 3).astype("<i4"))
    with open(FOLDER / "io_i8_v2.npy", "wb") as file:
        np.lib.format.write_array(file, integers(2, 2).astype("<i8"), version=(2, 0))
    np.save(FOLDER / "io_fortran.npy", np.asfortranarray(reals(2, 3).astype("<f4")))


if __name__ == "__main__":
    main()
