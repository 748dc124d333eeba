"""Make the backbone weights that ship: procedural footage of people with labels for every frame, and of shapes.

    python benchmarks/make_motion_weights.py --start WORK/run/backbone/weights.safetensors --work FOLDER

`--start` names the weights that `benchmarks/make_default_bundle.py --work WORK` leaves; training continues from them.
Rendering and training take about 5 minutes of processor time each. It writes `motion.safetensors`, from which
`punctum train-backbone` starts, and `motion/`, the same network as a backbone folder, which `punctum train` uses. Video
sets judge the result: `benchmarks/video_accuracy.py DATA --rows shipped`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from people.footage import Footage, write_people, write_recordings, written
from people.labels import LABELS
from people.learn import Domain, learn
from people.picture import develop
from people.raster import F32
from punctum.export.exporter import OnnxExporter
from punctum.runtime import Dataset
from punctum.runtime.files.atomic import atomic_folder, atomic_write
from punctum.runtime.synthetic.video import write_videos
from punctum.training.backbone.config import Augmentation, BackboneConfig
from punctum.training.backbone.frames import FrameStore
from punctum.training.backbone.net import BackboneNet
from punctum.training.backbone.train import SHIPPED, load_start
from punctum.training.models.weights import weights_bytes

CLIPS, STEPS, RATE = 560, 900, 1e-3
WINDOWS = (5, 2)  # of a step: people, shapes
SHAPE_VIDEOS, SHAPE_SECONDS, SHAPE_SEED = 60, 24.0, 5
SHAPE_WEIGHT = 4 / 7


def shape_recordings(videos: Path, config: BackboneConfig, frames: Path) -> Iterable[tuple[F32, F32, F32]]:
    """Every video of a data set as it is, and with another exposure and compression; labels by its ground truth."""
    data, store = Dataset.open(videos, need_features=False), FrameStore(frames, config.spec())
    database = json.loads(data.truth_file.read_text())["database"]
    for number, video in enumerate((*data.train, *data.test)):
        store.add(video, data.video_file(video))
        (span,) = store.spans(video)
        shown = np.asarray(span.frames, np.float32) / 65535.0
        labels = np.zeros((len(shown), len(data.labels)), np.float32)
        for each in database[video]["annotations"]:
            start, end = (int(at * config.fps + 0.5) for at in each["segment"])
            labels[start:end, data.labels.index(each["label"])] = 1
        nothing = np.zeros((len(shown), 0), np.float32)
        yield shown, labels, nothing
        picture = np.zeros((len(shown), len(LABELS)), np.float32)
        yield develop(shown, picture, np.random.default_rng([9, number]))[0], labels, nothing


def make(start: Path, work: Path, *, clips: int, steps: int) -> BackboneNet:
    """The trained network."""
    config = BackboneConfig(augmentation=Augmentation(grain=0.15))
    people, shapes = work / "people", work / "shapes"
    if not written(people):
        write_people(people, first=0, count=clips, floor=config.floor)
    if not written(shapes):
        videos = work / "videos"
        if not (videos / "dataset.json").is_file():
            write_videos(videos, count=SHAPE_VIDEOS, seed=SHAPE_SEED, seconds=SHAPE_SECONDS)
        write_recordings(shapes, shape_recordings(videos, config, work / "frames"), config.floor)
    seen = [Footage(folder, config) for folder in (people, shapes)]
    net = BackboneNet(config)
    load_start(net, start)
    domains = [Domain((seen[0],), WINDOWS[0]), Domain((seen[1],), WINDOWS[1], SHAPE_WEIGHT)]
    learn(net, domains, config, steps=steps, rate=RATE)
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--start", type=Path, required=True, help="weights to train further")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="weights file to write")
    parser.add_argument("--work", type=Path, help="keep the footage here, and use what is there")
    parser.add_argument("--clips", type=int, default=CLIPS)
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    torch.set_num_threads(1)  # part of the recipe: the order of sums depends on it
    with tempfile.TemporaryDirectory() as temporary:
        net = make(given.start, given.work or Path(temporary), clips=given.clips, steps=given.steps)
    atomic_write(given.out, weights_bytes(net))
    files = OnnxExporter().backbone_files(net, BackboneConfig().spec())
    with atomic_folder(given.out.with_suffix(""), replace=True) as folder:
        for name, data in files.items():
            (folder / name).write_bytes(data)
    print(f"{len(files['backbone.onnx']) / 1e6:.2f} MB -> {given.out}")


if __name__ == "__main__":
    main()
