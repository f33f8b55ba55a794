"""Writes tests/fixtures/torch_*.pth: small files made by torch.save.

    python3 -m pip install torch
    python3 tests/reference/torch_fixtures.py

Element i of a tensor's storage is (3 i - 7) / 4, exact in every real type used (integers: 3 i + 1).
"""
from collections import OrderedDict
from pathlib import Path

import torch

FOLDER = Path(__file__).resolve().parent.parent / "fixtures"


def reals(*shape, dtype=torch.float32):
    count = 1
    for extent in shape:
        count *= extent
    return ((3 * torch.arange(count, dtype=torch.float64) - 7) / 4).reshape(shape).to(dtype)


def weights():
    state = OrderedDict()
    state["conv.weight"] = reals(3, 2, 1, 3)
    state["conv.tied"] = state["conv.weight"].view(-1)[4:10].view(2, 3)
    state["bn.running_var"] = torch.nn.Parameter(reals(3))
    state["bn.num_batches_tracked"] = torch.tensor(1)
    state["transposed"] = reals(2, 3).t()
    state["steps"] = reals(20)[3:18].view(3, 5)[:, ::2]
    state["half"] = reals(5, dtype=torch.float16)
    state["bfloat"] = reals(5, dtype=torch.bfloat16)
    state["double"] = reals(3, dtype=torch.float64)
    state["empty"] = torch.zeros(0, 4)
    state["scalar"] = reals(1)[0]
    state["bytes"] = (3 * torch.arange(7) + 1).to(torch.uint8)
    state._metadata = OrderedDict({"": {"version": 1}})
    return state


def main():
    torch.save(weights(), FOLDER / "torch_legacy.pth", _use_new_zipfile_serialization=False)
    torch.save(weights(), FOLDER / "torch_zip.pth")
    torch.save({"epoch": 3, "state_dict": weights()}, FOLDER / "torch_nested.pth",
               _use_new_zipfile_serialization=False)
    torch.save(torch.nn.Linear(2, 1), FOLDER / "torch_module.pth")


if __name__ == "__main__":
    main()
