"""Videos made on the spot: a bright square that slides to the right, drops, or rests, on a gray ground with grain."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

CLASSES = ["slide", "drop"]
FPS, SECONDS, HEIGHT, WIDTH = 10, 8.0, 48, 64


def frames(seed: int) -> tuple[np.ndarray, list[tuple[str, float, float]]]:
    """uint8 [T, H, W, 3] and (class, start, end) in seconds."""
    rng = np.random.default_rng(seed)
    total = int(FPS * SECONDS)
    place = np.zeros((total, 2))
    place[:] = 4 + rng.integers(0, 6, 2)
    actions, at = [], int(rng.integers(8, 14))
    while at + 12 < total:
        label = CLASSES[(len(actions) + seed) % 2]
        move = np.linspace(0, 24, 12)[:, None] * ([0, 1] if label == "slide" else [1, 0])
        place[at : at + 12] += move
        actions.append((label, at / FPS, (at + 12) / FPS))
        at += 12 + int(rng.integers(12, 20))
    images = np.full((total, HEIGHT, WIDTH, 3), 90, np.int64)
    for image, (top, left) in zip(images, place.astype(int), strict=True):
        image[top : top + 12, left : left + 12] = 220
    return np.clip(images + rng.integers(-6, 7, images.shape), 0, 255).astype(np.uint8), actions


def write_video(path: Path, images: np.ndarray, fps: int = FPS) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=fps)
        stream.width, stream.height, stream.pix_fmt = images.shape[2], images.shape[1], "yuv420p"
        stream.bit_rate = 2_000_000
        for image in images:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def make_videos(folder: Path, *, train: int = 5, test: int = 2) -> Path:
    """A video data set: dataset.json, videos/, points.csv in seconds, lists, gt.json."""
    (folder / "videos").mkdir(parents=True)
    names = [f"v{i}" for i in range(train + test)]
    rows, database = ["class,video_id,time_s"], {}
    for i, name in enumerate(names):
        images, actions = frames(i)
        write_video(folder / "videos" / f"{name}.mp4", images)
        database[name] = {
            "duration": SECONDS,
            "annotations": [{"label": c, "segment": [a, b]} for c, a, b in actions],
        }
        if i < train:
            rows += [f"{c},{name},{(a + b) / 2:.3f}" for c, a, b in actions]
    (folder / "dataset.json").write_text(json.dumps({"name": "clips", "classes": CLASSES, "fps": FPS}))
    (folder / "points.csv").write_text("\n".join(rows) + "\n")
    (folder / "gt.json").write_text(json.dumps({"database": database}))
    (folder / "train.txt").write_text("\n".join(names[:train]))
    (folder / "test.txt").write_text("\n".join(names[train:]))
    return folder


class FakeExporter:
    """Stands in for the exporter, which takes seconds: `files` of a module are the files of a backbone folder."""

    def __init__(self, files: Callable[[torch.nn.Module], dict[str, bytes]] = lambda module: {"backbone.onnx": b""}):
        self._files = files

    def check_installed(self, purpose: str) -> None:
        pass

    def backbone_files(self, module: torch.nn.Module, spec: object) -> dict[str, bytes]:
        return self._files(module)
