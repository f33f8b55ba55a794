"""Records what PIL makes of JPEGs and PNGs of every kind, for tests/test_data_image.cpp.

Usage: python3 tests/reference/pil_kinds.py     (after pil_resize.py, whose small.png it starts from)
Writes tests/fixtures/pil/kinds/ and, next to it, kinds_expected.png: PIL's pixels of all of them in the order of their
names, one below the other. PIL writes neither interlaced PNGs nor most depths, so those are put together here.
Recorded with Pillow 13.0.0 and numpy 2.
"""
import pathlib
import struct
import zlib

import numpy
from PIL import Image

PIL = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "pil"
OUT = PIL / "kinds"
WIDTH, HEIGHT = 11, 9
ADAM7 = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)]
GREY, RGB, PALETTE, GREY_ALPHA, RGB_ALPHA = 0, 2, 3, 4, 6
CHANNELS = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGB_ALPHA: 4}


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def filtered(row, above, step, kind):
    left = b"\0" * step + row[:-step] if len(row) > step else b"\0" * len(row)
    corner = b"\0" * step + above[:-step] if len(row) > step else b"\0" * len(row)

    def predict(a, b, c):
        if kind == 4:
            p = a + b - c
            return min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        return (0, a, b, (a + b) // 2)[kind]

    return bytes([kind]) + bytes((x - predict(a, b, c)) % 256 for x, a, b, c in zip(row, left, above, corner))


def png(samples, color, depth, interlaced, *extra):
    """Samples [height, width, channels] of `depth` bits; rows take the five filters in turn."""
    data, turn = b"", 0
    for x, y, step_x, step_y in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = samples[y::step_y, x::step_x]
        above = None
        for values in part if part.size else []:
            bits = "".join(format(value, f"0{depth}b") for value in values.reshape(-1))
            bits += "0" * (-len(bits) % 8)
            row = int(bits, 2).to_bytes(len(bits) // 8, "big")
            step = max(1, CHANNELS[color] * depth // 8)
            data += filtered(row, above or b"\0" * len(row), step, turn % 5)
            above, turn = row, turn + 1
    height, width = samples.shape[:2]
    packed = zlib.compress(data, 9)
    head = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, interlaced)
    half = len(packed) // 2  # the data may be cut anywhere
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(extra) + chunk(b"IDAT", packed[:half]) +
            chunk(b"IDAT", b"") + chunk(b"IDAT", packed[half:]) + chunk(b"IEND", b""))


def over_white(rgba):
    color, alpha = rgba[..., :3].astype(int), rgba[..., 3:].astype(int)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(numpy.uint8)


def pixels_of(path):
    image = Image.open(path)
    if image.mode == "I;16":
        grey = numpy.asarray(image)
        key = image.info.get("transparency")
        rgba = numpy.stack([grey >> 8] * 3 + [numpy.where(grey == key, 0, 255)], axis=-1)
        return over_white(rgba.astype(numpy.uint8))
    if "A" in image.mode or "transparency" in image.info:
        return over_white(numpy.asarray(image.convert("RGBA")))
    return numpy.asarray(image.convert("RGB"))


def write_pngs():
    draw = numpy.random.default_rng(1)
    for color, depths in {GREY: (1, 2, 4, 8, 16), RGB: (8, 16), PALETTE: (1, 2, 4, 8), GREY_ALPHA: (8, 16),
                          RGB_ALPHA: (8, 16)}.items():
        for depth in depths:
            samples = draw.integers(0, 2**depth, (HEIGHT, WIDTH, CHANNELS[color]))
            extra = []
            if color == PALETTE:
                extra.append(chunk(b"PLTE", draw.integers(0, 256, 3 * 2**depth, dtype=numpy.uint8).tobytes()))
            for interlaced in (0, 1):
                name = f"color{color}_{depth}bit{'_interlaced' * interlaced}.png"
                (OUT / name).write_bytes(png(samples, color, depth, interlaced, *extra))
    palette = chunk(b"PLTE", bytes(range(0, 240, 5)))
    samples = draw.integers(0, 16, (HEIGHT, WIDTH, 1))
    (OUT / "palette_alpha.png").write_bytes(png(samples, PALETTE, 8, 0, palette, chunk(b"tRNS", bytes([0, 90, 200]))))
    samples = draw.integers(0, 2, (HEIGHT, WIDTH, 3)) * 255
    (OUT / "key_rgb.png").write_bytes(png(samples, RGB, 8, 0, chunk(b"tRNS", struct.pack(">HHH", 255, 0, 255))))
    samples = draw.integers(0, 2, (HEIGHT, WIDTH, 1)) * 257 + 1000
    (OUT / "key_grey.png").write_bytes(png(samples, GREY, 16, 0, chunk(b"tRNS", struct.pack(">H", 1257))))


def write_jpegs():
    small = Image.open(PIL / "small.png").convert("RGB").crop((4, 4, 4 + WIDTH, 4 + HEIGHT))
    for chroma in ("4:4:4", "4:2:2", "4:2:0"):
        small.save(OUT / f"progressive_{chroma.replace(':', '')}.jpg", quality=85, progressive=True, subsampling=chroma)
    small.convert("L").save(OUT / "progressive_grey.jpg", quality=85, progressive=True)
    small.convert("CMYK").save(OUT / "cmyk.jpg", quality=85)
    cmyk = (OUT / "cmyk.jpg").read_bytes()
    transform = cmyk.index(b"Adobe") + 11
    (OUT / "ycck.jpg").write_bytes(cmyk[:transform] + b"\2" + cmyk[transform + 1:])  # the same numbers, read as YCCK


def main():
    OUT.mkdir(exist_ok=True)
    write_pngs()
    write_jpegs()
    expected = numpy.concatenate([pixels_of(path) for path in sorted(OUT.iterdir())])
    Image.fromarray(expected).save(PIL / "kinds_expected.png", optimize=True)


if __name__ == "__main__":
    main()
