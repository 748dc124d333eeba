"""From a decoded frame to the input of a backbone: window, area resampling, color, normalization."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from punctum import kernels

from ..bundle.backbone_spec import BackboneSpec
from ..errors import InputError

F32 = npt.NDArray[np.float32]
U8 = npt.NDArray[np.uint8]
Window = tuple[float, float, float, float]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


def crop_window(rows: int, columns: int, spec: BackboneSpec, aspect: float = 1.0) -> Window:
    """The part of an image that the backbone sees. Its shape is that of the displayed picture.

    Args:
        rows: Height of the image in pixels.
        columns: Width of the image in pixels.
        spec: What the backbone expects.
        aspect: Width of a pixel divided by its height.

    Returns:
        (top, left, height, width) in pixels of the image.
    """
    if spec.resize == "stretch":
        return 0.0, 0.0, float(rows), float(columns)
    scale = min(rows / spec.height, columns * aspect / spec.width)
    tall, wide = spec.height * scale, spec.width * scale / aspect
    return (rows - tall) / 2, (columns - wide) / 2, tall, wide


class Preprocessor:
    """Prepares frames for one spec. Not thread-safe, because it reuses a buffer."""

    def __init__(self, spec: BackboneSpec) -> None:
        self.spec = spec
        mean, std = np.asarray(spec.mean, np.float64), np.asarray(spec.std, np.float64)
        self._scale = (1.0 / (255.0 * std)).astype(np.float32)[:, None, None]
        self._shift = (-mean / std).astype(np.float32)[:, None, None]
        self._small = np.empty((spec.height, spec.width, 3), np.float32)

    def __call__(self, image: npt.ArrayLike, aspect: float = 1.0) -> F32:
        """Prepare one frame.

        Args:
            image: uint8 [H, W, 3] in RGB order.
            aspect: Width of a pixel divided by its height.

        Returns:
            float32 [C, height, width].

        Raises:
            InputError: The image has another form.
        """
        array = np.asarray(image)
        if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
            raise InputError(
                "frame-form",
                f"A frame has dtype {array.dtype} and shape {array.shape}",
                "uint8 [H, W, 3] in RGB order",
                "convert the frame before it is pushed",
            )
        spec = self.spec
        crop = crop_window(array.shape[0], array.shape[1], spec, aspect)
        small = kernels.resize_area(array, spec.height, spec.width, crop=crop, out=self._small)
        if spec.colour == "gray":
            planes = (small[..., 0] * _LUMA[0] + small[..., 1] * _LUMA[1] + small[..., 2] * _LUMA[2])[None]
        elif spec.colour == "bgr":
            planes = small[..., ::-1].transpose(2, 0, 1)
        else:
            planes = small.transpose(2, 0, 1)
        return np.ascontiguousarray(planes * self._scale + self._shift)
