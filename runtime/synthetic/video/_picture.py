"""Rendering of tracks to frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from punctum.kernels import _draw

from ...datatypes import compact
from ._backdrop import MARGIN, Camera, make_camera, make_texture
from ._stage import F32, Body, Stage


@compact
@dataclass(slots=True, eq=False, repr=False)
class Picture:
    """A stage and how it looks. backdrop float32 [H + 2m, W + 2m, 3]; block: the texture of the blocks."""

    stage: Stage
    size: tuple[int, int]
    backdrop: F32
    block: F32
    camera: Camera

    def frames(self) -> Iterator[npt.NDArray[np.uint8]]:
        height, width = self.size
        canvas = np.empty((height, width, 3), np.float32)
        camera = self.camera
        for k in range(self.stage.total):
            dy, dx = (float(value) for value in camera.shift[k])
            _draw.paint_backdrop(canvas, self.backdrop, dy, dx)
            for behind in (True, False):
                for body in self.stage.bodies:
                    if body.behind[k] == behind and body.alpha[k] > 0:
                        self._paint(canvas, body, k, dy, dx)
                if behind:
                    for top, left, bottom, right in self.stage.blocks:
                        edges = (height * value for value in (top, left, bottom, right))
                        _draw.paint_block(canvas, self.block, *edges, dy, dx)
            frame = np.empty((height, width, 3), np.uint8)
            y, x = (int(value) for value in camera.place[k])
            _draw.expose(canvas, float(camera.gain[k]), float(camera.slope[k]), camera.noise, y, x, frame)
            yield frame

    def _paint(self, canvas: F32, body: Body, k: int, dy: float, dx: float) -> None:
        unit = float(self.size[0])
        place = (body.x[k] * unit + dx, body.y[k] * unit + dy, body.radius * body.size[k] * unit)
        form = (float(body.turn[k]), float(body.stretch[k]), float(body.axis[k]), float(body.alpha[k]))
        if body.kind == "figure":
            _draw.paint_figure(canvas, *place, *form, body.limbs[k], body.colors[k])
        else:
            _draw.paint_shape(canvas, *place, *form, body.outline, body.texture, body.frequency, body.colors[k])


def make_picture(
    rng: np.random.Generator, total: int, fps: float, size: tuple[int, int]
) -> tuple[Picture, npt.NDArray[np.float32]]:
    """An empty stage with a background, and the mean colors of the latter and of blocks, float32 [2, 3]."""
    height, width = size
    margin = round(MARGIN * height / 120) + 1
    backdrop = make_texture(rng, height + 2 * margin, width + 2 * margin)
    block = make_texture(rng, height, width)
    camera = make_camera(rng, total, fps, height, width)
    picture = Picture(Stage(fps, total, width / height), size, backdrop, block, camera)
    return picture, np.stack([backdrop.mean(axis=(0, 1)), block.mean(axis=(0, 1))]).astype(np.float32)
