"""Captions of a clip in WebVTT."""

from __future__ import annotations

from ...events.event import Event
from ..store.rows import MediaRow


def webvtt(event: Event, clip: MediaRow) -> str:
    """One caption with class and score, from the start of the event in the clip to its end."""
    begin = clip.start_s
    end_of_clip = max(clip.end_s - begin, 0.001)
    start = min(max(event.start - begin, 0.0), end_of_clip - 0.001)
    end = min(max(event.end - begin, start + 0.001), end_of_clip)
    return f"WEBVTT\n\n{_stamp(start)} --> {_stamp(end)}\n{_text(event.label)} {event.score:.2f}\n"


def _stamp(seconds: float) -> str:
    whole = round(max(seconds, 0.0) * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02d}:{minutes:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _text(label: str) -> str:
    """Text of a caption: no markup, no end of the caption, no arrow."""
    line = " ".join(label.split()).replace("\0", "")
    return line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
