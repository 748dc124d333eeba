"""From packets of one stream to upright frames with time stamps. Damaged packets are skipped and counted.

Packets that no frame on the sampling grid needs are not decoded, see `_selection`. Their frames take part in the time
line like all others, but without an image.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

from ._decoded import Converter, DecodedFrame, OmittedFrame, Turn, pixel_aspect
from ._header import MAX_PIXELS, number
from ._opening import load_av
from ._references import references
from ._selection import Selection, Shows
from ._stamps import Stamper
from .packets import PacketTap

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from ._stamps import VideoPacket

MAX_SIDE = 16384  # pixels; a damaged header may claim any size


class Decoding:
    """Decodes the packets of a stream: `take` for each one in turn, then `finish`.

    Args:
        stream: The stream.
        stamper: Gives the frames their time stamps.
        convert: Converts frames to images.
        dropped: Counters by reason, shared with the source.
        queued: Number of frames in the threads of the decoder.
        waits: Whether a packet may wait for the next one. A live source that it would delay decodes every packet.
        packets: Sees every packet before it is decoded.

    Attributes:
        shows: Whether a cell may show a frame; None decodes every packet.
        frames: Frames so far.
        omitted: Of these, frames that were not decoded.
        lost: Frames lost since the last frame.
        faults: Errors in a row.
        first_s: Earliest time stamp in seconds among the packets up to the first frame; None if they have none.
        turn: How frames are turned upright.
    """

    def __init__(
        self,
        stream: VideoStream,
        stamper: Stamper,
        convert: Converter,
        dropped: dict[str, int],
        *,
        queued: int,
        waits: bool,
        packets: PacketTap | None = None,
    ) -> None:
        self._stream, self._stamper, self._convert, self._dropped = stream, stamper, convert, dropped
        self._queued, self._packets = queued, packets
        self.turn = Turn()
        self._rotation: int | None = None
        self._size, self._aspect = (0, 0), 1.0
        self._damaged = False  # data was corrupt or missing since the last frame
        self._latest: DecodedFrame | None = None
        self._selection = self._select() if waits else None
        self.shows: Shows | None = None
        self.frames = self.omitted = self.lost = self.faults = 0
        self.first_s: float | None = None

    def take(self, packet: VideoPacket | None) -> Iterator[DecodedFrame | None]:
        """Process a packet once the one after it is known; None processes the last one.

        Yields frames in order of presentation, and None for a packet without a frame.
        """
        if packet is not None and packet.stream.index != self._stream.index:
            if self._packets is not None:
                self._packets.other(packet)
            yield None
            return
        if packet is not None and self._packets is not None:
            packet.opaque = self._packets.packet(packet)  # the decoder copies it to the frame
        if self._selection is not None:
            packet = self._selection.take(packet)
        if packet is not None:
            yield from self._frames([] if self._omits(packet) else self._send(packet))

    def finish(self) -> Iterator[DecodedFrame | None]:
        """Yield the frames that the decoder still holds."""
        yield from self.take(None)
        yield from self._frames(self._send(None))
        if self._selection is not None:
            yield from self._passed(self._selection.rest())

    def fail(self) -> None:
        """Note that data could not be read."""
        self.faults += 1
        self._damaged = True
        self._count("unreadable")
        if self._selection is not None:
            self._selection.disturb()

    def _omits(self, packet: VideoPacket) -> bool:
        """Take note of a packet, and return whether it is left out."""
        stamper = self._stamper
        if packet.is_corrupt:  # bytes are missing around it; the rest may still decode
            self._count("corrupt-packets")
            self._damaged = True
        stamper.note(packet)
        if stamper.missing:
            self._lose("missing", stamper.missing)
            stamper.missing = 0
        if not self.frames:
            self._note(packet)
        return self._selection is not None and self._selection.omits(packet)

    def _note(self, packet: VideoPacket) -> None:
        """Remember the earliest time stamp up to the first frame."""
        stamp = packet.dts if packet.pts is None else packet.pts
        if stamp is not None and packet.time_base and not packet.is_discard:
            at = float(stamp * packet.time_base)
            self.first_s = at if self.first_s is None else min(self.first_s, at)

    def _send(self, packet: VideoPacket | None) -> list[VideoFrame]:
        """Decode a packet, or with None what the decoder still holds."""
        try:
            return self._stream.decode(packet)
        except EOFError:
            pass  # already flushed
        except (load_av().FFmpegError, ValueError, RuntimeError):
            self.faults += 1
            self._lose("not-decodable")
            if self._packets is not None and packet is not None:
                self._packets.reject(cast("int", packet.opaque))
        return []

    def _frames(self, frames: list[VideoFrame]) -> Iterator[DecodedFrame | None]:
        any_frame, held = False, self._stream.codec_context.reorder_depth
        for frame in frames:
            if self._selection is not None:
                yield from self._passed(self._selection.presented(frame.pts))
            if frame.width * frame.height > MAX_PIXELS:
                self._lose("too-large")
                continue
            if frame.is_corrupt or not (0 < frame.width <= MAX_SIDE and 0 < frame.height <= MAX_SIDE):
                self._lose("corrupt")
                continue
            self._learn_shape(frame)
            raw_s, shown_s = self._stamper.stamp(
                frame, lost=self.lost, held=held, queued=self._queued, damaged=self._damaged
            )
            decoded = DecodedFrame(
                frame, self._convert, self.turn, self.lost, raw_s, shown_s, self._aspect, self._damaged
            )
            if self._packets is not None:
                decoded.packet = cast("int | None", frame.opaque)
            self._latest, any_frame = decoded, True
            yield self._counted(decoded)
        if not any_frame:
            yield None

    def _learn_shape(self, frame: VideoFrame) -> None:
        if frame.rotation != self._rotation:
            self._rotation, self.turn = frame.rotation, Turn.of(frame)
            self._size = (0, 0)
        if (frame.width, frame.height) != self._size:
            self._size = (frame.width, frame.height)
            aspect = pixel_aspect(number(self._stream.sample_aspect_ratio))
            self._aspect = 1 / aspect if self.turn.transpose else aspect

    def _passed(self, stamps: list[tuple[float, float]]) -> Iterator[DecodedFrame]:
        """Yield frames that were not decoded. Should one be shown after all, it shows the frame before it."""
        if self._latest is None:
            return
        for raw_s, shown_s in stamps:
            self._stamper.omit(raw_s)
            self.omitted += 1
            yield self._counted(OmittedFrame(self._latest, self.lost, raw_s, shown_s, self._damaged))

    def _counted(self, frame: DecodedFrame) -> DecodedFrame:
        self.lost, self.faults, self._damaged = 0, 0, False
        self.frames += 1
        return frame

    def _select(self) -> Selection | None:
        """Return what selects the packets; None where time stamps do not simply come from them, or are not known."""
        context, base = self._stream.codec_context, number(self._stream.time_base)
        reader = references(context.codec.canonical_name, context.extradata or b"")
        if reader is None or not base or type(self._stamper) is not Stamper:
            return None
        return Selection(reader, base, self._may_show)

    def _may_show(self, before_s: float, at_s: float, next_s: float) -> bool:
        if self.shows is None or not self._stamper.in_order:
            return True
        return self.shows(before_s, at_s, next_s)

    def _lose(self, reason: str, count: int = 1) -> None:
        self.lost += count
        self._damaged = True
        self._count(reason, count)
        if self._selection is not None:
            self._selection.disturb()

    def _count(self, reason: str, count: int = 1) -> None:
        self._dropped[reason] = self._dropped.get(reason, 0) + count
