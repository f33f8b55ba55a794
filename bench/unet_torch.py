"""Our U-Nets in PyTorch, for machines without diffusers: UNet2DModel's arithmetic and parameter names.

UNet(config) takes the keyword arguments of diffusers' UNet2DModel that tests/fixtures/presets.json and a
checkpoint's unet/config.json use. forward(x, c_noise) is the bare network F. `python bench/unet_torch.py`
checks it against the outputs and gradients of diffusers' own, tests/fixtures/unet_*.safetensors.
"""

import json
import math
import pathlib
import sys

import numpy as np
import torch
from torch import nn
from torch.nn import functional

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "tests" / "fixtures"
sys.path.insert(0, str(FIXTURES.parent / "reference"))
import parity_recipe  # noqa: E402


class TimeEmbedding(nn.Module):
    def __init__(self, inputs, width):
        super().__init__()
        self.linear_1 = nn.Linear(inputs, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, x):
        return self.linear_2(functional.silu(self.linear_1(x)))


class ResnetBlock(nn.Module):
    def __init__(self, inputs, outputs, embedding, groups, eps):
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, inputs, eps)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.time_emb_proj = nn.Linear(embedding, outputs)
        self.norm2 = nn.GroupNorm(groups, outputs, eps)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.conv_shortcut = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x, embedding):
        h = self.conv1(functional.silu(self.norm1(x)))
        h = h + self.time_emb_proj(functional.silu(embedding))[:, :, None, None]
        return self.conv_shortcut(x) + self.conv2(functional.silu(self.norm2(h)))


class Attention(nn.Module):
    def __init__(self, channels, head, groups, eps):
        super().__init__()
        self.heads = channels // head
        self.group_norm = nn.GroupNorm(groups, channels, eps)
        self.to_q = nn.Linear(channels, channels)
        self.to_k = nn.Linear(channels, channels)
        self.to_v = nn.Linear(channels, channels)
        self.to_out = nn.ModuleList([nn.Linear(channels, channels)])

    def forward(self, x):
        n, c, h, w = x.shape
        tokens = self.group_norm(x).flatten(2).transpose(1, 2)
        q, k, v = (f(tokens).view(n, h * w, self.heads, -1).transpose(1, 2) for f in (self.to_q, self.to_k, self.to_v))
        mixed = functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, h * w, c)
        return x + self.to_out[0](mixed).transpose(1, 2).view(n, c, h, w)


class Downsample(nn.Module):
    def __init__(self, channels, padding):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x):
        return self.conv(x if self.conv.padding[0] else functional.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x):
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


class Level(nn.Module):
    """Some of: resnets, attentions, downsamplers, upsamplers."""

    def __init__(self, resnets, attentions, **samplers):
        super().__init__()
        self.resnets = nn.ModuleList(resnets)
        if attentions:
            self.attentions = nn.ModuleList(attentions)
        for name, sampler in samplers.items():
            setattr(self, name, nn.ModuleList([sampler]))

    def block(self, i, x, embedding):
        x = self.resnets[i](x, embedding)
        return self.attentions[i](x) if hasattr(self, "attentions") else x


class UNet(nn.Module):
    def __init__(self, **config):
        super().__init__()
        widths, layers = config["block_out_channels"], config["layers_per_block"]
        groups, eps = config["norm_num_groups"], config["norm_eps"]
        embedding, last = 4 * widths[0], len(widths) - 1
        self.fourier = config["time_embedding_type"] == "fourier"
        self.flip, self.shift = config["flip_sin_to_cos"], config["freq_shift"]
        self.width = widths[0]
        if self.fourier:
            self.time_proj = nn.Module()
            self.time_proj.weight = nn.Parameter(torch.randn(widths[0]) * 16, requires_grad=False)
        self.time_embedding = TimeEmbedding((2 if self.fourier else 1) * widths[0], embedding)

        def resnet(inputs, outputs):
            return ResnetBlock(inputs, outputs, embedding, groups, eps)

        def attention(channels):
            return Attention(channels, config["attention_head_dim"] or channels, groups, eps)

        self.conv_in = nn.Conv2d(config["in_channels"], widths[0], 3, padding=1)
        self.down_blocks, skips, channels = nn.ModuleList(), [widths[0]], widths[0]
        for i, (kind, width) in enumerate(zip(config["down_block_types"], widths)):
            resnets = [resnet(channels if j == 0 else width, width) for j in range(layers)]
            attentions = [attention(width) for _ in range(layers)] if kind.startswith("Attn") else []
            down = {"downsamplers": Downsample(width, config["downsample_padding"])} if i < last else {}
            self.down_blocks.append(Level(resnets, attentions, **down))
            skips += [width] * (layers + (i < last))
            channels = width
        self.mid_block = Level([resnet(channels, channels) for _ in range(2)], [attention(channels)])
        self.up_blocks = nn.ModuleList()
        for i, (kind, width) in enumerate(zip(config["up_block_types"], reversed(widths))):
            resnets = []
            for _ in range(layers + 1):
                resnets.append(resnet(channels + skips.pop(), width))
                channels = width
            attentions = [attention(width) for _ in resnets] if kind.startswith("Attn") else []
            self.up_blocks.append(Level(resnets, attentions, **({"upsamplers": Upsample(width)} if i < last else {})))
        self.conv_norm_out = nn.GroupNorm(groups, channels, eps)
        self.conv_out = nn.Conv2d(channels, config["out_channels"], 3, padding=1)

    def features(self, c_noise):
        if self.fourier:
            angle = 2 * math.pi * c_noise[:, None] * self.time_proj.weight[None]
            return torch.cat([angle.sin(), angle.cos()], 1)
        half = self.width // 2
        exponent = -math.log(10000) * torch.arange(half, device=c_noise.device, dtype=c_noise.dtype) / (half - self.shift)
        angle = c_noise[:, None] * exponent.exp()[None]
        first, second = (angle.cos(), angle.sin()) if self.flip else (angle.sin(), angle.cos())
        return torch.cat([first, second], 1)

    def forward(self, x, c_noise):
        embedding = self.time_embedding(self.features(c_noise))
        x = self.conv_in(x)
        skips = [x]
        for level in self.down_blocks:
            for i in range(len(level.resnets)):
                x = level.block(i, x, embedding)
                skips.append(x)
            if hasattr(level, "downsamplers"):
                x = level.downsamplers[0](x)
                skips.append(x)
        x = self.mid_block.block(0, x, embedding)
        x = self.mid_block.resnets[1](x, embedding)
        for level in self.up_blocks:
            for i in range(len(level.resnets)):
                x = level.block(i, torch.cat([x, skips.pop()], 1), embedding)
            if hasattr(level, "upsamplers"):
                x = level.upsamplers[0](x)
        return self.conv_out(functional.silu(self.conv_norm_out(x)))


def read_safetensors(path):
    """Tensors of a file of float32, and its metadata."""
    data = pathlib.Path(path).read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__", {})
    body = memoryview(data)[8 + length :]

    def tensor(entry):
        begin, end = entry["data_offsets"]
        return torch.from_numpy(np.frombuffer(body[begin:end], np.float32).reshape(entry["shape"]).copy())

    return {name: tensor(entry) for name, entry in header.items()}, metadata


def set_weights(model, names):
    """The recipe's numbers; a parameter's position is that of its name in `names`."""
    parameters = dict(model.named_parameters())
    assert sorted(parameters) == sorted(names), sorted(set(parameters) ^ set(names))
    with torch.no_grad():
        for position, name in enumerate(names):
            shape = tuple(parameters[name].shape)
            parameters[name].copy_(torch.from_numpy(parity_recipe.parameter(position, name, shape)))


def gradients(model, shape, autocast=None):
    """Output and gradients of sum(F * cotangent) for the recipe's input, by the names of the fixtures."""
    weight = model.conv_in.weight
    images, levels, cotangent = (
        torch.from_numpy(a).to(weight.device, weight.dtype)
        for a in (parity_recipe.input_image(shape), parity_recipe.noise_level(shape[0]), parity_recipe.cotangent(shape))
    )
    model.zero_grad(set_to_none=True)
    with torch.autocast(weight.device.type, dtype=autocast, enabled=autocast is not None):
        output = model(images, levels)
    (output * cotangent).sum().backward()
    result = {"output": output.detach()}
    return result | {"grad." + name: p.grad.detach() for name, p in model.named_parameters() if p.grad is not None}


def distance(a, b, floor=0.0):
    """Of a from b, relative to b's norm, or to a larger floor."""
    a, b = a.double().cpu(), b.double().cpu()
    return float((a - b).norm() / max(float(b.norm()), floor))


def differences(got, want):
    """name -> relative difference. A key's bias has no true gradient: its rounding is compared with the query's."""

    def floor(name):
        return float(want[name.replace("to_k", "to_q")].norm()) if name.endswith("to_k.bias") else 0.0

    return {name: distance(got[name], want[name], floor(name)) for name in want if name in got}


def check():
    for path in sorted(FIXTURES.glob("unet_*.safetensors")):
        want, metadata = read_safetensors(path)
        about = json.loads(metadata["parity"])
        model = UNet(**about["config"])
        set_weights(model, about["parameters"])
        found = differences(gradients(model.double(), tuple(about["input_shape"])), want)
        worst = max(found, key=found.get)
        print(f"{path.name}: {len(found)} tensors, largest relative difference {found[worst]:.1e} ({worst})")
        if found[worst] > 1e-5 or len(found) < len(want) - 1:  # grad.input is not computed
            sys.exit(1)


if __name__ == "__main__":
    check()
