"""Columns that describe a pose, from the key points of a person, in an ONNX graph.

Lengths are relative to the size of the body, and angles to the vertical, so that they depend little on where the camera
hangs and how far the person is. A column whose key points are uncertain tends to 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .movenet import HEIGHT, POINTS, WIDTH, Pose, find_twice
from .nodes import Nodes
from .tfjs import GraphModel

GROUPS = {
    "head": (0, 1, 2, 3, 4),
    "shoulders": (5, 6),
    "wrists": (9, 10),
    "hips": (11, 12),
    "knees": (13, 14),
    "ankles": (15, 16),
}
"""Key points by part of the body."""
_LINES = {
    "body": ("ankles", "head"),
    "torso": ("hips", "shoulders"),
    "neck": ("shoulders", "head"),
    "thighs": ("knees", "hips"),
    "shanks": ("ankles", "knees"),
}
"""From the lower to the upper end in an upright pose."""
_HEIGHTS = (("hips", "head"), ("ankles", "hips"), ("knees", "hips"), ("shoulders", "wrists"))
_UNSURE, _SURE = 0.1, 0.4
_LEAST_SHARE = 0.03
_LEAST_LENGTH = 0.02


FRAMES = 7
"""Frames of a clip, at 10 per second: the change is over 0.6 s."""


@dataclass(frozen=True, slots=True)
class Body:
    """A pose, in units of the height of the picture. Every tensor is [N, 1].

    Attributes:
        score: Mean score of the key points by group, and of all as "all".
        sure: How far the places of a group count, from 0 to 1; likewise of all.
        y: Place by group.
        x: Likewise.
        size: Root mean square distance of the key points from their center.
        tall: Variance of the key points along the vertical.
        wide: Along the horizontal.
        slant: Their covariance.
    """

    score: dict[str, str]
    sure: dict[str, str]
    y: dict[str, str]
    x: dict[str, str]
    size: str
    tall: str
    wide: str
    slant: str


def pose_graph(model: GraphModel) -> bytes:
    """clips [N, FRAMES, 3, 240, 320], RGB from 0 to 255 -> features [N, COLUMNS], by MoveNet in two passes.

    The columns describe the last frame of a clip, and the change since the first one; the frames between are not seen.

    Raises:
        InputError: The model is not MoveNet (single pose).
    """
    writer = Nodes()
    pictures = writer.reshape(writer.take("clips", (0, FRAMES - 1), 1), -1, 3, HEIGHT, WIDTH)
    _, pose = find_twice(model, writer, pictures)
    pairs = [writer.reshape(each, -1, 2, POINTS) for each in (pose.y, pose.x, pose.score)]
    before, now = (read_body(writer, Pose(*(writer.take(pair, k, 1) for pair in pairs))) for k in range(2))
    columns = [*pose_columns(writer, now).values(), *change_columns(writer, before, now).values()]
    features = writer.add("Concat", *columns, axis=1)
    shape: list[int | str] = ["N", FRAMES, 3, HEIGHT, WIDTH]
    return writer.graph("movenet", {"clips": shape}, {"features": (features, ["N", len(columns)])})


def read_body(writer: Nodes, pose: Pose) -> Body:
    """Groups of key points, and the size of the body."""
    share = writer.clamp(writer.add("Div", writer.add("Sub", pose.score, _UNSURE), _SURE - _UNSURE), 0.0, 1.0)
    weight = writer.add("Add", share, _LEAST_SHARE)
    y, x = (writer.add("Div", place, float(HEIGHT)) for place in (pose.y, pose.x))
    ys, xs = {}, {}
    score, sure = (
        {
            name: writer.add("ReduceMean", writer.take(of, points, 1), np.array([1], np.int64), keepdims=1)
            for name, points in (*GROUPS.items(), ("all", range(POINTS)))
        }
        for of in (pose.score, share)
    )
    for name, points in GROUPS.items():
        of = writer.take(weight, points, 1)
        total = writer.total(of, 1, keep=True)
        ys[name], xs[name] = (
            writer.add("Div", writer.total(writer.add("Mul", of, writer.take(place, points, 1)), 1, keep=True), total)
            for place in (y, x)
        )
    total = writer.total(weight, 1, keep=True)
    apart = []
    for place in (y, x):
        center = writer.add("Div", writer.total(writer.add("Mul", weight, place), 1, keep=True), total)
        apart.append(writer.add("Sub", place, center))

    def moment(a: str, b: str) -> str:
        product = writer.add("Mul", writer.add("Mul", a, b), weight)
        return writer.add("Div", writer.total(product, 1, keep=True), total)

    tall, wide, slant = moment(apart[0], apart[0]), moment(apart[1], apart[1]), moment(apart[0], apart[1])
    size = writer.add("Sqrt", writer.add("Add", writer.add("Add", tall, wide), _LEAST_LENGTH**2))
    return Body(score, sure, ys, xs, size, tall, wide, slant)


def pose_columns(writer: Nodes, body: Body) -> dict[str, str]:
    """The columns of one pose by name, each [N, 1]."""
    columns = {f"{name} score": score for name, score in body.score.items()}
    for name, (low, high) in _LINES.items():
        rise = writer.add("Sub", body.y[low], body.y[high])
        aside = writer.add("Abs", writer.add("Sub", body.x[low], body.x[high]))
        squares = writer.add("Add", writer.add("Mul", rise, rise), writer.add("Mul", aside, aside))
        length = writer.add("Sqrt", writer.add("Add", squares, _LEAST_LENGTH**2))
        both = writer.add("Min", body.sure[low], body.sure[high])
        columns[f"{name} upright"] = writer.add("Mul", both, writer.add("Div", rise, length))
        columns[f"{name} aside"] = writer.add("Mul", both, writer.add("Div", aside, length))
    for low, high in _HEIGHTS:
        both = writer.add("Min", body.sure[low], body.sure[high])
        rise = writer.add("Div", writer.add("Sub", body.y[low], body.y[high]), body.size)
        columns[f"{high} above {low}"] = writer.add("Mul", both, rise)
    spread = writer.add("Add", writer.add("Add", body.tall, body.wide), _LEAST_LENGTH**2)
    columns["tall"] = writer.add(
        "Mul", body.sure["all"], writer.add("Div", writer.add("Sub", body.tall, body.wide), spread)
    )
    columns["slant"] = writer.add("Mul", body.sure["all"], writer.add("Div", writer.add("Abs", body.slant), spread))
    columns["size"] = writer.add("Mul", body.sure["all"], writer.add("Log", writer.add("Mul", body.size, 5.0)))
    for name in ("head", "hips", "ankles"):
        columns[f"{name} low"] = writer.add("Mul", body.sure[name], writer.add("Sub", body.y[name], 0.5))
    middle = writer.add("Abs", writer.add("Sub", body.x["hips"], WIDTH / HEIGHT / 2))
    columns["off center"] = writer.add("Mul", body.sure["hips"], middle)
    return columns


def change_columns(writer: Nodes, before: Body, now: Body) -> dict[str, str]:
    """How the person moved between two poses, relative to the size of the body."""
    columns = {}
    size = writer.add("Mul", writer.add("Add", now.size, before.size), 0.5)
    for name in ("head", "shoulders", "hips", "ankles"):
        both = writer.add("Min", now.sure[name], before.sure[name])
        for axis, (a, b) in {"down": (now.y, before.y), "across": (now.x, before.x)}.items():
            moved = writer.add("Div", writer.add("Sub", a[name], b[name]), size)
            if axis == "across":
                moved = writer.add("Abs", moved)
            columns[f"{name} {axis}"] = writer.add("Mul", both, writer.clamp(moved, -3.0, 3.0))
    whole = writer.add("Min", now.sure["all"], before.sure["all"])
    grown = writer.add("Sub", writer.add("Log", now.size), writer.add("Log", before.size))
    columns["grown"] = writer.add("Mul", whole, grown)
    return columns
