"""Small data set folders in every layout, made on the spot, and what the truth in them is."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

LABELS = ("wave", "push", "turn")
FPS, FRAMES, DIM, SNIPPETS = 20.0, 5, 6, 40  # 0.25 s a snippet, 10 s a video
STRIDE_S = FRAMES / FPS
Action = tuple[str, float, float]


def actions(number: int) -> list[Action]:
    """Two actions a video; every class comes up among the first three videos."""
    return [(LABELS[number % 3], 1.0, 2.5), (LABELS[(number + 1) % 3], 5.0, 7.0)]


def features(number: int, dim: int = DIM) -> np.ndarray:
    return np.random.default_rng(number).normal(size=(SNIPPETS, dim)).astype(np.float32)


def database(videos: Sequence[str], **extra: object) -> dict:
    return {
        "database": {
            video: {
                "duration": SNIPPETS * STRIDE_S,
                **extra,
                "annotations": [{"label": c, "segment": [a, b]} for c, a, b in actions(i)],
            }
            for i, video in enumerate(videos)
        }
    }


def point_rows(videos: Sequence[str], fps: float = FPS) -> list[list[object]]:
    """Header and one point in the middle of every action; start and stop are the truth that must not be read."""
    rows: list[list[object]] = [["class", "start_frame", "stop_frame", "video_id", "point"]]
    for i, video in enumerate(videos):
        rows += [[c, a * fps, b * fps, video, round((a + b) / 2 * fps)] for c, a, b in actions(i)]
    return rows


def write_rows(path: Path, rows: Sequence[Sequence[object]], encoding: str = "utf-8") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding=encoding) as stream:
        csv.writer(stream).writerows(rows)


def make_ours(folder: Path, *, train: int = 4, test: int = 3, split: str = "") -> Path:
    """Our layout. Videos v0, v1, ...: the first `train` are for training."""
    videos = [f"v{i}" for i in range(train + test)]
    base = folder / split
    (base / "features").mkdir(parents=True)
    for i, video in enumerate(videos):
        np.save(base / "features" / f"{video}.npy", features(i))
    info = {"name": "tiny", "classes": list(LABELS), "fps": FPS, "snippet_frames": FRAMES, "feature_dim": DIM}
    (folder / "dataset.json").write_text(json.dumps(info))
    (folder / "gt.json").write_text(json.dumps(database(videos), indent=0))
    write_rows(folder / "points.csv", point_rows(videos))
    (base / "train.txt").write_text("\n".join(videos[:train]) + "\n")
    (base / "test.txt").write_text("\n".join(videos[train:]) + "\n")
    return folder


def make_published(folder: Path, kind: str) -> Path:
    """The layout of LACP (RGB and flow apart, fps_dict.json) or of HR-Pro (fps in gt_full.json). Videos at 30 fps."""
    lists = {"train": ["a0", "a1", "a2"], "test": ["a3", "a4"]}
    videos = lists["train"] + lists["test"]
    rows = point_rows(videos, fps=30.0)
    if kind == "lacp":
        rows = [[row[0], "class_index" if i == 0 else 2 - LABELS.index(row[0]), *row[1:]] for i, row in enumerate(rows)]
        write_rows(folder / "point_gaussian" / "point_labels.csv", rows)
        (folder / "gt.json").write_text(json.dumps(database(videos)))
        (folder / "fps_dict.json").write_text(json.dumps(dict.fromkeys(videos, 30.0)))
    else:
        write_rows(folder / "point_labels" / "point_gaussian.csv", rows)
        (folder / "gt_full.json").write_text(json.dumps(database(videos, fps=30.0)))
    for subset, names in lists.items():
        (folder / f"split_{subset}.txt").write_text("\n".join(names))
        for name in names:
            both = features(videos.index(name), 2 * DIM)
            base = folder / "features" / subset
            parts = {f"rgb/{name}": both[:, :DIM], f"flow/{name}": both[:, DIM:]} if kind == "lacp" else {name: both}
            for place, part in parts.items():
                (base / place).parent.mkdir(parents=True, exist_ok=True)
                np.save(base / f"{place}.npy", part)
    return folder


def perfect(videos: Sequence[str], first: int) -> dict:
    """ActivityNet results that repeat the truth; `first` is the number of the first video."""
    return {
        "results": {
            video: [{"label": c, "score": 0.9, "segment": [a, b]} for c, a, b in actions(first + i)]
            for i, video in enumerate(videos)
        }
    }
