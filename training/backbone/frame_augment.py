"""Videos as another camera might have recorded them: other exposure, darkness, noise, denoising and compression.

Few clicks come from few rooms at few hours, so a locator learns the light of those, too. It is therefore trained on
features of augmented copies of the same videos as well, with the same clicks. Frames are altered where the backbone
gets them, after resampling, by the code that extracts features anyway, so this works with every backbone.
"""

from __future__ import annotations

import hashlib
import zlib

import numpy as np
import numpy.typing as npt
from punctum.runtime.backbone.backbone import VideoBackbone
from punctum.runtime.backbone.preprocess import Preprocessor
from punctum.runtime.bundle.backbone_spec import BackboneSpec

from ..arrays import F32

VERSION = 2
"""Of the rules below: features that were extracted by others are not used."""
_DARK_EVERY = 3  # of that many copies of a video, one is dark
_CELLS = 48  # rows of the grid of noise and compression: finer noise would vanish where a graph scales down


class AugmentedBackbone(VideoBackbone):
    """A backbone that gets altered copies of the frames: one decoding serves all copies.

    A prepared frame contains those of all copies, one below the other, and a row of features the columns of all copies,
    one after the other. How frames are altered depends on the video's first frame and the number of the copy only.

    Args:
        backbone: the backbone, whose graph is shared.
        copies: how many, numbered from 1.
    """

    def __init__(self, backbone: VideoBackbone, copies: int) -> None:
        super().__init__(
            backbone._runner,
            backbone.spec.model_copy(update={"height": copies * backbone.spec.height}),
            dim=copies * backbone.dim,
            digest=hashlib.sha256(f"{backbone.digest} {VERSION} {copies}".encode()).hexdigest(),
            name=backbone.name,
            engine_spec=backbone.engine_spec,
        )
        self.copies = copies
        self._backbone = backbone

    def preprocessor(self) -> Preprocessor:
        return AugmentedPreprocessor(self._backbone.spec, self.copies)

    def embed(self, clips: F32) -> F32:
        """Clips of altered copies, heights one after the other -> features float32 [N, copies * D]."""
        apart = np.split(clips, self.copies, axis=3)  # [N, T, C, H, W] or [N, C, T, H, W]
        return np.concatenate([self._backbone.embed(np.ascontiguousarray(one)) for one in apart], axis=1)


class AugmentedPreprocessor(Preprocessor):
    """Prepares the frames of one video in order, and alters them."""

    def __init__(self, spec: BackboneSpec, copies: int) -> None:
        super().__init__(spec)
        self._copies = copies
        self._mean = np.asarray(spec.mean, np.float32)[:, None, None]
        self._std = np.asarray(spec.std, np.float32)[:, None, None]
        self._cameras: list[Camera] = []

    def __call__(self, image: npt.ArrayLike, aspect: float = 1.0) -> F32:
        planes = super().__call__(image, aspect) * self._std + self._mean
        if not self._cameras:
            number = zlib.crc32(planes.tobytes())
            for copy in range(1, self._copies + 1):
                dark = (number + copy) % _DARK_EVERY == 0  # drawn freely, some classes would have no dark copy
                self._cameras.append(Camera(np.random.default_rng([number, copy]), self.spec.fps, dark=dark))
        altered = np.concatenate([camera(planes) for camera in self._cameras], axis=1)
        return np.ascontiguousarray((altered - self._mean) / self._std)


class Camera:
    """Alters frames float32 [C, H, W] in 0..1, one after the other.

    Args:
        rng: source of all draws.
        fps: frames per second.
        dark: whether the scene has little light.
    """

    def __init__(self, rng: np.random.Generator, fps: float, *, dark: bool) -> None:
        self._rng, self._fps, self._count = rng, fps, 0
        self._gain = float(np.exp(rng.uniform(np.log(0.05), np.log(0.35)))) if dark else float(rng.uniform(0.45, 1.3))
        self._gamma = float(rng.uniform(0.7, 1.15) if dark else rng.uniform(0.55, 1.3))
        self._stray = float(rng.uniform(0, 0.06)) if dark and rng.random() < 0.3 else 0.0
        self._contrast = float(rng.uniform(0.6, 1.4)) if not dark and rng.random() < 0.3 else 1.0
        self._noise = float(np.exp(rng.uniform(np.log(8e-4), np.log(0.012)))) * (1.5 if dark else 1.0)
        self._wave = float(rng.uniform(0.1, 4.0)) if rng.random() < 0.25 else 0.0  # Hz, beat of lamps and exposure
        self._smooth = float(rng.uniform(0.4, 0.85)) if rng.random() < 0.35 else 1.0  # denoising over time
        self._blur = bool(rng.random() < 0.3)
        self._least = float(np.exp(rng.uniform(np.log(0.004), np.log(0.03)))) if rng.random() < 0.5 else 0.0
        self._every = int(rng.choice([5, 12, 30, 120]))  # frames between two that are encoded as a whole
        self._side = int(rng.choice([1, 2, 4]))  # cells of a block of the encoder
        self._repeat = int(rng.choice([2, 3])) if rng.random() < 0.12 else 1  # low frame rate
        self._shades = 255.0 if rng.random() < 0.7 else 64.0
        self._before: F32 | None = None
        self._shown: F32 | None = None

    def __call__(self, planes: F32) -> F32:
        index, before = self._count, self._before
        self._count += 1
        image = self._noisy(self._exposed(planes, index))
        if before is not None and before.shape == image.shape:
            image = np.asarray(self._smooth * image + (1 - self._smooth) * before, np.float32)
        if self._blur:
            moved = (np.roll(image, 1, 1), np.roll(image, 1, 2), np.roll(image, (1, 1), (1, 2)))
            image = np.asarray((image + sum(moved)) / 4, np.float32)
        if self._least and index % self._every and before is not None and before.shape == image.shape:
            image = self._encoded(image, before)
        self._before = image
        if index % self._repeat and self._shown is not None and self._shown.shape == image.shape:
            return self._shown
        shades = np.clip(np.round(image * self._shades), 0, self._shades)
        self._shown = np.asarray(shades / self._shades, np.float32)
        return self._shown

    def _exposed(self, planes: F32, index: int) -> F32:
        gain = self._gain
        if self._wave:
            gain *= 1 + 0.03 * np.sin(2 * np.pi * self._wave * index / self._fps)
        image = np.clip(planes * gain, 0, 1) ** self._gamma + self._stray
        return np.asarray(np.clip((image - 0.5) * self._contrast + 0.5, 0, 1), np.float32)

    def _noisy(self, image: F32) -> F32:
        """Shot and read noise, the same in all channels."""
        rows, columns, cell = self._grid(image)
        noise = np.kron(self._rng.standard_normal((rows, columns), np.float32), np.ones((cell, cell), np.float32))
        spread = self._noise * np.sqrt(0.4 + 2 * image)
        return np.asarray(np.clip(image + noise[: image.shape[1], : image.shape[2]] * spread, 0, 1), np.float32)

    def _encoded(self, image: F32, before: F32) -> F32:
        """Blocks that changed little stay as they were."""
        cell = self._grid(image)[2] * self._side
        height, width = image.shape[1:]
        change = np.abs(image - before).mean(0)
        change = np.pad(change, ((0, -height % cell), (0, -width % cell)), mode="edge")
        blocks = change.reshape(len(change) // cell, cell, -1, cell).mean((1, 3))
        least = self._least * (float(image.mean()) * 1.5 + 0.2) / (1.0 if self._side == 1 else 1.5)
        same = np.kron(blocks < least, np.ones((cell, cell), bool))[:height, :width]
        return np.where(same, before, image)

    @staticmethod
    def _grid(image: F32) -> tuple[int, int, int]:
        """Rows and columns of the grid, and pixels on the side of a cell."""
        height, width = image.shape[1:]
        cell = max(1, round(height / _CELLS))
        return -(-height // cell), -(-width // cell), cell
