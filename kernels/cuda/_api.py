"""Public functions: validate, launch, return device arrays. `numba.cuda` is loaded on first use."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from .._validate import I64, KernelInputError, offsets_of, positive
from ._interface import INTEGERS, REALS, DeviceArray, Handle, NumbaArray, check_array, on_device

# Also of the host: the CPU's functions hand on what they were given, and `check_array` refuses it with a message.
Given = DeviceArray | ArrayLike

_FAULTS = ("{name} contains NaN or infinity", "{name} ends before it starts", "scores{row} is NaN or infinite")


def _sound(fault: NumbaArray, name: str) -> None:
    """Raise KernelInputError for the result of an inspection."""
    from ._inspect import LABEL, SOUND

    code = int(fault.copy_to_host()[0])
    if code == SOUND:
        return
    row, kind = f"[{code // 4}]", code % 4
    if kind == LABEL:
        raise KernelInputError(f"labels{row} is out of range", "0..C-1", "check labels")
    raise KernelInputError(
        _FAULTS[kind].format(name=name + row, row=row), "finite numbers, start <= end", f"check what computed {name}"
    )


def _fault() -> NumbaArray:
    from numba import cuda

    from ._inspect import SOUND

    fault: NumbaArray = cuda.to_device(np.array([SOUND], np.int64))
    return fault


def _groups(segments: Given, scores: Given, group_offsets: Given) -> tuple[Handle, Handle, NumbaArray | None, I64]:
    """Return validated arrays, and the offsets on the device (None if not there) and on the host."""
    seg = check_array(segments, "segments", REALS, (None, 2))
    value = check_array(scores, "scores", REALS, (seg.shape[0],))
    if not on_device(group_offsets):
        return seg, value, None, offsets_of(np.asarray(group_offsets), seg.shape[0])
    handle = check_array(group_offsets, "group_offsets", INTEGERS, (None,))
    if not handle.shape[0]:
        return seg, value, None, offsets_of([], seg.shape[0])
    from ._device import check_driver, opened

    check_driver()
    given = opened(handle)
    return seg, value, given, offsets_of(given.copy_to_host(), seg.shape[0])


def _inspected(seg: Handle, value: Handle, check: bool) -> tuple[NumbaArray, NumbaArray]:
    from . import _inspect
    from ._device import flat, opened

    segments, scores = opened(seg), opened(value)
    if check:
        fault = _fault()
        _inspect.inspect_segments[flat(value.shape[0])](segments, scores, fault)
        _sound(fault, "segments")
    return segments, scores


def _scratch(offsets: I64) -> tuple[int, int]:
    """(members of the largest group, entries of global memory that groups beyond shared memory need)."""
    from ._kernels import CAPACITY

    largest = int(np.diff(offsets).max(initial=0))
    return largest, int(offsets[-1]) if largest > CAPACITY else 1


def adapt_groups(
    segments: Given, scores: Given, group_offsets: Given, *, iou_threshold: float = 0.4, check: bool = True
) -> Any:
    """`kernels.adapt_groups` on the device.

    Results are those of the CPU kernel up to the order of summation (about 1e-15 of a length).

    Args:
        segments: float32 or float64 [N, 2] on the device.
        scores: float32 or float64 [N] on the device.
        group_offsets: int32 or int64 [G + 1], on the device or the host.
        iou_threshold: See `kernels.adapt_boundaries`.
        check: Whether to check for NaN, infinity and swapped ends first (one pass; one word is copied to the host).

    Returns:
        float64 [N, 2] on the device.

    Raises:
        KernelInputError: An argument is invalid, or there is no usable CUDA driver.
    """
    threshold = positive(iou_threshold, "iou_threshold")
    seg, value, given, offsets = _groups(segments, scores, group_offsets)
    from numba import cuda

    from . import _kernels
    from ._device import check_driver, empty, finish, threads_for

    check_driver()
    out = empty((seg.shape[0], 2))
    if not seg.shape[0]:
        return out
    array, score = _inspected(seg, value, check)
    largest, room = _scratch(offsets)
    ends = cuda.to_device(offsets) if given is None else given
    grid = (len(offsets) - 1, threads_for(largest))
    _kernels.adapt[grid](array, score, ends, threshold, empty((3, room)), empty(room, np.int8), out)
    finish()
    return out


def suppress_groups(
    segments: Given,
    scores: Given,
    group_offsets: Given,
    *,
    sigma: float = 0.3,
    min_score: float = 0.0,
    length_offset: float = 0.0,
    check: bool = True,
) -> tuple[Any, Any, Any]:
    """`kernels.suppress_groups` on the device.

    Picks and scores are bit-identical to those of the CPU kernel if no score is negative. The counts of the groups are
    copied to the host to size the output.

    Args:
        segments: float32 or float64 [N, 2] on the device.
        scores: float32 or float64 [N] on the device.
        group_offsets: int32 or int64 [G + 1], on the device or the host.
        sigma: See `kernels.soft_nms`.
        min_score: See `kernels.soft_nms`.
        length_offset: See `kernels.soft_nms`.
        check: See `adapt_groups`.

    Returns:
        Indices int64 [K], decayed scores float64 [K], and offsets of the groups in these, int64 [G + 1]; on the device.

    Raises:
        KernelInputError: An argument is invalid, or there is no usable CUDA driver.
    """
    sigma = positive(sigma, "sigma", zero=False)
    floor, extra = float(min_score), float(length_offset)
    if floor != floor or not np.isfinite(extra):
        raise KernelInputError(
            f"min_score is {min_score}, length_offset is {length_offset}", "finite numbers", "change them"
        )
    seg, value, given, offsets = _groups(segments, scores, group_offsets)
    from numba import cuda

    from . import _kernels
    from ._device import check_driver, empty, finish, threads_for

    check_driver()
    count, groups = seg.shape[0], len(offsets) - 1
    if not count:
        return empty(0, np.int64), empty(0), cuda.to_device(np.zeros(groups + 1, np.int64))
    array, score = _inspected(seg, value, check)
    largest, room = _scratch(offsets)
    starts = cuda.to_device(offsets) if given is None else given
    grid = (groups, threads_for(largest))
    picked, final, counts = empty(count, np.int64), empty(count), empty(groups, np.int64)
    work = empty((3, room))
    _kernels.pick[grid](array, score, starts, -1.0 / sigma, floor, extra, work, picked, final, counts)
    ends = np.zeros(groups + 1, np.int64)
    np.cumsum(counts.copy_to_host(), out=ends[1:])
    if ends[-1] == count:  # every member was picked, so the output is already contiguous
        return picked, final, cuda.to_device(ends)
    index, decayed, packed = empty(int(ends[-1]), np.int64), empty(int(ends[-1])), cuda.to_device(ends)
    if ends[-1]:
        _kernels.gather[grid](picked, final, starts, packed, index, decayed)
    finish()
    return index, decayed, packed


def fuse_confidence(class_probability: Given, attention: Given, center: Given) -> Any:
    """`kernels.fuse_confidence` on the device.

    Args:
        class_probability: float32 or float64 [M, C] on the device.
        attention: float32 or float64 [M] on the device.
        center: float32 or float64 [M] on the device.

    Returns:
        float64 [M, C] on the device.

    Raises:
        KernelInputError: An argument is invalid, or there is no usable CUDA driver.
    """
    probability = check_array(class_probability, "class_probability", REALS, (None, None))
    rest = [
        check_array(v, n, REALS, (probability.shape[0],)) for v, n in ((attention, "attention"), (center, "center"))
    ]
    from . import _kernels
    from ._device import check_driver, empty, finish, flat, opened

    check_driver()
    out = empty(probability.shape)
    size = probability.shape[0] * probability.shape[1]
    if size:
        _kernels.weigh[flat(size)](opened(probability), *(opened(handle) for handle in rest), out)
        finish()
    return out


def fuse_scores(
    contrast: Given | None,
    base: Given | None,
    labels: Given | None,
    class_probability: Given | None,
    attention: Given | None,
    center: Given | None,
    *,
    weights: Sequence[float],
    check: bool = True,
) -> NumbaArray:
    """Ranking score of proposals: the product of max(term, 0) ** weight, on the device.

    A term with weight 0 is not read and may be None, as may `labels` without class probability; at least one array is
    required.

    Args:
        contrast: [M], outer-inner contrast.
        base: [M], mean of the class track inside the proposal.
        labels: int32 or int64 [M], class of each proposal.
        class_probability: [M, C].
        attention: [M].
        center: [M], center score.
        weights: Exponents >= 0 of contrast, base, probability of the proposal's class, attention and center.
        check: Whether to check for labels out of range before, and for scores that are not finite after the launch.

    Returns:
        float64 [M] on the device.

    Raises:
        KernelInputError: An argument is invalid, or there is no usable CUDA driver.
    """
    if len(weights) != 5 or not all(np.isfinite(w) and w >= 0 for w in weights):
        raise KernelInputError(
            f"weights is {list(weights)}", "five finite numbers >= 0", "pass one weight for each term"
        )
    terms = {"contrast": contrast, "base": base, "class_probability": class_probability}
    terms |= {"attention": attention, "center": center}
    weight = dict(zip(terms, map(float, weights), strict=True))
    given = [name for name, value in terms.items() if weight[name] > 0 or value is not None]
    count = None
    handles: dict[str, Handle] = {}
    for name in given:
        shape = (count, None) if name == "class_probability" else (count,)
        handles[name] = check_array(terms[name], name, REALS, shape)
        count = handles[name].shape[0]
    if count is None:
        raise KernelInputError("All terms are None", required="at least one array", next_step="pass the contrast")
    if weight["class_probability"] > 0:
        handles["labels"] = check_array(labels, "labels", INTEGERS, (count,))
    from numba import cuda

    from . import _inspect, _kernels
    from ._device import check_driver, empty, finish, flat, opened

    check_driver()
    out = empty(count)
    if not count:
        return out
    arrays = {name: opened(handle) for name, handle in handles.items()}
    if check and "labels" in arrays:
        fault = _fault()
        _inspect.inspect_labels[flat(count)](arrays["labels"], handles["class_probability"].shape[1], fault)
        _sound(fault, "labels")
    for name in terms:
        if name not in arrays:
            arrays[name] = empty((1, 1) if name == "class_probability" else 1)
    arrays.setdefault("labels", empty(1, np.int64))
    order = ("contrast", "base", "labels", "class_probability", "attention", "center")
    powers = cuda.to_device(np.array(list(weight.values())))
    _kernels.fuse[flat(count)](*(arrays[name] for name in order), powers, out)
    if check:
        fault = _fault()
        _inspect.inspect_scores[flat(count)](out, fault)
        _sound(fault, "scores")
    finish()
    return out
