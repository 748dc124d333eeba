"""Features with their time base, and how to read them from files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..datatypes import by_value
from ..errors import InputError
from ..text.file_kinds import HEAD_BYTES, kind_of
from .media_clock import check_media_time

F32 = npt.NDArray[np.float32]
NPZ_KEY = "features"  # the array of a .npz file that holds several


@by_value
@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Features:
    """Features of a continuous part of a recording or stream.

    Row t covers media time [start_s + t * stride_s, start_s + (t + 1) * stride_s).

    Attributes:
        data: float32 [T, D], one row per snippet.
        stride_s: Seconds of media from one snippet to the next.
        start_s: Media time at which the first snippet begins.

    Raises:
        InputError: `start_s` is not a valid media time.

    Example:
        >>> import numpy as np
        >>> from punctum.runtime import Features
        >>> Features(np.zeros((10, 4), np.float32), stride_s=0.2, start_s=5.0).duration_s
        2.0
    """

    data: F32
    stride_s: float
    start_s: float = 0.0

    def __post_init__(self) -> None:
        check_media_time(self.start_s, "features")

    @property
    def duration_s(self) -> float:
        """Seconds of media."""
        return len(self.data) * self.stride_s

    def __repr__(self) -> str:
        return (
            f"Features({self.data.shape[0]} x {self.data.shape[1]}, stride_s={self.stride_s}, start_s={self.start_s})"
        )


FeatureRows: TypeAlias = Features | npt.ArrayLike
"""Features with their time base, or only their rows [T, D]."""


def check_features(value: npt.ArrayLike, *, dim: int | None = None, name: str = "features") -> F32:
    """Check features and convert them to a contiguous float32 array.

    Args:
        value: [T, D] of any real dtype; T may be 0.
        dim: The dimension D that is expected; None: any.
        name: What to call them in an error.

    Raises:
        InputError: Wrong dtype, shape or dimension, or a value that is not finite.
    """
    array = np.asarray(value)
    if array.dtype.kind not in "fiu":
        raise InputError(
            "features-dtype",
            f"{name} have dtype {array.dtype}",
            "float32, or another type of real numbers",
            "convert them with astype(float32)",
        )
    if array.ndim != 2:
        raise InputError(
            "features-shape",
            f"{name} have shape {array.shape}",
            "[snippets, dimension]",
            "reshape them to two dimensions",
        )
    if dim is not None and array.shape[1] != dim:
        raise InputError(
            "features-dimension",
            f"{name} has dimension {array.shape[1]}",
            f"{dim}, which this bundle was trained on",
            "use the bundle that belongs to these features, or extract them with the backbone that it names",
        )
    if array.dtype == np.float32:  # as streams push them, often one row at a time
        data = np.ascontiguousarray(array)
    else:
        with np.errstate(over="ignore"):  # reported below, with the value
            data = np.ascontiguousarray(array, dtype=np.float32)
    finite = np.isfinite(data)
    if not finite.all():
        row, column = np.argwhere(~finite)[0]
        wrong = array[row, column]
        raise InputError(
            "features-not-finite",
            f"{name} hold {wrong} at snippet {row}, column {column}"
            + (", which float32 cannot hold" if np.isfinite(wrong) else ""),
            "finite numbers",
            "check the extractor",
        )
    return data


def load_features(
    path: str | Path, *, stride_s: float, start_s: float = 0.0, dim: int | None = None, key: str = ""
) -> Features:
    """Read features from a `.npy` or `.npz` file.

    Args:
        path: The file.
        stride_s: Seconds of media from one snippet to the next.
        start_s: Media time at which the first snippet begins.
        dim: The dimension D that is expected; None: any.
        key: The array to read from a `.npz` file; by default its only array, or the one named "features".

    Raises:
        InputError: The file holds no usable array [T, D] with T > 0.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError("features-missing", f"{path} is not a file", "a .npy or .npz file", "check the path")
    try:
        found = np.load(path, allow_pickle=False)
        array = _member(found, path, key) if isinstance(found, np.lib.npyio.NpzFile) else found
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - NumPy's parser lets many types of exception through
        if kind := _kind_of_file(path):
            raise not_features(path, kind) from None
        # NumPy takes a file without a header for a pickle, and its message advises to allow pickles.
        why = "no .npy header, or a pickle" if "pickle" in str(error) else str(error) or type(error).__name__
        raise InputError(
            "features-unreadable",
            f"{path} is not a readable .npy or .npz array ({why})",
            "a complete .npy file without pickles",
            "write it again with numpy.save",
        ) from None
    data = check_features(array, dim=dim, name=str(path))
    if len(data) == 0:
        raise InputError("features-empty", f"{path} holds no snippet", "at least one", "check the extractor")
    return Features(data, float(stride_s), float(start_s))


def _kind_of_file(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return kind_of(file.read(HEAD_BYTES))
    except OSError:
        return ""


def not_features(path: Path, kind: str) -> InputError:
    """The error for a file of another kind, such as "an audio file"."""
    return InputError(
        "features-unreadable",
        f"{path} is {kind}, neither a video nor features",
        required="a video, or a .npy or .npz file of features",
        next_step="choose another file",
    )


def _member(archive: np.lib.npyio.NpzFile, path: Path, key: str) -> npt.ArrayLike:
    """The array of a `.npz` file that holds the features."""
    with archive:
        names = list(archive.files)
        name = key if key in names else NPZ_KEY if NPZ_KEY in names and not key else ""
        if not name and len(names) == 1 and not key:
            name = names[0]
        if not name:
            raise InputError(
                "features-unreadable",
                f"{path} holds {'the arrays ' + ', '.join(map(repr, names[:5])) if names else 'no array'}",
                f"one array, or one named {key or NPZ_KEY!r}",
                "save the features alone, or name their array as feature_key in dataset.json",
            )
        return archive[name]
