"""The latest compressed packets of a camera with their media times, kept while the video is read for other purposes."""

from __future__ import annotations

import io
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...datatypes import compact
from ...video._opening import load_av
from .parameters import as_extradata, has_start_codes, parameters

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.video.stream import VideoStream

FORMS = {"mp4": ".mp4", "webm": ".webm", "matroska": ".mkv"}  # formats of clips, in the order in which they are tried
_OVERHEAD = 250  # bytes of memory of a packet besides its data
_WAITING = 512  # packets whose frames may still come out of the decoder
_UNCODED = ("rawvideo", "wrapped_avframe", "v210", "yuv4")


@compact
@dataclass(slots=True, eq=False, repr=False)
class Stored:
    """A packet.

    Attributes:
        data: Its bytes.
        key: Whether decoding can begin with it.
        stamp_s: Time stamp in seconds of the source's own clock; None without one.
        at_s: Media time of its frame; None as long as it is not known.
    """

    data: bytes
    key: bool
    stamp_s: float | None
    at_s: float | None = None


@compact
@dataclass(slots=True, eq=False)
class Template:
    """How the packets of a connection are decoded.

    Attributes:
        codec: FFmpeg's name of the codec.
        form: Format of clips, one of `FORMS`.
        extradata: Header of the stream.
        size: Width and height in pixels, as far as the header knows.
        stream: An output stream with these parameters, the pattern for those of clips.
        sound: The same for sound; None without any that clips can hold.
        sound_index: Number of the stream with the sound; -1 without one.
        holder: Container of these; nothing is written to it.
    """

    codec: str
    form: str
    extradata: bytes
    size: tuple[int, int]
    stream: Any
    sound: Any
    sound_index: int
    holder: OutputContainer


@compact
@dataclass(slots=True, eq=False)
class Section:
    """Packets that one decoder decodes, in groups that begin with a key frame.

    Attributes:
        template: How they are decoded.
        sets: Parameter sets of its first packet.
        extradata: Header that replaces that of the template, because that is empty or the parameters changed after it.
        why: Why it does not continue the section before it; empty for the first one.
    """

    template: Template
    sets: tuple[bytes, ...]
    extradata: bytes | None = None
    why: str = ""
    groups: deque[Group] = field(default_factory=deque)

    def packets(self) -> list[Stored]:
        return [packet for group in self.groups for packet in group.packets]

    def sounds(self) -> list[Stored]:
        return [packet for group in self.groups for packet in group.sound]


@dataclass(slots=True, eq=False)
class Group:
    """A key frame and the packets up to the next one."""

    packets: list[Stored] = field(default_factory=list)
    sound: list[Stored] = field(default_factory=list)
    size: int = 0


class Ring:
    """Keeps the packets of the last `seconds`, at most `megabytes` of them, beginning with a key frame.

    A group of pictures that is longer than `seconds` is kept while it is the only one, and dropped if it is larger than
    `megabytes`. Methods may be called from any thread.

    Args:
        seconds: Media time that is kept.
        megabytes: Memory for packets.
        sound: Keep sound as well.
    """

    def __init__(self, seconds: float, megabytes: float, *, sound: bool = False) -> None:
        self._seconds, self._most, self.sound = seconds, int(megabytes * 1e6), sound
        self._lock = threading.Lock()
        self._sections: deque[Section] = deque()
        self._next: Template | None = None  # of a connection whose first key frame has not arrived
        self._needs_key = True
        self._unplaced: dict[int, Stored] = {}
        self._number = 0
        self._holds: dict[object, float] = {}
        self.bytes = 0
        self.newest_s: float | None = None
        """Media time of the latest frame."""
        self.oversized = 0
        """Groups of pictures that were dropped because a single one needs more memory than there is."""
        self.begun = False
        """Whether a source with packets was opened."""
        self.unsuited = ""
        """Why packets are not kept; empty if they are."""

    def tap(self, start_s: float = 0.0) -> Tap:
        """What `VideoOptions.packets` takes. start_s: media time at which the source begins."""
        return Tap(self, start_s)

    @property
    def delivers(self) -> bool:
        """Whether there is compressed video."""
        return bool(self._sections)

    def hold(self, owner: object, since_s: float) -> None:
        """Keep what is after `since_s` for longer than usual, within the limit of memory."""
        with self._lock:
            self._holds[owner] = since_s

    def release(self, owner: object) -> None:
        """End a `hold`."""
        with self._lock:
            self._holds.pop(owner, None)

    def sections(self) -> list[tuple[Section, list[Stored], list[Stored]]]:
        """The sections with their packets of video and of sound at this moment, in order."""
        with self._lock:
            return [(section, section.packets(), section.sounds()) for section in self._sections]

    def begin(self, container: InputContainer, stream: VideoStream) -> None:
        """See `PacketTap.begin`."""
        self.begun = True
        codec = stream.codec_context.codec.canonical_name
        if codec.startswith(_UNCODED):
            self.unsuited = "the source delivers no compressed video"
            return
        template = make_template(container, stream, sound=self.sound)
        with self._lock:
            self._next, self._needs_key = template, True
            self._unplaced.clear()
            self.unsuited = "" if template is not None else f"no format of clips takes {codec}"

    def add(self, packet: Any) -> int:
        """See `PacketTap.packet`."""
        self._number += 1
        if self.unsuited:
            return self._number
        key = bool(packet.is_keyframe) and not packet.is_discard
        if self._needs_key and not key:
            return self._number
        stamp = packet.dts if packet.pts is None else packet.pts
        base = packet.time_base
        stored = Stored(bytes(packet), key, None if stamp is None or not base else float(stamp * base))
        with self._lock:
            if key:
                self._open_group(stored)
            if not self._sections or not self._sections[-1].groups:
                return self._number
            self._append(stored)
            self._unplaced[self._number] = stored
            while len(self._unplaced) > _WAITING:
                del self._unplaced[next(iter(self._unplaced))]
        return self._number

    def add_other(self, packet: Any) -> None:
        """See `PacketTap.other`."""
        with self._lock:
            section = self._sections[-1] if self._sections else None
            if section is None or self._needs_key or packet.stream.index != section.template.sound_index:
                return
            base, stamp = packet.time_base, packet.pts
            if not section.groups or stamp is None or not base or not packet.size:
                return
            group, data = section.groups[-1], bytes(packet)
            group.sound.append(Stored(data, True, float(stamp * base)))
            group.size += len(data) + _OVERHEAD
            self.bytes += len(data) + _OVERHEAD

    def reject(self, number: int) -> None:
        """See `PacketTap.reject`. Only the latest packet is dropped: others may still be needed by those after them."""
        with self._lock:
            stored = self._unplaced.pop(number, None)
            group = self._sections[-1].groups[-1] if self._sections and self._sections[-1].groups else None
            if stored is None or group is None or len(group.packets) < 2 or group.packets[-1] is not stored:
                return
            group.packets.pop()
            group.size -= len(stored.data) + _OVERHEAD
            self.bytes -= len(stored.data) + _OVERHEAD

    def place(self, number: int, at_s: float) -> None:
        """See `PacketTap.place`."""
        with self._lock:
            self.newest_s = at_s if self.newest_s is None else max(at_s, self.newest_s)
            stored = self._unplaced.pop(number, None)
            if stored is not None:
                stored.at_s = at_s
            self._trim()

    def _open_group(self, stored: Stored) -> None:
        """Begin a group of pictures, and a section where the parameters differ from those before it."""
        before = self._sections[-1] if self._sections else None
        if self._next is not None:
            template = self._next
        elif before is not None:
            template = before.template
        else:
            return
        sets = parameters(template.codec, template.extradata, stored.data)
        if before is None:
            self._sections.append(Section(template, sets, _missing(template, sets)))
        elif self._next is not None:
            if not _continues(before, template, sets):
                why = "the source was connected again, with another video"
                self._sections.append(Section(template, sets, _missing(template, sets), why))
        elif sets and before.sets and not set(sets) <= set(before.sets):
            own = has_start_codes(template.codec, template.extradata) or template.codec == "av1"
            changed = as_extradata(template.codec, sets) if own else None
            self._sections.append(Section(template, sets, changed, "the size or the coding of the video changed"))
        self._next, self._needs_key = None, False
        self._sections[-1].groups.append(Group())

    def _append(self, stored: Stored) -> None:
        group, size = self._sections[-1].groups[-1], len(stored.data) + _OVERHEAD
        group.packets.append(stored)
        group.size += size
        self.bytes += size
        while self.bytes > self._most and self._drop_oldest():
            pass

    def _trim(self) -> None:
        """Drop groups that are too old: those whose next one begins before the time that is kept."""
        if self.newest_s is None:
            return
        since_s = min([self.newest_s - self._seconds, *self._holds.values()])
        while (second := self._second()) is not None and second.at_s is not None and second.at_s <= since_s:
            self._drop_oldest()

    def _second(self) -> Stored | None:
        """First packet of the second group."""
        groups = (group for section in self._sections for group in section.groups)
        next(groups, None)
        second = next(groups, None)
        return second.packets[0] if second is not None and second.packets else None

    def _drop_oldest(self) -> bool:
        oldest = self._sections[0]
        group = oldest.groups.popleft()
        self.bytes -= group.size
        if oldest.groups:
            return True
        if len(self._sections) > 1:
            self._sections.popleft()
            return True
        self.oversized += 1  # it was the only one: nothing can be decoded before the next key frame
        self._needs_key = True
        return False


class Tap:
    """A `PacketTap` that fills a ring from one opened source.

    Args:
        ring: The ring.
        start_s: Media time at which the source begins, in seconds. May be set anew when it is opened again.
    """

    def __init__(self, ring: Ring, start_s: float) -> None:
        self._ring, self.start_s = ring, start_s

    def begin(self, container: InputContainer, stream: VideoStream) -> None:
        self._ring.begin(container, stream)

    def packet(self, packet: Any) -> int:
        return self._ring.add(packet)

    @property
    def sound(self) -> bool:
        return self._ring.sound

    def other(self, packet: Any) -> None:
        self._ring.add_other(packet)

    def reject(self, number: int) -> None:
        self._ring.reject(number)

    def place(self, number: int, at_s: float) -> None:
        self._ring.place(number, self.start_s + at_s)


def make_template(container: InputContainer, stream: VideoStream, *, sound: bool) -> Template | None:
    """Copy the parameters of an input stream, and of its sound; None if no format of clips takes the codec."""
    av = load_av()
    context = stream.codec_context
    for form in FORMS:
        holder = av.open(io.BytesIO(), "w", format=form)
        try:
            copy = holder.add_stream_from_template(stream, opaque=True)
        except ValueError:
            continue
        size = (int(context.width or 0), int(context.height or 0))
        pattern, index = _sound(container, holder) if sound else (None, -1)
        name = context.codec.canonical_name
        return Template(name, form, context.extradata or b"", size, copy, pattern, index, holder)
    return None


def _sound(container: InputContainer, holder: OutputContainer) -> tuple[Any, int]:
    """Pattern and number of the first sound that the format takes; None and -1 without one."""
    for stream in container.streams.audio:
        if stream.codec_context is None or not stream.codec_context.sample_rate:
            continue
        try:
            return holder.add_stream_from_template(stream), stream.index
        except ValueError:
            continue
    return None, -1


def _missing(template: Template, sets: tuple[bytes, ...]) -> bytes | None:
    """The header that a connection did not bring, from its first key frame; None if it is not needed."""
    return None if template.extradata or not sets else as_extradata(template.codec, sets)


def _continues(section: Section, template: Template, sets: tuple[bytes, ...]) -> bool:
    """Whether the packets of a new connection can follow those of a section."""
    old = section.template
    if (old.codec, has_start_codes(old.codec, old.extradata)) != (
        template.codec,
        has_start_codes(template.codec, template.extradata),
    ):
        return False
    if sets and section.sets:
        return set(sets) == set(section.sets)
    return (old.extradata, old.size) == (template.extradata, template.size)
