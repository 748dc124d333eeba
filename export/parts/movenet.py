"""MoveNet: 17 key points of one person, from pictures, in an ONNX graph that takes any number of pictures.

MoveNet finds the person whose center is most distinct, regresses the key points from there, and takes for each the
strongest response near its regressed place. In place of the strongest response, the graph takes the mean over
responses weighted by a high power of them: the same up to parts of a cell where one response stands out, and without
jumps between two that are nearly equal, so that rounding and half precision do not change a column by much.

The network expects a person that fills the picture, as it does in the crop that applications cut around the pose of
the previous frame. Features must not depend on earlier calls, so each picture is seen twice: whole, and as the crop
around what was found. Dark pictures are brightened first.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .nodes import Nodes
from .tfjs import GraphModel, Picture, convert

POINTS = 17
"""Nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles; of each pair the left one first."""
HEIGHT, WIDTH = 240, 320
"""Size of the pictures that the graph takes."""
SHARPNESS = 16.0
"""The power of the responses."""
_INPUT = "StatefulPartitionedCall/stack"
_HEADS = (
    "StatefulPartitionedCall/truediv_2",
    "StatefulPartitionedCall/kpt_regress_0/conv2d_6/BiasAdd",
    "StatefulPartitionedCall/Sigmoid",
    "StatefulPartitionedCall/kpt_offset_0/conv2d_7/BiasAdd",
)
"""Weighted center responses, regressed places, responses of the key points, places within a cell."""
_NEAR = 1.8
"""Cells that are added to the distance from the regressed place."""
_LEAST = 1e-6
_MARGIN = 1.3
_SMALLEST = 0.15
"""Half side of the smallest crop, relative to the height of the picture."""
_USUAL, _MOST_GAIN = 110.0, 12.0
"""Mean of a picture below which it is brightened, and the most that its darkest values are multiplied by."""
_SURE, _UNSURE = 0.3, 0.1
"""Scores from which a key point counts fully, and up to which it does not count."""

F32 = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Pose:
    """Key points in an ONNX graph.

    Attributes:
        y: [N, 17], in pixels of the picture.
        x: Likewise.
        score: [N, 17], from 0 to 1.
    """

    y: str
    x: str
    score: str


def find_twice(model: GraphModel, writer: Nodes, pictures: str, *, sharpness: float = SHARPNESS) -> tuple[Pose, Pose]:
    """Key points in the whole picture, and in the crop around them.

    Args:
        model: MoveNet (single pose).
        writer: The graph.
        pictures: [N, 3, HEIGHT, WIDTH], RGB from 0 to 255.
        sharpness: The power of the responses.

    Raises:
        InputError: The model is another one.
    """
    half = writer.constant(np.full((1, 1), max(HEIGHT, WIDTH) / 2, np.float32))
    middle = [writer.constant(np.full((1, 1), side / 2, np.float32)) for side in (HEIGHT, WIDTH)]
    pictures = _brightened(writer, pictures)
    first = _find(model, writer, pictures, middle[0], middle[1], half, sharpness)
    y, x, around = _crop(writer, first)
    return first, _find(model, writer, pictures, y, x, around, sharpness)


def _brightened(writer: Nodes, pictures: str) -> str:
    """Dark pictures brighter, the others as they are: x -> g x / (1 + (g - 1) x / 255), by the mean of the picture."""
    mean = writer.add("ReduceMean", pictures, np.array([1, 2, 3], np.int64), keepdims=1)
    more = writer.add(
        "Sub", writer.clamp(writer.add("Div", _USUAL, writer.add("Add", mean, 0.1)), 1.0, _MOST_GAIN), 1.0
    )
    share = writer.add("Div", writer.add("Mul", more, pictures), 255.0)
    gain = writer.add("Div", writer.add("Add", more, 1.0), writer.add("Add", share, 1.0))
    return writer.add("Mul", pictures, gain)


def _crop(writer: Nodes, pose: Pose) -> tuple[str, str, str]:
    """Center and half side [N, 1] of the square around a person; of the whole picture where none was found."""
    share = writer.clamp(
        writer.add("Div", writer.add("Sub", pose.score, _UNSURE), _SURE - _UNSURE), 0.0, 1.0
    )  # of each key point
    total = writer.add("Add", writer.total(share, 1, keep=True), 1e-3)
    centers = [
        writer.add("Div", writer.total(writer.add("Mul", share, place), 1, keep=True), total)
        for place in (pose.y, pose.x)
    ]
    reaches = [
        writer.add("Mul", share, writer.add("Abs", writer.add("Sub", place, center)))
        for place, center in zip((pose.y, pose.x), centers, strict=True)
    ]
    farthest = writer.add("ReduceMax", writer.add("Concat", *reaches, axis=1), np.array([1], np.int64), keepdims=1)
    half = writer.clamp(writer.add("Mul", farthest, _MARGIN), _SMALLEST * HEIGHT, max(HEIGHT, WIDTH) / 2)
    # Five key points that count fully are a person.
    found = writer.clamp(writer.add("Div", total, 5.0), 0.0, 1.0)
    whole = (HEIGHT / 2, WIDTH / 2, max(HEIGHT, WIDTH) / 2)
    y, x, side = (
        writer.add("Add", writer.add("Mul", found, writer.add("Sub", value, rest)), rest)
        for value, rest in zip((*centers, half), whole, strict=True)
    )
    return y, x, side


def find_in_squares(model: GraphModel, writer: Nodes, squares: str, *, sharpness: float = SHARPNESS) -> Pose:
    """Key points in pictures of the size that the network takes, relative to their side.

    Args:
        model: MoveNet (single pose).
        writer: The graph.
        squares: [N, 3, S, S], RGB from 0 to 255; S is 256 (thunder) or 192 (lightning).
        sharpness: The power of the responses.

    Raises:
        InputError: The model is another one.
    """
    size = model.input_shape[1]
    return _decode(writer, convert(model, writer, {_INPUT: Picture(squares, 3, size, size)}, _HEADS), sharpness)


def _find(model: GraphModel, writer: Nodes, pictures: str, y: str, x: str, half: str, sharpness: float) -> Pose:
    """Key points in a square of the pictures with center and half side y, x, half [N or 1, 1]."""
    size = model.input_shape[1]
    rows = _sampling(writer, y, half, size, HEIGHT)
    columns = writer.add("Transpose", _sampling(writer, x, half, size, WIDTH), perm=[0, 1, 3, 2])
    square = writer.add("MatMul", rows, writer.add("MatMul", pictures, columns))
    place = find_in_squares(model, writer, square, sharpness=sharpness)
    scale = writer.add("Mul", half, 2.0)
    found = [
        writer.add("Add", writer.add("Mul", each, scale), writer.add("Sub", middle, half))
        for each, middle in ((place.y, y), (place.x, x))
    ]
    return Pose(found[0], found[1], place.score)


def _sampling(writer: Nodes, middle: str, half: str, size: int, source: int) -> str:
    """Weights [N or 1, 1, size, source] of `source` pixels for `size` pixels from middle - half to middle + half.

    Linear interpolation; the mean over a triangle where the picture is reduced. Black outside of the picture.
    """
    steps = writer.constant((2 * (np.arange(size, dtype=np.float32) + 0.5) / size - 1).reshape(1, size))
    places = writer.add("Add", middle, writer.add("Mul", half, steps))
    width = writer.add("Max", writer.add("Mul", half, 2.0 / size), 1.0)
    pixels = writer.constant((np.arange(source, dtype=np.float32) + 0.5).reshape(1, 1, 1, source))
    near = writer.add("Abs", writer.add("Sub", writer.reshape(places, -1, 1, size, 1), pixels))
    width = writer.reshape(width, -1, 1, 1, 1)
    weights = writer.add("Relu", writer.add("Sub", 1.0, writer.add("Div", near, width)))
    return writer.add("Div", weights, width)


def _decode(writer: Nodes, heads: list[Picture], sharpness: float) -> Pose:
    """Key points relative to the side of the square, from the four heads."""
    center, regressed, responses, offsets = heads
    cells = center.height * center.width
    grid = np.indices((center.height, center.width), dtype=np.float32).reshape(2, cells)
    chosen = _weights(writer, writer.reshape(center.tensor, -1, 1, cells), sharpness)
    there = writer.total(writer.add("Mul", writer.reshape(regressed.tensor, -1, 2 * POINTS, cells), chosen), 2)
    at = writer.total(writer.add("Mul", chosen, writer.constant(grid[None], "grid")), 2)
    expected = writer.add("Add", writer.reshape(there, -1, POINTS, 2), writer.reshape(at, -1, 1, 2))
    places = writer.constant(grid[None, None], "places")
    apart = writer.add("Sub", places, writer.reshape(expected, -1, POINTS, 2, 1))
    distance = writer.add("Sqrt", writer.total(writer.add("Mul", apart, apart), 2))
    heat = writer.reshape(responses.tensor, -1, POINTS, cells)
    best = _weights(writer, writer.add("Div", heat, writer.add("Add", distance, _NEAR)), sharpness)
    inside = writer.add("Add", writer.reshape(offsets.tensor, -1, POINTS, 2, cells), places)
    found = writer.total(writer.add("Mul", inside, writer.reshape(best, -1, POINTS, 1, cells)), 3)
    found = writer.add("Div", found, float(center.height))
    score = writer.total(writer.add("Mul", heat, best), 2)
    return Pose(writer.take(found, 0, 2), writer.take(found, 1, 2), score)


def _weights(writer: Nodes, values: str, sharpness: float) -> str:
    """Weights along the last axis: a power of the values, which are not negative."""
    logarithm = writer.add("Log", writer.add("Add", values, _LEAST))
    return writer.add("Softmax", writer.add("Mul", logarithm, sharpness), axis=-1)
