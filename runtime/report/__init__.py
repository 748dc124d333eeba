"""The report: one HTML file about the events of a bundle in a recording, or about its accuracy on a data set.

    write_report("report.html", report_recording(bundle, "clip.mp4", max_delay_s=1.0))
    write_report("report.html", report_dataset(bundle, "data/gtea", split="split_1"))

To report existing events, ground truth, tracks and pictures, create a `RecordingReport` directly. Needs the extra
`report` (jinja2).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._lazy import lazy_names

if TYPE_CHECKING:
    from ._dataset import evaluate_events, report_dataset
    from ._model import (
        Action,
        Curve,
        DatasetReport,
        DiagnosisReport,
        EvaluatedRecording,
        Proposal,
        RecordingReport,
        Thumbnail,
        TrackSpan,
    )
    from ._render import build_report, write_report
    from ._tracks import proposals_of, thin_proposals, tracks_of
    from .facts import bundle_facts, machine_facts
    from .given import read_actions, read_events
    from .recording import report_recording
    from .thumbnails import ThumbnailTaker, encode_jpeg

_MODULES = {
    "Action": "_model",
    "Proposal": "_model",
    "Curve": "_model",
    "DatasetReport": "_model",
    "DiagnosisReport": "_model",
    "EvaluatedRecording": "_model",
    "RecordingReport": "_model",
    "Thumbnail": "_model",
    "ThumbnailTaker": "thumbnails",
    "TrackSpan": "_model",
    "build_report": "_render",
    "bundle_facts": "facts",
    "proposals_of": "_tracks",
    "encode_jpeg": "thumbnails",
    "evaluate_events": "_dataset",
    "machine_facts": "facts",
    "read_actions": "given",
    "read_events": "given",
    "report_dataset": "_dataset",
    "report_recording": "recording",
    "thin_proposals": "_tracks",
    "tracks_of": "_tracks",
    "write_report": "_render",
}

__all__ = [
    "Action",
    "Curve",
    "DatasetReport",
    "DiagnosisReport",
    "EvaluatedRecording",
    "Proposal",
    "RecordingReport",
    "Thumbnail",
    "ThumbnailTaker",
    "TrackSpan",
    "build_report",
    "bundle_facts",
    "encode_jpeg",
    "evaluate_events",
    "machine_facts",
    "proposals_of",
    "read_actions",
    "read_events",
    "report_dataset",
    "report_recording",
    "thin_proposals",
    "tracks_of",
    "write_report",
]

__getattr__ = lazy_names(__name__, _MODULES)
