"""Charts as inline SVG. Colors come from the style of the page, light or dark. Text is escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..text.display import counted

if TYPE_CHECKING:
    from markupsafe import Markup

    from ..evaluation.alignment import Alignment
    from ..evaluation.reliability import Reliability
    from ._model import Curve, EvaluatedRecording

F64 = npt.NDArray[np.float64]
Scale = Callable[[float], float]  # from a value to pixels
COLORS, PATTERNS = 12, 4
DOTS = 500  # maximum in the alignment plot


def markup(parts: Sequence[Markup]) -> Markup:
    from markupsafe import Markup

    return Markup("").join(parts)


def tag(name: str, *children: str, **attributes: str | float | None) -> Markup:
    """One element. In attribute names, "_" becomes "-" and `class_` is class. Everything is escaped."""
    from markupsafe import Markup, escape

    text = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(_number(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inside = markup([escape(child) for child in children])
    return Markup("<{0}{1}>{2}</{0}>").format(name, Markup(text), inside)


def _number(value: str | float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def color(index: int) -> str:
    """CSS class for the color of an action class."""
    return f"k{index % COLORS}"


def pattern(index: int) -> int:
    """The fill pattern of a class: color and pattern distinguish 32 classes, and no two by color alone."""
    return (index + index // COLORS) % PATTERNS


def patterns(count: int) -> Markup:
    """Definitions of the patterns that `fill` refers to."""
    definitions = []
    for index in range(min(count, COLORS * PATTERNS)):
        kind = pattern(index)
        ground = tag("rect", width=6, height=6, class_="pf")
        drawn: list[Markup] = {
            0: [],
            1: [tag("path", d="M-1 7L7 -1M-2 2L2 -2M4 8L8 4", class_="pl")],
            2: [tag("circle", cx=3, cy=3, r=1.3, class_="pd")],
            3: [tag("path", d="M0 3H6", class_="pl")],
        }[kind]
        definitions.append(
            tag(
                "pattern",
                ground,
                *drawn,
                id=f"p{index}",
                width=6,
                height=6,
                patternUnits="userSpaceOnUse",
                class_=color(index),
            )
        )
    return tag(
        "svg", tag("defs", *definitions), class_="defs", width=0, height=0, aria_hidden="true", focusable="false"
    )


def fill(index: int) -> str:
    return f"url(#p{index % (COLORS * PATTERNS)})"


def nice(low: float, high: float, count: int = 5) -> list[float]:
    """Round ticks within [low, high]."""
    span = max(high - low, 1e-12)
    raw = span / count
    unit = 10.0 ** math.floor(math.log10(raw))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= raw * 0.999)
    return [step * k for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _frame(
    width: int, height: int, label: str, x: tuple[float, float], y: tuple[float, float], names: tuple[str, str]
) -> tuple[list[Markup], Scale, Scale]:
    """Axes of a chart: (parts, x to pixels, y to pixels)."""
    left, right, top, bottom = 40, 10, 24, 34
    span_x, span_y = max(x[1] - x[0], 1e-12), max(y[1] - y[0], 1e-12)

    def to_x(value: float) -> float:
        return left + (value - x[0]) / span_x * (width - left - right)

    def to_y(value: float) -> float:
        return height - bottom - (value - y[0]) / span_y * (height - top - bottom)

    parts: list[Markup] = []
    for value in nice(*y, 4):
        parts.append(
            tag("line", x1=float(left), x2=float(width - right), y1=to_y(value), y2=to_y(value), class_="grid")
        )
        parts.append(tag("text", f"{value:g}", x=left - 6.0, y=to_y(value) + 4, text_anchor="end"))
    for value in nice(*x, 5):
        parts.append(tag("line", x1=to_x(value), x2=to_x(value), y1=to_y(y[0]), y2=to_y(y[0]) + 4, class_="axis"))
        parts.append(tag("text", f"{value:g}", x=to_x(value), y=height - bottom + 17.0, text_anchor="middle"))
    parts.append(tag("line", x1=float(left), x2=float(width - right), y1=to_y(y[0]), y2=to_y(y[0]), class_="axis"))
    parts.append(tag("text", names[0], x=float(width - right), y=float(height - 4), text_anchor="end", class_="name"))
    parts.append(tag("text", names[1], x=0.0, y=9.0, class_="name"))
    return parts, to_x, to_y


def _chart(parts: Sequence[Markup], width: int, height: int, label: str) -> Markup:
    return tag("svg", *parts, viewBox=f"0 0 {width} {height}", class_="chart", role="img", aria_label=label)


def histogram(series: Sequence[tuple[str, F64]], *, unit: str = "s", bins: int = 24) -> Markup:
    """Histogram of one or two sets of values on a common axis, side by side in each bin."""
    width, height = 400, 190
    values = np.concatenate([v for _, v in series]) if series else np.zeros(0)
    # Outliers go to the last bin, so that they do not compress the others.
    high = float(np.quantile(values, 0.99)) if len(values) else 1.0
    low = min(float(values.min()), 0.0) if len(values) else 0.0
    ticks = nice(low, max(high, low + 1e-3), bins)
    step = ticks[1] - ticks[0] if len(ticks) > 1 else max(high - low, 1.0)
    low = math.floor(low / step + 1e-9) * step
    edges = low + step * np.arange(max(math.ceil((high - low) / step - 1e-9), 1) + 1)
    clipped = [np.clip(v, edges[0], edges[-1] - 1e-9) for _, v in series]
    counts = [np.histogram(v, edges)[0] for v in clipped]
    top = max([int(c.max(initial=0)) for c in counts] + [1])
    text = "; ".join(f"{n}: median {np.median(v):.2f} {unit}, of {len(v)}" for n, v in series if len(v))
    parts, to_x, to_y = _frame(
        width, height, text, (float(edges[0]), float(edges[-1])), (0.0, float(top)), (f"delay, {unit}", "events")
    )
    for k, ((name, _), count) in enumerate(zip(series, counts, strict=True)):
        for a, b, n in zip(edges[:-1], edges[1:], count, strict=True):
            if not n:
                continue
            wide = (to_x(b) - to_x(a) - 1.5) / len(series)
            beyond = " or more" if b == edges[-1] and len(values) and values.max() > b else ""
            title = tag("title", f"{counted(n, 'event')}, {name}: {a:.2f} to {b:.2f} {unit}{beyond}")
            x = to_x(a) + 0.75 + k * wide
            parts.append(
                tag("rect", title, x=x, y=to_y(n), width=max(wide, 0.5), height=to_y(0) - to_y(n), class_=f"bar b{k}")
            )
    for k, (_, v) in enumerate(series):
        if len(v):
            x = to_x(float(np.clip(np.median(v), edges[0], edges[-1])))
            parts.append(tag("line", x1=x, x2=x, y1=to_y(top), y2=to_y(0), class_=f"median m{k}"))
    return _chart(parts, width, height, f"Histogram of delay. {text or 'No events.'}")


def stages(seconds: Mapping[str, float], media_s: float) -> Markup:
    """One bar per stage: milliseconds of compute per second of media."""
    width, row = 400, 28
    rates = {name: 1000.0 * s / media_s if media_s > 0 else 0.0 for name, s in seconds.items()}
    top, whole = max([*rates.values(), 1e-9]), max(sum(rates.values()), 1e-12)
    parts: list[Markup] = []
    for k, (name, rate) in enumerate(rates.items()):
        y = 4.0 + k * row
        long = 150.0 * rate / top
        parts.append(tag("text", name, x=0.0, y=y + 15))
        parts.append(tag("rect", x=112.0, y=y + 2, width=max(long, 1.0), height=18.0, class_="bar b0"))
        parts.append(
            tag("text", f"{rate:.3g} ms ({100 * rate / whole:.0f} %)", x=118.0 + long, y=y + 15, class_="strong")
        )
    text = ", ".join(f"{name} {rate:.3g} ms" for name, rate in rates.items())
    return _chart(parts, width, 8 + row * len(rates), f"Compute per second of media: {text}")


def curve_panel(curves: Sequence[Curve]) -> Markup:
    """Precision over recall of one class at several tIoU levels."""
    width, height = 260, 200
    text = ", ".join(f"tIoU {c.tiou:g}: AP {c.ap:.3f}" for c in curves)
    parts, to_x, to_y = _frame(width, height, text, (0.0, 1.0), (0.0, 1.0), ("recall", "precision"))
    for k, c in enumerate(curves):
        if not len(c.recall):
            continue
        points = " ".join(f"{to_x(a):.1f},{to_y(b):.1f}" for a, b in zip(c.recall, c.precision, strict=True))
        title = tag("title", f"tIoU {c.tiou:g}: AP {c.ap:.3f}")
        parts.append(tag("polyline", title, points=points, class_=f"line l{k}"))
    return _chart(parts, width, height, f"Precision over recall, {curves[0].label}. {text}")


def alignment_plot(found: Alignment) -> Markup:
    """Best IoU over confidence: single detections (thinned evenly by rank) and the means of ten equal groups."""
    width, height = 400, 260
    high = float(found.confidence.max(initial=0.0)) or 1.0
    parts, to_x, to_y = _frame(
        width, height, "", (0.0, high), (0.0, 1.0), ("confidence", "best IoU with a true action of the class")
    )
    order = np.argsort(found.confidence, kind="stable")
    if len(order) > DOTS:
        order = order[np.linspace(0, len(order) - 1, DOTS).round().astype(int)]
    dots = "".join(f"M{to_x(found.confidence[i]):.1f} {to_y(found.iou[i]):.1f}h0" for i in order)
    if dots:
        parts.append(tag("path", d=dots, class_="dots"))
    groups = np.array_split(np.argsort(found.confidence, kind="stable"), 10) if len(found.iou) else []
    means = [(float(found.confidence[g].mean()), float(found.iou[g].mean()), len(g)) for g in groups if len(g)]
    parts.append(
        tag("polyline", points=" ".join(f"{to_x(a):.1f},{to_y(b):.1f}" for a, b, _ in means), class_="line l0")
    )
    for a, b, n in means:
        title = tag("title", f"{counted(n, 'detection')}: mean confidence {a:.3f}, mean best IoU {b:.3f}")
        parts.append(tag("circle", title, cx=to_x(a), cy=to_y(b), r=4.5, class_="mean"))
    rank = "not defined" if math.isnan(found.correlation) else f"{found.correlation:.3f}"
    return _chart(parts, width, height, f"Best IoU over confidence; rank correlation {rank}")


def reliability_plot(found: Reliability) -> Markup:
    """Share of right events over mean score, in groups of equal size, beside the diagonal of perfect probabilities."""
    width, height = 400, 260
    names = ("mean score", f"share of right events (tIoU {found.tiou:g})")
    parts, to_x, to_y = _frame(width, height, "", (0.0, 1.0), (0.0, 1.0), names)
    parts.append(tag("line", x1=to_x(0), y1=to_y(0), x2=to_x(1), y2=to_y(1), class_="axis", stroke_dasharray="4 4"))
    groups = list(zip(found.score.tolist(), found.share.tolist(), found.count.tolist(), strict=True))
    parts.append(
        tag("polyline", points=" ".join(f"{to_x(a):.1f},{to_y(b):.1f}" for a, b, _ in groups), class_="line l0")
    )
    for a, b, n in groups:
        title = tag("title", f"{counted(n, 'event')}: mean score {a:.3f}, {b:.0%} right")
        parts.append(tag("circle", title, cx=to_x(a), cy=to_y(b), r=4.5, class_="mean"))
    return _chart(parts, width, height, f"Share of right events over mean score; calibration error {found.error:.3f}")


def mini(recording: EvaluatedRecording, labels: tuple[str, ...], min_score: float) -> Markup:
    """A recording in two lines: true actions above, events with at least `min_score` below."""
    place = {label: k for k, label in enumerate(labels)}
    scale = 1000.0 / max(recording.duration_s, 1e-9)
    parts = [tag("rect", x=0, y=13, width=1000, height=1, class_="grid-fill")]
    for a in recording.truth:
        k, x = place[a.label], a.start * scale
        title = tag("title", f"true {a.label}: {a.start:.2f} to {a.end:.2f} s")
        wide = max((a.end - a.start) * scale, 2.0)
        parts.append(tag("rect", title, x=x, y=1, width=wide, height=11, fill=fill(k), class_=f"bar {color(k)}"))
    for e in sorted((e for e in recording.events if e.score >= min_score), key=lambda e: e.score):
        k, x = place[e.label], e.start * scale
        title = tag("title", f"event {e.label}: {e.start:.2f} to {e.end:.2f} s, score {e.score:.3f}")
        wide = max((e.end - e.start) * scale, 2.0)
        parts.append(tag("rect", title, x=x, y=15, width=wide, height=11, fill=fill(k), class_=f"bar {color(k)}"))
    shown = sum(e.score >= min_score for e in recording.events)
    return tag(
        "svg",
        *parts,
        viewBox="0 0 1000 27",
        preserveAspectRatio="none",
        class_="mini",
        role="img",
        aria_label=f"{recording.name}: {counted(len(recording.truth), 'true action')} above, "
        f"{counted(shown, 'event')} below",
    )
