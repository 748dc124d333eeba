"""A look at the compressed packets of a video while it is read, so that parts of it can be stored as they came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.stream import VideoStream

    VideoPacket = Packet[VideoStream] | Packet[Stream]


class PacketTap(Protocol):
    """Receives every packet before it is decoded, and the media time of its frame after that.

    All methods are called by the thread that reads the video and must return quickly. Packets belong to the reader:
    whoever keeps one copies its bytes.
    """

    @property
    def sound(self) -> bool:
        """Whether the packets of sound are wanted as well, see `other`."""
        ...

    def begin(self, container: InputContainer, stream: VideoStream) -> None:
        """A connection was opened, or opened again. Neither argument may be used after the call."""
        ...

    def packet(self, packet: VideoPacket) -> int:
        """The next packet of the video stream, in the order of decoding. Returns a number that no other one has."""
        ...

    def other(self, packet: VideoPacket) -> None:
        """The next packet of another stream. Files have them only with `sound`, RTSP sound only with it."""
        ...

    def reject(self, number: int) -> None:
        """The packet cannot be decoded: often the last one of a connection that ended in the middle of it."""
        ...

    def place(self, number: int, at_s: float) -> None:
        """The frame of a packet has this media time in seconds, counted as in `Sampled.at`.

        Called in order of presentation, not at all for packets that were not decoded, and possibly several packets
        later.
        """
        ...
