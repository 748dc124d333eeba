"""From frames of the clip to the input of a part, as constants of matrix products and convolutions.

Exact area resampling, as `kernels.resize_area` does it for frames of a video. It is written as two matrix products
(or as one convolution where the sizes divide), because the ONNX operator Resize with antialias is not accepted by
TensorRT and without it skips pixels. Colors and normalization are folded into the convolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from punctum.runtime.backbone.preprocess import crop_window
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.datatypes import by_value

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
_LUMA = np.array([[0.299, 0.587, 0.114]])


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Resampling:
    """Frames [M, C, H, W] -> rows @ frames @ columns -> convolution with stride.

    Attributes:
        rows: [h, H]; None: not multiplied.
        columns: [W, w]; None: not multiplied.
        weights: Of the convolution, [c, C, k, k]; its stride is its size.
        bias: [c].
    """

    rows: F32 | None
    columns: F32 | None
    weights: F32
    bias: F32

    @property
    def is_identity(self) -> bool:
        """Whether the convolution changes nothing."""
        outputs, inputs, *kernel = self.weights.shape
        same = outputs == inputs and kernel == [1, 1]
        return bool(same and np.array_equal(self.weights[:, :, 0, 0], np.eye(inputs)) and not self.bias.any())


def resampling(spec: BackboneSpec, clip: BackboneSpec) -> Resampling:
    """How frames of the clip (`clip`) become the input of a network (`spec`)."""
    top, left, tall, wide = crop_window(clip.height, clip.width, spec)
    mean, std = np.asarray(spec.mean), np.asarray(spec.std)
    color = _colors(spec, clip) / std[:, None]
    bias = (-mean / std).astype(np.float32)
    whole = (tall, wide) == (clip.height, clip.width)
    if whole and clip.height % spec.height == 0 and clip.width % spec.width == 0:
        kernel = (clip.height // spec.height, clip.width // spec.width)
        weights = np.broadcast_to(color[:, :, None, None], (*color.shape, *kernel)) / (kernel[0] * kernel[1])
        return Resampling(None, None, weights.astype(np.float32), bias)
    rows = area_matrix(clip.height, spec.height, top, tall).astype(np.float32)
    columns = area_matrix(clip.width, spec.width, left, wide).astype(np.float32).T
    return Resampling(rows, np.ascontiguousarray(columns), color[:, :, None, None].astype(np.float32), bias)


def area_matrix(source: int, target: int, begin: float, length: float) -> F64:
    """Weights [target, source]: means over `target` equal cells of [begin, begin + length) of `source` pixels."""
    edges = begin + length * np.arange(target + 1) / target
    pixels = np.arange(source)
    shares = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    weights: F64 = np.maximum(shares, 0.0)
    normalized: F64 = weights / weights.sum(axis=1, keepdims=True)
    return normalized


def _colors(spec: BackboneSpec, clip: BackboneSpec) -> F64:
    """[channels of the network, channels of the clip]."""
    if clip.colour == "gray":
        return np.ones((spec.channels, 1))
    if spec.colour == "gray":
        return _LUMA
    return np.eye(3)[::-1] if spec.colour == "bgr" else np.eye(3)


def apply(made: Resampling, frames: F32) -> F64:
    """The same by NumPy in double precision, to compare with: frames [M, C, H, W] -> [M, c, h, w]."""
    x = frames.astype(np.float64)
    if made.rows is not None and made.columns is not None:
        x = made.rows.astype(np.float64) @ x @ made.columns.astype(np.float64)
    kernel = made.weights.shape[2:]
    m, c, h, w = x.shape
    cells = x.reshape(m, c, h // kernel[0], kernel[0], w // kernel[1], kernel[1])
    result: F64 = np.einsum("mcyaxb,ocab->moyx", cells, made.weights.astype(np.float64), optimize=True)
    return result + made.bias[:, None, None]
