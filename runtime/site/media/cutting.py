"""Which packets make up a clip, and the file that holds them: cut at key frames, without encoding anything again."""

from __future__ import annotations

import bisect
import contextlib
import math
import os
import secrets
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ...video._opening import load_av
from .ring import FORMS, Ring, Section, Stored

if TYPE_CHECKING:
    from av.container import OutputContainer

TICKS = 90_000  # per second, of the time stamps in clips
_SLACK_S = 0.05  # times that are this close are the same: frames lie on a grid of their own
_SAME_S = 1e-3  # containers round time stamps, Matroska to milliseconds
_LAST_S = 0.04  # how long the last frame is shown if it is the only one
_SAFE = {"h264", "av1", "vp9", "vp8"}
_TYPES = {"mp4": "video/mp4", "webm": "video/webm", "matroska": "video/x-matroska"}


@dataclass(slots=True, eq=False)
class Cut:
    """Packets of a clip in the order of decoding.

    Attributes:
        section: Where they are from.
        packets: The packets; the first is a key frame.
        ticks: Their times of presentation in `TICKS`, 0 for the first one.
        start_s: Media time of the first frame.
        end_s: Media time at which the last frame ends.
        sound: Packets of sound with their seconds in the clip.
        why: What is missing of the time that was asked for; empty if nothing is.
    """

    section: Section
    packets: list[Stored]
    ticks: list[int]
    start_s: float
    end_s: float
    sound: list[tuple[Stored, float]]
    why: str = ""

    @property
    def suffix(self) -> str:
        """Suffix of files with this clip."""
        return FORMS[self.section.template.form]

    @property
    def media_type(self) -> str:
        return _TYPES[self.section.template.form]

    @property
    def plays_in_browsers(self) -> bool:
        """Whether all browsers play the codec; others play it in some browsers, or not at all."""
        return self.section.template.codec in _SAFE


def cut(ring: Ring, start_s: float, end_s: float) -> Cut | str:
    """Choose the packets for the media time from `start_s` to `end_s`, in seconds, or say why there are none.

    The clip begins with the last key frame that is not after `start_s`. Where the parameters of the video change in
    between, it holds the longer part.
    """
    found: list[Cut] = []
    sections = ring.sections()
    for section, packets, sounds in sections:
        part = _part(section, packets, sounds, start_s, end_s)
        if part is not None:
            found.append(part)
    if not found:
        return _nothing(ring, sections, start_s, end_s)
    best = max(found, key=lambda part: min(part.end_s, end_s) - max(part.start_s, start_s))
    reasons = []
    if best.start_s > start_s + _SLACK_S:
        before = best.section.why if best is not found[0] else ""
        reasons.append(f"it begins at {best.start_s:.2f} s, because {before or 'earlier video is no longer there'}")
    if best.end_s < end_s - _SLACK_S:
        after = found[found.index(best) + 1].section.why if best is not found[-1] else ""
        reasons.append(f"it ends at {best.end_s:.2f} s, because {after or 'no later video has arrived'}")
    best.why = "; ".join(reasons)
    return best


def _nothing(
    ring: Ring, sections: list[tuple[Section, list[Stored], list[Stored]]], start_s: float, end_s: float
) -> str:
    if ring.unsuited:
        return ring.unsuited
    times = [at for _, packets, _ in sections for at in times_of(packets) if at is not None]
    if times:
        return (
            f"video is available from {min(times):.2f} s to {max(times):.2f} s, and {start_s:.2f} s to"
            f" {end_s:.2f} s were asked for"
        )
    if ring.oversized:
        return "a group of pictures needs more memory than `ring_mb`"
    if ring.begun:
        return "no key frame has arrived yet"
    return "the source delivers no compressed video"


def times_of(packets: list[Stored]) -> list[float | None]:
    """Media times of packets: those of their frames, and for packets that were not decoded by their time stamps."""
    times: list[float | None] = [packet.at_s for packet in packets]
    for order in (range(len(packets)), range(len(packets) - 1, -1, -1)):
        shift: float | None = None
        for k in order:
            packet = packets[k]
            if packet.stamp_s is None:
                continue
            if packet.at_s is not None:
                shift = packet.at_s - packet.stamp_s
            elif times[k] is None and shift is not None:
                times[k] = packet.stamp_s + shift
    return times


def _part(section: Section, packets: list[Stored], sounds: list[Stored], start_s: float, end_s: float) -> Cut | None:
    times = times_of(packets)
    first: int | None = None
    last = -1
    for k, (packet, at) in enumerate(zip(packets, times, strict=True)):
        if at is None:
            continue
        if packet.key and (first is None or at <= start_s + _SAME_S):
            first = k
        if at <= end_s:
            last = k
    if first is None or last < first:
        return None
    begin_s = times[first]
    last = _with_all_before(times, first, last)
    chosen: list[tuple[Stored, float]] = []
    for packet, at in zip(packets[first : last + 1], times[first : last + 1], strict=True):
        # Pictures before the first key frame in time depend on the group before it.
        if at is not None and begin_s is not None and at >= begin_s:
            chosen.append((packet, at))
    if not chosen or begin_s is None:
        return None
    later = [at for at in times[last + 1 :] if at is not None]
    ticks = _ticks([at for _, at in chosen], begin_s)
    ordered = sorted(at for _, at in chosen)
    usual = (ordered[-1] - ordered[0]) / (len(ordered) - 1) if len(ordered) > 1 else _LAST_S
    newest = max(ordered[-1], begin_s + max(ticks) / TICKS)
    shown_until = min((at for at in later if at > newest), default=newest + min(usual, 1.0))
    placed = max((packet.at_s for packet in packets if packet.at_s is not None), default=newest)
    shown_until = min(shown_until, placed + min(usual, 1.0))  # pictures between may not have arrived
    if shown_until <= start_s:
        return None
    sound = _sound(packets, times, sounds, begin_s, shown_until)
    return Cut(section, [packet for packet, _ in chosen], ticks, begin_s, shown_until, sound)


def _with_all_before(times: list[float | None], first: int, last: int) -> int:
    """Extend a range of packets so that no picture is missing before one that is in it: B-frames follow later ones."""
    while True:
        newest = max(at for at in times[first : last + 1] if at is not None)
        further = max(
            (k for k in range(last + 1, len(times)) if (at := times[k]) is not None and at < newest), default=0
        )
        if further <= last:
            return last
        last = further


def _sound(
    packets: list[Stored], times: list[float | None], sounds: list[Stored], begin_s: float, end_s: float
) -> list[tuple[Stored, float]]:
    """The packets of sound between two media times, with their seconds in the clip.

    Sound has time stamps on the clock of the video, so it is shifted as the picture next to it is.
    """
    shifts = sorted(
        (packet.stamp_s, at - packet.stamp_s)
        for packet, at in zip(packets, times, strict=True)
        if at is not None and packet.stamp_s is not None
    )
    chosen: list[tuple[Stored, float]] = []
    for sound in sounds:
        if sound.stamp_s is None or not shifts:
            continue
        near = max(bisect.bisect_right(shifts, (sound.stamp_s, math.inf)) - 1, 0)
        at = sound.stamp_s + shifts[near][1]
        if begin_s <= at < end_s and (not chosen or at - begin_s > chosen[-1][1]):
            chosen.append((sound, at - begin_s))
    return chosen


def _ticks(times: list[float], begin_s: float) -> list[int]:
    """Times of presentation, all different and in the order of media time; equal ones in that of decoding."""
    ticks = [0] * len(times)
    before = -1
    for k in sorted(range(len(times)), key=lambda k: times[k]):
        before = ticks[k] = max(round((times[k] - begin_s) * TICKS), before + 1)
    return ticks


def write(part: Cut, target: IO[bytes] | Path) -> None:
    """Write a clip. A path gets an index at its start, so that browsers play it while it loads.

    Raises:
        av.FFmpegError, OSError, ValueError: It cannot be written.
    """
    av = load_av()
    template = part.section.template
    options: dict[str, str] = {}
    if template.form == "mp4":
        # No decoding time before 0, so that no edit list is needed.
        options["movflags"] = "negative_cts_offsets" + ("+faststart" if isinstance(target, Path) else "")
    where = str(target) if isinstance(target, Path) else target
    with av.open(where, "w", format=template.form, options=options) as out:
        _mux(part, out)


def _mux(part: Cut, out: OutputContainer) -> None:
    template, section = part.section.template, part.section
    stream: Any = out.add_stream_from_template(template.stream, opaque=True)
    stream.time_base = Fraction(1, TICKS)
    if section.extradata is not None:
        stream.codec_context.extradata = section.extradata
    if section.why:
        _measure(part, stream)
    if template.codec == "hevc" and template.form == "mp4":
        stream.codec_context.codec_tag = "hvc1"  # the only tag that Safari plays
    packets = _pictures(part, stream)
    if part.sound:
        packets += _sounds(part, out.add_stream_from_template(template.sound))
        packets.sort(key=lambda packet: float(packet.dts * packet.time_base))
    for packet in packets:
        out.mux(packet)


def _pictures(part: Cut, stream: Any) -> list[Any]:
    av = load_av()
    packets = []
    ordered = sorted(part.ticks)
    until = [*ordered[1:], max(round((part.end_s - part.start_s) * TICKS), ordered[-1] + 1)]
    shown = {tick: after - tick for tick, after in zip(ordered, until, strict=True)}
    delay = max(order - tick for order, tick in zip(ordered, part.ticks, strict=True))
    for stored, tick, order in zip(part.packets, part.ticks, ordered, strict=True):
        packet = av.Packet(stored.data)
        packet.stream, packet.time_base = stream, Fraction(1, TICKS)
        packet.pts, packet.dts, packet.duration = tick, order - delay, shown[tick]
        packet.is_keyframe = stored.key
        packets.append(packet)
    return packets


def _sounds(part: Cut, stream: Any) -> list[Any]:
    av = load_av()
    base = Fraction(1, stream.codec_context.sample_rate)
    stream.time_base = base
    packets: list[Any] = []
    for stored, at in part.sound:
        packet = av.Packet(stored.data)
        packet.stream, packet.time_base, packet.is_keyframe = stream, base, True
        packet.pts = packet.dts = round(at / base)
        if packets:
            packets[-1].duration = packet.pts - packets[-1].pts
        packets.append(packet)
    return packets


def _measure(part: Cut, stream: Any) -> None:
    """Set the size of a video whose header was for another one, by decoding its first picture."""
    av = load_av()
    context = av.CodecContext.create(part.section.template.codec, "r")
    extradata = part.section.extradata or part.section.template.extradata
    if extradata:
        context.extradata = extradata
    for data in (part.packets[0].data, None):
        for frame in context.decode(None if data is None else av.Packet(data)):
            stream.codec_context.width, stream.codec_context.height = frame.width, frame.height
            return


def store(part: Cut, target: Path) -> int:
    """Write a clip to a file that appears when it is complete. Returns its size in bytes.

    Raises:
        av.FFmpegError, OSError, ValueError: It cannot be written; nothing is left.
    """
    draft = draft_of(target)
    try:
        write(part, draft)
        return finish(draft, target)
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def draft_of(target: Path) -> Path:
    """A hidden name next to a file, for as long as it is not complete."""
    return target.with_name(f".{target.name}.{secrets.token_hex(4)}")


def finish(draft: Path, target: Path) -> int:
    """Give a complete file its name. Returns its size in bytes."""
    with draft.open("rb") as made:
        os.fsync(made.fileno())
        size = os.fstat(made.fileno()).st_size
    draft.replace(target)
    return size
