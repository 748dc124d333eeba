"""One self-contained HTML file: style, script, data and pictures, and a policy that forbids network access."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import numpy.typing as npt

from .._version import __version__
from ..files.atomic import atomic_write
from ..web import shared_file
from . import _charts
from ._dataset import POOLED
from ._diagnosis import diagnosis_values
from ._embed import choose_min_score, group_events, recording_data, to_script
from ._model import Curve, DatasetReport, DiagnosisReport, EvaluatedRecording, RecordingReport
from .facts import shown
from .recording import need_jinja

if TYPE_CHECKING:
    from markupsafe import Markup

SCRIPTS = ("core.js", "lanes.js", "timeline.js", "table.js")
LISTED = 400  # maximum number of recordings of a data set, worst first


class Listed(TypedDict):
    """A recording of a data set in the list: counts at tIoU 0.5 and the minimum score, and its picture."""

    name: str
    length: str
    actions: int
    found: int
    missed: int
    alarms: int
    picture: Markup


def build_report(report: RecordingReport | DatasetReport | DiagnosisReport) -> str:
    """Build the page.

    Returns:
        The text of the HTML file.

    Raises:
        MissingDependencyError: jinja2 is not installed (extra `report`).
    """
    if isinstance(report, RecordingReport):
        return _page("recording.html.j2", _recording(report))
    if isinstance(report, DiagnosisReport):
        return _page("diagnosis.html.j2", diagnosis_values(report))
    return _page("dataset.html.j2", _dataset(report))


def write_report(path: str | Path, report: RecordingReport | DatasetReport | DiagnosisReport) -> None:
    """Write the page atomically.

    Raises:
        PunctumError: The file cannot be written.
        MissingDependencyError: jinja2 is not installed (extra `report`).
    """
    atomic_write(path, build_report(report))


def _read(name: str) -> str:
    return (resources.files(__package__) / "page" / name).read_text(encoding="utf-8")


def _sha(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def _page(template: str, values: Mapping[str, object]) -> str:
    jinja2 = need_jinja()
    names = ("base.html.j2", "facts.html.j2", template)
    environment = jinja2.Environment(
        loader=jinja2.DictLoader({name: _read(name) for name in names}),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"shown": shown, "figure": figure}
    scripts = {"recording.html.j2": SCRIPTS, "dataset.html.j2": ("dataset.js",)}.get(template, ())
    style = shared_file("theme.css").read_text(encoding="utf-8") + _read("report.css")
    script = '"use strict";\n(() => {\n' + "\n".join(_read(name) for name in scripts) + "})();\n"
    policy = (
        f"default-src 'none'; img-src data:; style-src {_sha(style)}; script-src {_sha(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    markup = jinja2.utils.markupsafe.Markup
    return str(
        environment.get_template(template).render(
            style=markup(style), script=markup(script), policy=policy, version=__version__, **values
        )
    )


def _recording(report: RecordingReport) -> dict[str, object]:
    markup = need_jinja().utils.markupsafe.Markup
    min_score = choose_min_score(report)
    data, notes = recording_data(report, min_score)
    first, final = [], []
    for group in group_events(report.events):
        if group[-1].phase != "final" or group[-1].score < min_score:
            continue
        final.append(group[-1].delay_s)
        claims = [e for e in group if e.ended]
        first.append(claims[0].emitted_at - claims[0].end)
    series = [("final event", np.array(final))]
    if report.max_delay_s is not None:
        series.insert(0, ("first claim of the end", np.array(first)))
    spent = sum(report.stages.values())
    return {
        "title": report.title,
        "report": report,
        "min_score": min_score,
        "data": markup(to_script(data)),
        "notes": (*report.notes, *notes),
        "delays": _charts.histogram(series) if final else "",
        "series": [(name, _spread(v)) for name, v in series if len(v)],
        "stages": _charts.stages(report.stages, report.duration_s) if spent else "",
        "real_time": report.duration_s / spent if spent else None,
        "spent": spent,
        "patterns": _charts.patterns(len(report.labels)),
        "length": clock(report.duration_s),
        "facts": {"Bundle": report.bundle, "Machine": report.machine},
    }


def _dataset(report: DatasetReport) -> dict[str, object]:
    result = report.evaluation
    panels: dict[str, list[Curve]] = {}
    for curve in report.curves:
        panels.setdefault(curve.label, []).append(curve)
    finals = [e for recording in report.recordings for e in recording.events if e.score >= report.min_score]
    delays = np.array([e.delay_s for e in finals])
    media = sum(recording.duration_s for recording in report.recordings)
    spent = sum(report.stages.values())
    rows = [
        (name, [float(x) for x in column], float(column.mean()))
        for name, column, ok in zip(result.labels, result.ap.T, result.judged, strict=True)
        if ok
    ]
    listed = [_listed(recording, report) for recording in report.recordings]
    listed.sort(key=lambda row: (-row["missed"] - row["alarms"], row["name"]))
    return {
        "title": report.title,
        "report": report,
        "result": result,
        "min_score": f"{report.min_score:.3g}" if math.isfinite(report.min_score) else "",
        "rows": rows,
        "mean": [float(x) for x in result.map],
        "heat": lambda x: f"h{min(int(10 * x), 9)}",
        "panels": [(name, name == POOLED, _charts.curve_panel(curves), curves) for name, curves in panels.items()],
        "alignment": _charts.alignment_plot(report.alignment) if len(report.alignment.iou) else "",
        "alignment_record": report.alignment.to_record(),
        "reliability": _charts.reliability_plot(report.reliability) if len(report.reliability.count) else "",
        "reliability_record": report.reliability.to_record(),
        "delays": _charts.histogram([("final event", delays)]) if len(delays) else "",
        "series": [("final event", _spread(delays))] if len(delays) else [],
        "stages": _charts.stages(report.stages, media) if spent else "",
        "real_time": media / spent if spent else None,
        "spent": spent,
        "listed": listed[:LISTED],
        "left_out": max(len(listed) - LISTED, 0),
        "found": sum(row["found"] for row in listed),
        "alarms": sum(row["alarms"] for row in listed),
        "actions": sum(len(recording.truth) for recording in report.recordings),
        "patterns": _charts.patterns(len(report.labels)),
        "swatches": [(name, _charts.fill(k), _charts.color(k)) for k, name in enumerate(report.labels)],
        "length": clock(media),
        "facts": {"Bundle": report.bundle, "Machine": report.machine},
        "notes": report.notes,
    }


def _listed(recording: EvaluatedRecording, report: DatasetReport) -> Listed:
    """Counts of one recording at tIoU 0.5 and the minimum score, and its picture."""
    from ..datasets.dataset import Truth
    from ..evaluation.average_precision import Detections
    from ..evaluation.online import matched

    index = {label: k for k, label in enumerate(report.labels)}
    truth = Truth(
        (recording.name,),
        report.labels,
        np.zeros(len(recording.truth), np.int64),
        np.array([index[a.label] for a in recording.truth], np.int64),
        np.array([[a.start, a.end] for a in recording.truth], np.float64).reshape(-1, 2),
    )
    rows = [(0, index[e.label], e.start, e.end, e.score) for e in recording.events if e.score >= report.min_score]
    found = int((matched(truth, Detections.from_rows(rows)) >= 0).sum()) if rows else 0
    return {
        "name": recording.name,
        "length": clock(recording.duration_s),
        "actions": len(recording.truth),
        "found": found,
        "missed": len(recording.truth) - found,
        "alarms": len(rows) - found,
        "picture": _charts.mini(recording, report.labels, report.min_score),
    }


def _spread(values: npt.NDArray[np.float64]) -> dict[str, float]:
    return {
        "median": float(np.median(values)),
        "95 %": float(np.quantile(values, 0.95)),
        "longest": float(np.max(values)),
    }


def figure(value: float) -> str:
    """Three significant digits without an exponent: 0.042, 33.7, 2,760."""
    return f"{float(f'{value:.3g}'):,.12g}"


def clock(seconds: float) -> str:
    """A duration: 1:02:03, 2:03 or 4.5 s."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
