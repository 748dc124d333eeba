"""Reports: one HTML file that shows what a bundle found in a recording, or how it does on a data set.

    write_report("report.html", report_recording(bundle, "clip.mp4", max_delay_s=1.0))
    write_report("report.html", report_dataset(bundle, "data/gtea", split="split_1"))

Whoever has events, truth, tracks and pictures already fills a `RecordingReport` in. Needs the extra `report` (jinja2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from ._judged import judge, report_dataset
    from ._model import Action, Candidate, Curve, DatasetReport, Judged, RecordingReport, Thumbnail, TrackStretch
    from ._render import build_report, write_report
    from ._tracks import candidates_of, thin_candidates, tracks_of
    from .facts import bundle_facts, machine_facts
    from .recording import read_actions, read_events, report_recording
    from .thumbnails import ThumbnailTaker, encode_jpeg

_MODULES = {
    "Action": "_model",
    "Candidate": "_model",
    "Curve": "_model",
    "DatasetReport": "_model",
    "Judged": "_model",
    "RecordingReport": "_model",
    "Thumbnail": "_model",
    "ThumbnailTaker": "thumbnails",
    "TrackStretch": "_model",
    "build_report": "_render",
    "bundle_facts": "facts",
    "candidates_of": "_tracks",
    "encode_jpeg": "thumbnails",
    "judge": "_judged",
    "machine_facts": "facts",
    "read_actions": "recording",
    "read_events": "recording",
    "report_dataset": "_judged",
    "report_recording": "recording",
    "thin_candidates": "_tracks",
    "tracks_of": "_tracks",
    "write_report": "_render",
}

__all__ = [
    "Action",
    "Candidate",
    "Curve",
    "DatasetReport",
    "Judged",
    "RecordingReport",
    "Thumbnail",
    "ThumbnailTaker",
    "TrackStretch",
    "build_report",
    "bundle_facts",
    "candidates_of",
    "encode_jpeg",
    "judge",
    "machine_facts",
    "read_actions",
    "read_events",
    "report_dataset",
    "report_recording",
    "thin_candidates",
    "tracks_of",
    "write_report",
]

__getattr__ = lazy_names(__name__, _MODULES)
