"""Reads a run's event files with TensorBoard's own reader and compares them with log.jsonl and samples/.

    python tests/reference/tensorboard_events.py RUN        needs tensorboard and pillow
    python tests/reference/tensorboard_events.py --fixture  writes tests/fixtures/events.tfevents

Fails unless every logged step has its scalars, equal as f32, each step once, and every grid its picture, equal
in every pixel. The fixture is made by TensorBoard's own messages and record writer; test_event_file.cpp wants
the same bytes from ours.
"""

import argparse
import io
import json
import math
import pathlib
import struct

import numpy as np
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

FIXTURES = pathlib.Path(__file__).resolve().parent.parent / "fixtures"
SCALARS = {
    "loss/train": "loss",
    "loss/validation": "validation_loss",
    "grad_norm": "grad_norm",
    "learning_rate": "lr",
    "images_per_second": "images_per_second",
}


def write_fixture():
    png = io.BytesIO()
    Image.fromarray(np.arange(5 * 3 * 3, dtype=np.uint8).reshape(3, 5, 3)).save(png, "PNG")
    value = Summary.Value
    picture = Summary.Image(height=3, width=5, colorspace=3, encoded_image_string=png.getvalue())
    events = [
        Event(wall_time=1000.5, file_version="brain.Event:2"),
        Event(wall_time=1001.5, step=301, session_log=SessionLog(status=SessionLog.START)),
        Event(wall_time=1002.5, step=310, summary=Summary(value=[
            value(tag="loss/train", simple_value=0.25), value(tag="learning_rate", simple_value=2e-4)])),
        Event(wall_time=1003.5, step=1 << 40, summary=Summary(value=[value(tag="zero", simple_value=0)])),
        Event(wall_time=1004.5, step=1 << 40, summary=Summary(value=[value(tag="samples", image=picture)])),
    ]
    with open(FIXTURES / "events.tfevents", "wb") as file:
        writer = RecordWriter(file)
        for event in events:
            writer.write(event.SerializeToString())
    (FIXTURES / "events.png").write_bytes(png.getvalue())


def as_float32(number):
    return math.nan if number is None else struct.unpack("f", struct.pack("f", number))[0]


def logged(run, name):
    lines = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
    return [(line["step"], as_float32(line[name])) for line in lines if name in line]


def compare(run):
    events = event_accumulator.EventAccumulator(
        str(run / "tensorboard"), {event_accumulator.SCALARS: 0, event_accumulator.IMAGES: 0})
    events.Reload()
    tags = events.Tags()
    for tag, name in SCALARS.items():
        want = logged(run, name)
        got = [(e.step, e.value) for e in events.Scalars(tag)] if tag in tags["scalars"] else []
        if not np.array_equal(np.array(got), np.array(want), equal_nan=True):
            raise SystemExit(f"{tag}: TensorBoard reads {got[:5]}..., the log has {want[:5]}...")
        print(f"{tag}: {len(got)} values")
    grids = events.Images("samples") if "samples" in tags["images"] else []
    files = sorted((run / "samples").glob("step-*.png"))
    if [grid.step for grid in grids] != [int(file.stem[5:]) for file in files]:
        raise SystemExit(f"samples: steps {[grid.step for grid in grids]}, files {files}")
    for grid, file in zip(grids, files):
        got = np.asarray(Image.open(io.BytesIO(grid.encoded_image_string)))
        if not np.array_equal(got, np.asarray(Image.open(file))) or got.shape[:2] != (grid.height, grid.width):
            raise SystemExit(f"{file}: not the picture that TensorBoard reads")
    print(f"samples: {len(grids)} grids")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", nargs="?", type=pathlib.Path)
    parser.add_argument("--fixture", action="store_true")
    arguments = parser.parse_args()
    if arguments.fixture:
        write_fixture()
    if arguments.run:
        compare(arguments.run)
