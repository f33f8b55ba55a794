"""Records what PIL makes of a few small pictures, for tests/test_data_image.cpp and tests/test_data_resize.cpp.

Usage: python3 tests/reference/pil_resize.py PHOTO   (any colour photo of at least 178x218 pixels under CC0)
Writes tests/fixtures/pil/. Recorded with Pillow 13.0.0; the committed photo is CC0, from
github.com/alexeygrigorev/clothing-dataset-small.
"""
import pathlib
import sys

from PIL import Image

OUT = pathlib.Path(__file__).resolve().parent.parent / "fixtures" / "pil"
BILINEAR = Image.Resampling.BILINEAR


def centre(image, width, height):
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    source = Image.open(sys.argv[1]).convert("RGB")
    scale = max(178 / source.width, 218 / source.height)
    source = source.resize((round(source.width * scale + 1), round(source.height * scale + 1)), Image.Resampling.LANCZOS)
    source = centre(source, 178, 218)
    # As CelebA stores its pictures: 178x218, baseline, 4:2:0, quality 75.
    source.save(OUT / "photo.jpg", quality=75, subsampling="4:2:0")
    photo = Image.open(OUT / "photo.jpg").convert("RGB")

    photo.crop((130, 170, 178, 218)).save(OUT / "photo_corner.png", optimize=True)  # 48x48, edge blocks included
    photo.crop((25, 57, 153, 185)).resize((64, 64), BILINEAR).save(OUT / "ddim128_64x64.png", optimize=True)
    photo.resize((41, 29), BILINEAR).save(OUT / "whole_41x29.png", optimize=True)
    photo.crop((60, 80, 84, 99)).resize((37, 31), BILINEAR).save(OUT / "part_37x31.png", optimize=True)
    photo.crop((0, 20, 178, 198)).resize((178, 23), BILINEAR).save(OUT / "columns_178x23.png", optimize=True)

    small = photo.resize((24, 20), BILINEAR)
    small.save(OUT / "small.png", optimize=True)
    small.convert("L").save(OUT / "grey.jpg", quality=90)
    Image.open(OUT / "grey.jpg").convert("RGB").save(OUT / "grey_expected.png", optimize=True)
    small.save(OUT / "progressive.jpg", quality=90, progressive=True, subsampling="4:4:4")
    Image.open(OUT / "progressive.jpg").convert("RGB").save(OUT / "progressive_expected.png", optimize=True)
    small.convert("CMYK").save(OUT / "cmyk.jpg", quality=90)

    small.quantize(16).save(OUT / "palette.png", optimize=True)
    Image.open(OUT / "palette.png").convert("RGB").save(OUT / "palette_expected.png", optimize=True)
    grey16 = Image.new("I;16", (16, 1))
    for x in range(16):
        grey16.putpixel((x, 0), x * 4369)  # 0, 0x1111, ... 0xffff
    grey16.save(OUT / "grey16.png")
    rgba = Image.new("RGBA", (3, 2))
    rgba.putdata([(255, 0, 0, 255), (255, 0, 0, 0), (10, 20, 30, 128), (0, 0, 0, 1), (0, 0, 0, 254), (200, 100, 50, 51)])
    rgba.save(OUT / "rgba.png")


if __name__ == "__main__":
    main()
