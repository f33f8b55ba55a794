"""Records what PIL makes of WebP and of pictures that EXIF says to turn, for tests/test_data_viewed.cpp.

Usage: python3 tests/reference/pil_viewed.py     (after pil_resize.py, whose small.png it starts from)
Writes tests/fixtures/pil/viewed/: NAME.jpg, .png or .webp, and NAME.expected.png with PIL's pixels of it, turned by
ImageOps.exif_transpose, transparency over white. Recorded with Pillow 13.0.0 and numpy 2.
"""
import pathlib

import numpy
from PIL import Image, ImageOps

PIL = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "pil"
OUT = PIL / "viewed"


def over_white(rgba):
    color, alpha = rgba[..., :3].astype(int), rgba[..., 3:].astype(int)
    return ((color * alpha + 255 * (255 - alpha) + 127) // 255).astype(numpy.uint8)


def record(name, image, **options):
    path = OUT / name
    image.save(path, **options)
    seen = ImageOps.exif_transpose(Image.open(path))
    pixels = numpy.asarray(seen.convert("RGB"))
    if seen.mode == "RGBA":
        pixels = over_white(numpy.asarray(seen))
    Image.fromarray(pixels).save(OUT / (path.stem + ".expected.png"))


def exif(orientation, endian="MM"):
    data = Image.Exif()
    data[0x010E] = "a description before it"
    data[0x0112] = orientation
    data.endian = "<" if endian == "II" else ">"
    return data


def main():
    OUT.mkdir(exist_ok=True)
    # Not square, not a multiple of JPEG's blocks, and no two equal corners.
    small = Image.open(PIL / "small.png").convert("RGB").resize((29, 18), Image.BILINEAR)
    for orientation in range(1, 9):
        record(f"jpeg_{orientation}.jpg", small, exif=exif(orientation), quality=90)
    record("jpeg_9.jpg", small, exif=exif(9), quality=90)
    record("png_6.png", small, exif=exif(6, "II"))
    record("webp_5.webp", small, exif=exif(5, "II"), lossless=True)
    record("webp_lossy.webp", small, quality=80)
    record("webp_lossless.webp", small, lossless=True)
    clear = small.convert("RGBA")
    clear.putalpha(Image.linear_gradient("L").resize(small.size))
    record("webp_clear.webp", clear, lossless=True, exact=True)
    record("webp_clear_lossy.webp", clear, quality=70)
    small.save(OUT / "animated.webp", save_all=True, append_images=[small.rotate(180)])


if __name__ == "__main__":
    main()
