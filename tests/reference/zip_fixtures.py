"""Writes tests/fixtures/zip_*.zip: small archives made by Python's zipfile and by Info-ZIP.

    python3 tests/reference/zip_fixtures.py        (needs zip(1))

Each holds a.txt, "hello, hello, hello\n", and "sub folder/\u00fcml\u00e4ut.bin", the bytes 0 to 255.
"""
import io
import subprocess
import tempfile
import zipfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "fixtures"
FILES = {"a.txt": b"hello, hello, hello\n", "sub folder/\u00fcml\u00e4ut.bin": bytes(range(256))}
DAY = (1980, 1, 1, 0, 0, 0)


class Pipe(io.RawIOBase):
    """Cannot seek, so that lengths and checksums follow the data."""

    def __init__(self):
        self.bytes = b""

    def writable(self):
        return True

    def write(self, data):
        self.bytes += bytes(data)
        return len(data)


def write(target, method, zip64=False):
    with zipfile.ZipFile(target, "w", method) as archive:
        for name, data in FILES.items():
            info = zipfile.ZipInfo(name, DAY)
            info.compress_type = method
            with archive.open(info, "w", force_zip64=zip64) as entry:
                entry.write(data)


def main():
    write(FOLDER / "zip_stored.zip", zipfile.ZIP_STORED)
    write(FOLDER / "zip_deflated.zip", zipfile.ZIP_DEFLATED)
    write(FOLDER / "zip_zip64.zip", zipfile.ZIP_DEFLATED, zip64=True)
    write(FOLDER / "zip_lzma.zip", zipfile.ZIP_LZMA)
    pipe = Pipe()
    write(pipe, zipfile.ZIP_DEFLATED)
    (FOLDER / "zip_streamed.zip").write_bytes(pipe.bytes)
    with tempfile.TemporaryDirectory() as folder:
        for name, data in FILES.items():
            path = Path(folder) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
        for name, options in {"zip_infozip": [], "zip_encrypted": ["-P", "secret"]}.items():
            target = FOLDER / (name + ".zip")
            target.unlink(missing_ok=True)
            subprocess.run(["zip", "-q", "-r", *options, target, *[n.split("/")[0] for n in FILES]],
                           cwd=folder, check=True)


main()
