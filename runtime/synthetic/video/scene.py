"""One procedural video: its actions and its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError

LABELS = ("bounce", "fall", "hide", "jump", "merge", "pulse", "spin", "split", "wave", "zigzag")
SCENES_VERSION = 1
"""Frames of a seed stay the same within a version."""

_MIN_SECONDS, _MAX_SECONDS = 5.0, 3600.0
_MIN_SIDE, _MAX_SIDE = 48, 1080
_MIN_FPS, _MAX_FPS = 5.0, 60.0

U8 = npt.NDArray[np.uint8]
Segments = tuple[tuple[int, float, float], ...]


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """A video whose frames are drawn when they are read.

    actions, near_misses: (label index, start_s, end_s) in order of start; a near miss has the label of the class that
    it imitates. Actions of different classes may overlap.
    """

    actions: Segments
    near_misses: Segments
    fps: float
    duration_s: float
    size: tuple[int, int]
    """Height and width in pixels."""
    actors: tuple[tuple[int, ...], ...]
    """For each action, the numbers of the bodies that act."""
    _picture: Any = field(repr=False)

    @property
    def frame_count(self) -> int:
        return int(self._picture.stage.total)

    @property
    def body_count(self) -> int:
        """Number of bodies, including distractors and those inside others."""
        return len(self._picture.stage.bodies)

    def frames(self) -> Iterator[U8]:
        """Every frame, uint8 [H, W, 3] RGB, each its own array. Frame k shows [k / fps, (k + 1) / fps)."""
        yield from self._picture.frames()

    def tracks(self, body: int) -> dict[str, npt.NDArray[np.float64]]:
        """State of one body in every frame: x, y (units of the frame's height, y down), size, turn, stretch, alpha,
        behind, each [T], and limbs [T, 4]. For checking the ground truth."""
        b = self._picture.stage.bodies[body]
        names = ("x", "y", "size", "turn", "stretch", "alpha", "behind", "limbs")
        return {name: np.asarray(getattr(b, name), np.float64).copy() for name in names}


def render(seed: int, *, seconds: float = 40.0, size: tuple[int, int] = (120, 160), fps: float = 20.0) -> Scene:
    """Make a scene. The same arguments and version give the same frames.

    Args:
        seed: Seed of the generator.
        seconds: Length, 5 to 3600.
        size: Height and width in pixels, even, 48 to 1080 (width up to twice that).
        fps: Frame rate, 5 to 60.

    Raises:
        InputError: An argument is out of range.
    """
    check_options(seconds=seconds, size=size, fps=fps)
    if seed < 0:
        raise InputError("scene-option", f"`seed` is {seed}", "0 or more", "change `seed`")
    from ._director import direct
    from ._picture import make_picture

    total = max(1, round(seconds * fps))
    layout, look = np.random.SeedSequence([SCENES_VERSION, seed]).spawn(2)
    picture, background = make_picture(np.random.default_rng(look), total, fps, size)
    plan = direct(np.random.default_rng(layout), picture.stage, background, LABELS)
    return Scene(plan.actions, plan.near_misses, float(fps), total / fps, size, plan.actors, picture)


def check_options(*, seconds: float, size: tuple[int, int], fps: float) -> None:
    """Raise InputError for options that cannot be rendered or encoded."""
    if not _MIN_SECONDS <= seconds <= _MAX_SECONDS:
        raise InputError(
            "scene-option",
            f"`seconds` is {seconds:g}",
            f"{_MIN_SECONDS:g} to {_MAX_SECONDS:g}",
            "change `seconds`",
        )
    if not _MIN_FPS <= fps <= _MAX_FPS:
        raise InputError("scene-option", f"`fps` is {fps:g}", f"{_MIN_FPS:g} to {_MAX_FPS:g}", "change `fps`")
    height, width = size
    sides_fit = _MIN_SIDE <= height <= _MAX_SIDE and _MIN_SIDE <= width <= 2 * _MAX_SIDE
    if not sides_fit or height % 2 or width % 2 or not 1.0 <= width / height <= 2.5:
        raise InputError(
            "scene-option",
            f"`size` is {width} x {height} (width x height)",
            f"even numbers, height {_MIN_SIDE} to {_MAX_SIDE}, width 1 to 2.5 times the height",
            "change `size`",
        )
