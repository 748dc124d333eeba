"""The clips that a composed backbone takes: one size, one rate, and enough frames for each of its parts.

Size: if the parts agree, theirs. Otherwise a multiple of the size of the smallest part that takes the whole picture
(the motion network), at least as large as any part. Area resampling to a multiple and then to the size itself is
exactly area resampling to the size, so such a part sees what it would see alone, up to rounding.

Rate: the lowest that is a multiple of every part's rate; parts take every k-th frame of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.errors import InputError
from pydantic import ValidationError

from .part import Part

FASTEST = 120
"""Frames per second that a composed backbone may need."""
_RATE, _STRIDE_S = 10.0, 0.2  # of image networks alone
_DENOMINATOR = 1001 * 100  # rates such as 30000 / 1001 are exact


def match_rates(parts: Sequence[Part]) -> list[Part]:
    """The parts, those without a rate of their own at the rate of the others.

    Raises:
        InputError: The strides differ, or there is no common frame rate.
    """
    fixed = [part for part in parts if not part.rate_free]
    for part in fixed[1:]:
        if not part.spec.fits_stride(fixed[0].spec.stride_s):
            raise InputError(
                "part-stride",
                f"Part {part.name} gives a row every {part.spec.stride_s:g} s, and {fixed[0].name} one every "
                f"{fixed[0].spec.stride_s:g} s",
                "one stride (snippet_frames / fps) for all parts",
                "change fps or snippet_frames in the spec of a part, or leave the part out",
            )
    fps, stride = (_RATE, _STRIDE_S) if not fixed else (fixed[0].spec.fps, fixed[0].spec.stride_s)
    return [part.at_rate(fps, stride) for part in parts]


def choose_clip(parts: Sequence[Part], size: tuple[int, int] | None = None) -> BackboneSpec:
    """The clips for these parts, as the spec of the composed backbone.

    Args:
        parts: The parts, after `match_rates`.
        size: Height and width of the frames; None: as the module says.

    Raises:
        InputError: There is no common frame rate, or the clips are too large.
    """
    fps = _common_rate(parts)
    height, width = size or _common_size(parts)
    steps = [(part, rate_step(part, fps)) for part in parts]
    first = min(step * at for part, step in steps for frames in part.frame_sets() for at in frames)
    last = max(step * at for part, step in steps for frames in part.frame_sets() for at in frames)
    gray = all(part.spec.colour == "gray" for part in parts)
    values = {
        "fps": fps,
        "snippet_frames": round(fps * parts[0].spec.stride_s),
        "clip_frames": last + 1 - first if last >= 0 else -first,
        "right_frames": max(last + 1, 0),
        "height": height,
        "width": width,
        "resize": "stretch" if any(part.spec.resize == "stretch" for part in parts) else "short-side",
        "colour": "gray" if gray else "rgb",
        "mean": (0.0,) if gray else (0.0, 0.0, 0.0),
        "std": (1.0,) if gray else (1.0, 1.0, 1.0),
        "layout": "NTCHW",
    }
    try:
        return BackboneSpec.model_validate(values)
    except ValidationError as error:
        fault = error.errors()[0]
        why = ": ".join([*map(str, fault["loc"]), str(fault["msg"]).removeprefix("Value error, ")])
        raise InputError(
            "part-clip",
            f"The parts need clips that a backbone cannot have: {why}",
            "smaller frames, fewer frames, or rates with a low common multiple",
            "set `size`, or leave a part out",
        ) from None


def rate_step(part: Part, fps: float) -> int:
    """Frames of the clip per frame of the part."""
    return round(fps / part.spec.fps)


def frame_places(part: Part, clip: BackboneSpec) -> list[list[int]]:
    """Positions in the clip of the frames that the part takes, for each set of `Part.frame_sets`."""
    step, end = rate_step(part, clip.fps), clip.clip_frames - clip.right_frames
    return [[end + step * at for at in frames] for frames in part.frame_sets()]


def _common_rate(parts: Sequence[Part]) -> float:
    rates = [Fraction(part.spec.fps).limit_denominator(_DENOMINATOR) for part in parts]
    denominator = math.lcm(*(rate.denominator for rate in rates))
    common = Fraction(math.lcm(*(int(rate * denominator) for rate in rates)), denominator)
    if common > max([Fraction(FASTEST), *rates]):
        raise InputError(
            "part-rate",
            f"Frames at {', '.join(f'{float(rate):g}' for rate in dict.fromkeys(rates))} per second have no common "
            f"rate of at most {FASTEST}",
            "rates of which one is a multiple of the others",
            "change fps in the spec of a part, or leave the part out",
        )
    return next((part.spec.fps for part in parts if part.spec.fps == float(common)), float(common))


def _common_size(parts: Sequence[Part]) -> tuple[int, int]:
    sizes = [(part.spec.height, part.spec.width) for part in parts]
    if len(set(sizes)) == 1:
        return sizes[0]
    height, width = max(h for h, _ in sizes), max(w for _, w in sizes)
    least = min(
        ((part.spec.height, part.spec.width) for part in parts if part.spec.resize == "stretch"),
        key=math.prod,
        default=None,
    )
    if least is None:
        return height, width
    factor = max(math.ceil(height / least[0]), math.ceil(width / least[1]))
    return least[0] * factor, least[1] * factor
