"""What guided-diffusion's own network and samplers make of small networks, for tests/test_import_adm.cpp.

Usage: python3 tests/reference/adm_values.py GUIDED_DIFFUSION   writes tests/fixtures/adm.json

GUIDED_DIFFUSION is a clone of openai/guided-diffusion. Recorded at its commit 22e0df8 with torch 2.15.0. Weights are those
of parity_recipe.py by the place and name of each parameter. For each set of flags the file holds names and shapes of all
tensors in that order, the network's output for parity_recipe's input at the given indices (image i is of class i + 1), and
the images [N,C,H,W] that its DDIM draws from sqrt(3) parity_recipe.unit(INPUT_STREAM). `respacing` has the indices that
space_timesteps keeps.
"""
import json
import pathlib
import shlex
import sys

import numpy as np
import torch

import parity_recipe

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "adm.json"
SMALL = "--image_size 8 --num_channels 32 --channel_mult 1,2,2 --num_res_blocks 1 --attention_resolutions 4,2"
CASES = [
    f"{SMALL} --num_heads 2 --use_scale_shift_norm False --noise_schedule linear --diffusion_steps 4000",
    f"{SMALL} --num_head_channels 16 --resblock_updown True --learn_sigma True --class_cond True --noise_schedule cosine",
    f"{SMALL} --num_head_channels 8 --resblock_updown True --learn_sigma True --use_new_attention_order True"
    " --noise_schedule cosine --rescale_timesteps True --diffusion_steps 250",
    "--image_size 16 --num_channels 32 --channel_mult 1,2,4 --num_res_blocks 2 --attention_resolutions 8,4"
    " --num_heads 4 --use_scale_shift_norm True --predict_xstart True",
]
RESPACING = [(1000, "250"), (1000, "ddim25"), (4000, "ddim50"), (1000, "7"), (4000, "100"), (100, "100"), (1000, "1")]
STEPS = 5


def options(text, defaults):
    words = shlex.split(text)
    values = dict(defaults)
    for name, value in zip(words[::2], words[1::2]):
        kind = type(defaults[name[2:]])
        values[name[2:]] = value == "True" if kind is bool else kind(value)
    return values


def case(text, script_util):
    script_util.NUM_CLASSES = 3
    values = options(text + f" --timestep_respacing ddim{STEPS}", script_util.model_and_diffusion_defaults())
    model, diffusion = script_util.create_model_and_diffusion(**values)
    parameters = list(model.named_parameters())
    with torch.no_grad():
        for place, (name, weight) in enumerate(parameters):
            weight.copy_(torch.from_numpy(parity_recipe.parameter(place, name, tuple(weight.shape))))
    model.eval()
    shape = (2, 3, values["image_size"], values["image_size"])
    labels = dict(y=torch.tensor([1, 2])) if values["class_cond"] else {}
    with torch.no_grad():
        x = torch.from_numpy(parity_recipe.input_image(shape)).float()
        output = model(x, torch.tensor([3.0, 77.0]), **labels)[:, :3]
        noise = torch.from_numpy(parity_recipe.unit(parity_recipe.INPUT_STREAM, shape) * np.sqrt(3.0)).float()
        images = diffusion.ddim_sample_loop(model, shape, noise=noise, model_kwargs=labels, device="cpu")
    rounded = lambda t: [float(f"{v:.7g}") for v in t.flatten().tolist()]
    return dict(flags=text, tensors=[[name, list(p.shape)] for name, p in parameters], output=rounded(output),
                images=rounded(images))


def main():
    sys.path.insert(0, sys.argv[1])
    from guided_diffusion import respace, script_util

    about = dict(steps=STEPS, cases=[case(text, script_util) for text in CASES],
                 respacing=[[levels, text, sorted(respace.space_timesteps(levels, text))] for levels, text in RESPACING])
    OUT.write_text(json.dumps(about, separators=(",", ":")).replace('{"flags"', '\n{"flags"') + "\n")
    print(OUT.stat().st_size, "bytes", [np.abs(c["images"]).max() for c in about["cases"]],
          [np.abs(c["output"]).max() for c in about["cases"]])


if __name__ == "__main__":
    main()
