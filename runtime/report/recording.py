"""The content of the report of a bundle on one recording: features or a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..backends.options import CPU, EngineSpec
from ..errors import MissingDependencyError
from ..events.event import Event
from ..text.display import as_utf8, counted, were
from ._model import Action, Proposal, RecordingReport
from ._tracks import MOST, proposals_of, thin_proposals, tracks_of
from .facts import bundle_facts, machine_facts
from .footage import Footage, read_footage, run_footage

if TYPE_CHECKING:
    from ..bundle.reader import Bundle


def report_recording(
    bundle: Bundle,
    path: str | Path,
    *,
    truth: Sequence[Action] | None = None,
    events: Sequence[Event] | None = None,
    max_delay_s: float | None = None,
    title: str = "",
    spec: EngineSpec = CPU,
    fps: float | None = None,
    warn: Callable[[str], None] | None = None,
) -> RecordingReport:
    """Run a bundle on a `.npy` file or a video and collect the content of the page.

    Args:
        bundle: The bundle.
        path: A `.npy` file or a video.
        truth: True actions, if known.
        events: Recorded events to show instead of those of the run.
        max_delay_s: Run as a stream with this maximum reporting delay in seconds, and show the phases.
        title: Title of the page. Default: name of the recording.
        spec: Device, precision and threads of the engine.
        fps: Frame rate of a video without timestamps.
        warn: Called with a message if parts of the recording are missing.

    Raises:
        InputError: The recording cannot be read, or the engine cannot be opened.
    """
    from punctum import kernels

    from ..localizer import Localizer

    name = as_utf8(Path(path).stem)
    localizer = Localizer.open(bundle, spec)
    kernels.warm_up("run")
    footage = read_footage(bundle, localizer, path, spec=spec, fps=fps)
    missing = _missing(footage)
    if missing and warn is not None:
        warn(f"{name}: {' '.join(missing)}")
    stages = dict(footage.stages)
    if events is None:
        made, spent = run_footage(localizer, footage, stream=name, max_delay_s=max_delay_s)
        stages |= spent
    else:
        made = list(events)
    tracks = tuple(tracks_of(localizer, span) for span in footage.spans)
    proposals: list[Proposal] = []
    for span, track in zip(footage.spans, tracks, strict=True):
        proposals += proposals_of(localizer, span, track)
    calibration = bundle.manifest.calibration
    return RecordingReport(
        title=title or name,
        labels=localizer.labels,
        duration_s=footage.duration_s,
        start_s=footage.start_s,
        events=tuple(made),
        source=as_utf8(Path(path).name),
        truth=None if truth is None else tuple(truth),
        tracks=tracks,
        proposals=thin_proposals(proposals),
        thresholds=localizer.plan.post.class_thresholds,
        thumbnails=footage.thumbnails,
        stages=stages,
        max_delay_s=max_delay_s,
        min_score=None if calibration is None else min(each.min_score for each in calibration.classes),
        bundle=bundle_facts(bundle),
        machine=machine_facts(device=localizer.backend.actual, threads=spec.threads, precision=spec.precision),
        notes=_notes(footage, bundle, made, len(proposals)),
    )


def _missing(footage: Footage) -> list[str]:
    """Sentences about missing parts of the recording."""
    notes = []
    if footage.spans[0].start_s > 0:
        notes.append(f"The video starts at {footage.spans[0].start_s:.2f} s; there are no results before that.")
    for before, after in zip(footage.spans, footage.spans[1:], strict=False):
        end = before.start_s + before.duration_s
        notes.append(f"There are no results from {end:.2f} s to {after.start_s:.2f} s: the recording has a gap.")
    if footage.lost:
        notes.append(f"{counted(footage.lost, 'frame')} of the video {were(footage.lost)} lost while reading.")
    return notes


def _notes(footage: Footage, bundle: Bundle, events: Sequence[Event], proposals: int) -> tuple[str, ...]:
    notes = _missing(footage)
    strange = sorted({e.bundle for e in events} - {bundle.id, ""})
    if strange:
        notes.append(f"The events are from another bundle: {', '.join(strange[:3])}.")
    if proposals > MOST:
        notes.append(f"Of {proposals:,} proposals, the {MOST:,} best are shown, spread over the recording.")
    return tuple(notes)


def need_jinja() -> ModuleType:
    """The template engine. Raises MissingDependencyError."""
    try:
        import jinja2
    except ImportError:
        raise MissingDependencyError("jinja2", "report", "writing a report") from None
    library: ModuleType = jinja2
    return library
