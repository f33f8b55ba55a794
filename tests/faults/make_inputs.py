"""Makes small inputs of the kinds that people really have, for tests/faults/run: a folder or a file each.

Usage: python3 tests/faults/make_inputs.py DIR     (needs numpy and Pillow)
"""
import io
import os
import pathlib
import pickle
import shutil
import sys
import tarfile
import warnings
import zipfile

import numpy as np
from PIL import Image

ROOT = pathlib.Path(sys.argv[1])


def picture(width=80, height=80, seed=0):
    random = np.random.default_rng(seed)
    pixels = np.zeros((height, width, 3))
    y, x = np.mgrid[0:height, 0:width]
    for channel, (phase, across, down) in enumerate(random.random((3, 3))):
        pixels[..., channel] = 127.5 + 127.5 * np.sin(6 * (phase + x / width * across + y / height * down))
    pixels[height // 4:height // 2, width // 4:width // 2] = random.integers(0, 255, 3)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(image, kind="JPEG", **options):
    content = io.BytesIO()
    image.save(content, kind, **({"quality": 90} | options if kind == "JPEG" else options))
    return content.getvalue()


def jpeg(seed, width=80, height=80):
    return encoded(picture(width, height, seed))


def put(name, content):
    path = ROOT / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def pictures(folder, count, kind="JPEG", ending="jpg", first_seed=0, prefix=""):
    for i in range(count):
        put(f"{folder}/{prefix}{i:03}.{ending}".rstrip("."), encoded(picture(seed=first_seed + i), kind))


def formats():
    pictures("good40", 40)
    pictures("one", 1)
    pictures("mixed", 10, prefix="a")
    for kind, ending, count in [("WEBP", "webp", 20), ("BMP", "bmp", 5), ("JPEG", "jfif", 5), ("JPEG", "jpe", 3),
                                ("JPEG", "", 3), ("TIFF", "tif", 3), ("GIF", "gif", 3)]:
        pictures("mixed", count, kind, ending, first_seed=100, prefix=ending or "none")
    pictures("onlywebp", 5, "WEBP", "webp")
    pictures("onlyjfif", 5, "JPEG", "jfif")
    pictures("onlygif", 5, "GIF", "gif")
    pictures("webpnamed", 27)
    pictures("webpnamed", 3, "WEBP", prefix="w")
    for i in range(8):
        exif = Image.Exif()
        exif[0x112] = 6
        wide = Image.new("RGB", (120, 80), (0, 0, 255))
        wide.paste((255, 0, 0), (0, 0, 40, 80))
        put(f"exif/{i}.jpg", encoded(wide, exif=exif, quality=95))
    red = Image.new("RGB", (64, 64), (200, 30, 40))
    for name, image, kind, options in [
            ("rgb.png", red, "PNG", {}), ("progressive.jpg", red, "JPEG", {"progressive": True}),
            ("cmyk.jpg", red.convert("CMYK"), "JPEG", {}), ("grey.jpg", red.convert("L"), "JPEG", {}),
            ("palette.png", red.convert("P"), "PNG", {}), ("clear.png", Image.new("RGBA", (64, 64)), "PNG", {}),
            ("bit.png", Image.new("1", (64, 64), 1), "PNG", {}),
            ("grey16.png", Image.fromarray(np.full((64, 64), 40000, np.uint16)), "PNG", {})]:
        put(f"kinds/{name}", encoded(image, kind, **options))


def left_behind():
    """What operating systems and other programs leave among pictures."""
    for i in range(25):
        put(f"mac/p/{i:03}.JPG", jpeg(i))
        for folder in ("mac/p", "mac/__MACOSX/p"):
            put(f"{folder}/._{i:03}.JPG", b"\0\5\x16\7" + bytes(60))
    put("mac/.DS_Store", b"\0\0\0\1Bud1")
    put("mac/p/Thumbs.db", b"\xd0\xcf\x11\xe0")
    put("mac/p/desktop.ini", b"[.ShellClassInfo]\r\n")
    with zipfile.ZipFile(ROOT / "mac.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted((ROOT / "mac").rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(ROOT / "mac"))
    for i in range(20):
        put(f"lfs/{i:03}.jpg", b"version https://git-lfs.github.com/spec/v1\noid sha256:%064x\nsize 1\n" % i)
    pictures("links_target", 5)
    (ROOT / "links").mkdir(exist_ok=True)
    for name, target in [("loop", "."), ("dir", "../links_target")]:
        (ROOT / "links" / name).symlink_to(target)
    pictures("dangling_some", 5, prefix="ok")
    for folder in ("dangling_some", "dangling_all"):
        (ROOT / folder).mkdir(exist_ok=True)
        for i in range(20):
            (ROOT / folder / f"d{i}.jpg").symlink_to(f"/nonexistent/{i}.jpg")


def damaged():
    pictures("truncated", 60)
    put("truncated/003.jpg", jpeg(3)[:len(jpeg(3)) // 2])
    pictures("trailing", 10)
    for path in (ROOT / "trailing").iterdir():
        path.write_bytes(path.read_bytes() + bytes(500) + b"garbage" * 20)
    pictures("onesmall", 200)
    put("onesmall/pixel.png", encoded(picture(1, 1), "PNG"))
    for i in range(8):
        put(f"odd/{i}.png", encoded(picture(17, 23, i), "PNG"))
        put(f"mixedsizes/{i}.png", encoded(picture(100 + 7 * i, 90 + 3 * i, i), "PNG"))


def names():
    for i in range(6):
        put(f'Bilder für "Ömer" 日本語/bild ä {i}.jpg', jpeg(i))
    folder = os.path.join(os.fsencode(ROOT), b"caf\xe9")  # Latin-1, which is no UTF-8
    os.makedirs(folder, exist_ok=True)
    for i in range(6):
        with open(os.path.join(folder, b"fa\xe7ade%d.jpg" % i), "wb") as file:
            file.write(jpeg(i))


def celeba(name, attributes=None, partition=None, count=30, size=(178, 218), missing=()):
    for i in set(range(1, count + 1)) - set(missing):
        put(f"{name}/img_align_celeba/{i:06}.jpg", jpeg(i, *size))
    for list_name, content in [("list_attr_celeba", attributes), ("list_eval_partition", partition)]:
        if content:
            put(f"{name}/{list_name}.{content[0]}", content[1])


def celebas():
    def rows(sep, values=(-1, 1)):
        return [sep.join([f"{i:06}.jpg", *(str(values[(i + k) % 2]) for k in range(3))]) for i in range(1, 31)]

    def splits(sep, eol):
        return eol.join(f"{i:06}.jpg{sep}{(i > 20) + (i > 25)}" for i in range(1, 31)) + eol

    plain = "30\nA B C\n" + "\n".join(rows(" ")) + "\n"
    csv = "image_id,A,B,C\r\n" + "\r\n".join(rows(",")) + "\r\n"
    txt = ("txt", splits(" ", "\n").encode())
    celeba("c_crlf", ("txt", plain.replace("\n", " \r\n").encode()), ("txt", splits(" ", "\r\n").encode()))
    celeba("c_csvbom", ("csv", ("\ufeff" + csv).encode()),
           ("csv", ("image_id,partition\r\n" + splits(",", "\r\n")).encode()))
    celeba("c_01", ("csv", ("image_id,A,B,C\n" + "\n".join(rows(",", (0, 1))) + "\n").encode()), txt)
    page = b"<!DOCTYPE html><html><head><title>Google Drive - Quota exceeded</title></head></html>"
    celeba("c_quota", ("txt", page), ("txt", page))
    put("c_zipquota/img_align_celeba.zip", page)
    celeba("c_utf16", ("csv", csv.encode("utf-16")), txt)
    celeba("c_resized", None, txt, size=(64, 64))
    celeba("c_missing", ("txt", plain.encode()), txt, missing=(3, 4, 5, 22))


def archive(name, entries, packing=zipfile.ZIP_DEFLATED):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of two entries with one name
        with zipfile.ZipFile(ROOT / name, "w", packing) as file:
            for entry, content in entries:
                info = zipfile.ZipInfo("x")
                info.filename, info.compress_type = entry, packing  # as it is, even with a backslash
                file.writestr(info, content)


def archives():
    eight = [(f"{i:03}.jpg", jpeg(i)) for i in range(8)]
    archive("backslash.zip", [("faces\\" + name, content) for name, content in eight])
    archive("backslash_celeba.zip", [(f"img_align_celeba\\{i:06}.jpg", jpeg(i, 178, 218)) for i in range(1, 31)])
    archive("plain.zip", eight)
    plain = (ROOT / "plain.zip").read_bytes()
    put("cut.zip", plain[:len(plain) * 2 // 3])
    put("junk_after.zip", plain + bytes(1024))
    put("junk_before.zip", b"MZ" + bytes(4094) + plain)
    put("no_ending", plain)
    archive("twice.zip", eight + eight[:1])
    archive("lzma.zip", eight, zipfile.ZIP_LZMA)
    (ROOT / "drive_parts").mkdir(exist_ok=True)
    for part in (1, 2):
        archive(f"drive_parts/img_align_celeba-20240101T000000Z-00{part}.zip", eight[4 * part - 4:4 * part])
    archive("nested.zip", [("img_align_celeba.zip", plain), ("list_attr_celeba.txt", b"8\nA B\n")])
    with tarfile.open(ROOT / "faces.tar.gz", "w:gz") as tar:
        for name, content in eight:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    (ROOT / "tarfolder").mkdir(exist_ok=True)
    shutil.copy(ROOT / "faces.tar.gz", ROOT / "tarfolder" / "img_align_celeba.tar.gz")
    for part in (0, 1):
        put(f"parquet/train-0000{part}-of-00002.parquet", b"PAR1" + bytes(100) + b"PAR1")
    put("parquet/README.md", b"x")
    put("lmdb/data.mdb", bytes(4096))
    put("lmdb/lock.mdb", bytes(64))
    (ROOT / "npyset").mkdir(exist_ok=True)
    np.save(ROOT / "npyset/celeba64.npy", np.zeros((4, 64, 64, 3), np.uint8))


def arrays():
    """Images and statistics as other programs keep them."""
    npz = ROOT / "npz"
    npz.mkdir(exist_ok=True)
    random = np.random.default_rng(1)
    images = np.stack([np.asarray(picture(64, 64, i)) for i in range(12)])
    np.savez_compressed(npz / "adm.npz", images, np.zeros(12, np.int64))
    np.savez_compressed(npz / "samples.npz", samples=images)
    np.savez(npz / "float01.npz", (images / 255).astype(np.float32))
    np.savez(npz / "nchw.npz", images.transpose(0, 3, 1, 2))
    np.savez(npz / "grey.npz", images[..., :1])
    np.savez(npz / "one.npz", images[:1])
    np.savez_compressed(npz / "stats64.npz", mu=np.zeros(64), sigma=np.eye(64))
    np.savez_compressed(npz / "stats2048.npz", mu=np.abs(random.normal(size=2048)), sigma=np.eye(2048) * .01)
    np.savez_compressed(npz / "statsnan.npz", mu=np.full(2048, np.nan), sigma=np.eye(2048))
    np.savez(npz / "pool3.npz", pool_3=random.random((40, 2048)).astype(np.float32))
    np.savez_compressed(npz / "otherkeys.npz", mean=np.zeros(2048), cov=np.eye(2048))
    np.savez(npz / "object.npz", mu=np.array([1, None], dtype=object), sigma=np.eye(2))
    np.save(npz / "stats.npy", {"mu": np.zeros(2048), "sigma": np.eye(2048)}, allow_pickle=True)
    (npz / "stats.pkl").write_bytes(pickle.dumps({"fid": {"mu": np.zeros(2048), "sigma": np.eye(2048)}}))
    for i in range(12):
        image = picture(64, 64, i)
        put(f"fid_rgb/{i:03}.png", encoded(image, "PNG"))
        put(f"fid_other/{i:03}.png", encoded(picture(64, 64, 50 + i), "PNG"))
        put(f"fid_sizes/{i:03}.png", encoded(picture(64 + i, 64, i), "PNG"))
        content = encoded(image, "PNG")
        put(f"fid_cut/{i:03}.png", content if i < 11 else content[:-400])
        image.putalpha(255 if i % 2 else 254)
        put(f"fid_rgba/{i:03}.png", encoded(image, "PNG"))


def noises():
    """Arrays for --noise of a network for 16x16 pixels, right ones and others."""
    folder = ROOT / "noise"
    folder.mkdir()
    right = np.random.default_rng(1).normal(size=(2, 3, 16, 16))
    np.save(folder / "right.npy", right.astype(np.float32))
    np.save(folder / "double.npy", right)
    np.save(folder / "fortran.npy", np.asfortranarray(right.astype(np.float32)))
    np.save(folder / "nhwc.npy", right.transpose(0, 2, 3, 1).astype(np.float32))
    np.save(folder / "one.npy", right[0].astype(np.float32))
    np.save(folder / "none.npy", right[:0].astype(np.float32))
    np.save(folder / "whole.npy", (100 * right).astype(np.int32))
    np.save(folder / "half.npy", right.astype(np.float16))
    np.savez(folder / "right.npz", right.astype(np.float32))
    right[1, 2, 3, 4] = np.nan
    np.save(folder / "nan.npy", right.astype(np.float32))
    (folder / "cut.npy").write_bytes((folder / "right.npy").read_bytes()[:-100])


def main():
    if ROOT.exists():
        sys.exit(f"{ROOT} is there already: name another folder")
    ROOT.mkdir(parents=True)
    for make in (formats, left_behind, damaged, names, celebas, archives, arrays, noises):
        make()


main()
