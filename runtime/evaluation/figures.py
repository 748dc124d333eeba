"""The delay curve: mAP over the maximum delay, and the share of actions reported over the detection delay."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..errors import MissingDependencyError
from ..files.atomic import atomic_write
from .online import OnlineRow


def plot_online(rows: Sequence[OnlineRow], path: str | Path, *, title: str = "") -> None:
    """Write the delay curve as SVG. Equal rows give equal bytes.

    Args:
        rows: Rows of deadlines, and with an infinite deadline the offline row.
        path: The file to write.
        title: Title of the figure.

    Raises:
        MissingDependencyError: matplotlib is not installed (extra `report`).
    """
    atomic_write(path, draw_online(rows, title=title))


def draw_online(rows: Sequence[OnlineRow], *, title: str = "") -> str:
    """The text of the SVG that `plot_online` writes. Raises as `plot_online`."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingDependencyError("matplotlib", "report", "drawing the delay curve") from None
    live = sorted((r for r in rows if math.isfinite(r.max_delay_s)), key=lambda r: r.max_delay_s)
    offline = [r for r in rows if math.isinf(r.max_delay_s)]
    figure = Figure(figsize=(10.0, 4.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    delays = [r.max_delay_s for r in live]
    colors = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, max(len(live), 1)))
    left.plot(delays, [100 * r.result.average for r in live], marker="o", color="C0", label="at the deadline")
    for row in offline:
        left.axhline(100 * row.result.average, linestyle="--", color="C1", label="offline")
    left.set_xscale("log")
    left.set_xticks(delays, [f"{d:g}" for d in delays])
    left.minorticks_off()
    left.set(xlabel="maximum delay after the end of an action, s", ylabel="mAP, %, averaged over tIoU")
    heights = [100 * r.result.average for r in rows]
    left.set_ylim(max(min(heights) - 3, 0), min(max(heights) + 3, 101))
    left.grid(alpha=0.3)
    left.legend(loc="lower right")
    longest = 20.0
    for row, color in [*zip(live, colors, strict=True), *((r, "C1") for r in offline)]:
        known = np.sort(row.sure_delays[~np.isnan(row.sure_delays)])
        longest = max(longest, float(known.max(initial=0.0)))
        share = 100 * np.arange(1, len(known) + 1) / max(len(row.sure_delays), 1)
        style, name = ("--", "offline") if math.isinf(row.max_delay_s) else ("-", f"{row.max_delay_s:g} s")
        right.step(known, share, where="post", linestyle=style, color=color, label=name)
    right.set(xlabel="detection delay: first matching claim minus true end, s", ylabel="actions reported, %")
    right.set_ylim(0, 100)
    right.set_xscale("symlog", linthresh=1.0)  # shows both early reports and the long tail
    ticks = [x for x in (-2, -1, -0.5, 0, 0.5, 1, 2, 5, 10, 20, 60, 300, 1800) if x <= 1.2 * longest]
    right.set_xticks(ticks, [f"{t:g}" for t in ticks])
    right.minorticks_off()
    right.set_xlim(-2, 1.2 * longest)
    right.grid(alpha=0.3)
    right.legend(loc="upper left", title="maximum delay")
    if title:
        figure.suptitle(title)
    drawn = io.StringIO()
    # Text is kept as text and ids are fixed: equal input gives an equal, searchable file.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "punctum"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()
