"""What a run says about itself at its end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from ..sinks import Sink
from ..sinks.mqtt import MqttSink
from ..text.display import counted

if TYPE_CHECKING:
    from ..session.plan import Stats
    from ..sources.video import VideoStats


def processed(stats: Stats, *, finals: int, retracted: int, skipped: Mapping[str, int]) -> str:
    """What went in and came out, in words.

    Args:
        stats: The counters of the session.
        finals: Number of final events.
        retracted: Number of events that were withdrawn.
        skipped: Chunks that were not used, by reason.
    """
    left = ", ".join(f"{count} {reason}" for reason, count in sorted(skipped.items())) or "0"
    return (
        f"{counted(stats.snippets, 'snippet')}, {stats.media_s:.1f} s of media, "
        f"{finals} final and {counted(retracted, 'retracted event')}, {counted(stats.gaps, 'gap')} "
        f"({counted(stats.dropped, 'snippet')}), chunks skipped: {left}"
    )


def real_time_factor(stats: Stats, video: VideoStats | None) -> float:
    """Seconds of computation per second of media, from the input to the events: decoding and backbone count, waiting
    for the source does not.

    Args:
        stats: The counters of the session.
        video: The counters of the video source; None for features.
    """
    before = 0.0 if video is None else sum(video.seconds().values())
    return stats.real_time_factor + (before / stats.media_s if stats.media_s else 0.0)


def dropped_connections(refused: Mapping[str, int]) -> str:
    """Senders whose connections were dropped, by reason; an empty string if there are none."""
    parts = ", ".join(f"{n} {reason}" for reason, n in sorted(refused.items()))
    return f"; connections dropped: {parts}" if parts else ""


def losses(stats: Stats, video: VideoStats | None) -> str:
    """Which media are missing from the result, in words; an empty string if none are.

    Args:
        stats: The counters of the session.
        video: The counters of the video source; None for features.
    """
    parts = []
    if video is not None and video.lost:
        start_s = getattr(video, "lost_at_start_s", 0.0)
        where = f", {start_s:.1f} s of them at the start" if start_s else ""
        parts.append(f"{counted(video.lost, 'video frame')} lost{where}")
    if stats.dropped:
        media = stats.dropped * (stats.media_s / stats.snippets) if stats.snippets else 0.0
        seconds = f", about {media:.1f} s of media" if media else ""
        parts.append(f"{counted(stats.dropped, 'snippet')} missing in {counted(stats.gaps, 'gap')}{seconds}")
    return "; ".join(parts)


def skipped_chunks(skipped: Mapping[str, int]) -> str:
    """Chunks that were not used, by reason; an empty string if there are none."""
    parts = ", ".join(f"{counted(n, 'chunk')} {reason}" for reason, n in sorted(skipped.items()))
    return f"skipped: {parts}" if parts else ""


def undelivered(sinks: Iterable[Sink]) -> str:
    """Events that the queues to MQTT brokers dropped; an empty string if there are none."""
    dropped = [sink.dropped for sink in sinks if isinstance(sink, MqttSink)]
    provisional, final = (sum(one[k] for one in dropped) for k in (0, 1))
    if not (provisional or final):
        return ""
    return f"not sent by MQTT: {counted(provisional, 'provisional event')}, {counted(final, 'final event')}"


def stage_times(stats: Stats, video: VideoStats | None) -> str:
    """Milliseconds of work per second of media for each stage; for a video also percentiles of its stages."""
    parts = {} if video is None else video.seconds()
    parts |= {"locate": stats.locate_s, "islands": stats.islands_s, "score": stats.score_s, "post": stats.post_s}
    media = stats.media_s or 1.0
    text = "per second of media: " + ", ".join(f"{name} {1e3 * s / media:.2f} ms" for name, s in parts.items())
    for name, (middle, high) in ({} if video is None else video.percentiles(50, 99)).items():
        text += f"; {name} p50 {1e3 * middle:.2f} p99 {1e3 * high:.2f} ms"
    return text
