"""Which packets of a recording are decoded: those whose pictures a cell shows or another picture refers to.

A packet is left out only if everything about it is certain: its headers, its time stamp, the time stamps of its
neighbors in order of presentation, and the media time that they become. Near anything odd, every packet is decoded.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Callable
from typing import TYPE_CHECKING

from ._references import References

if TYPE_CHECKING:
    from ._stamps import VideoPacket

Shows = Callable[[float, float, float], bool]
"""Whether a cell may show a frame, given the time stamps in seconds of the frame before it, of itself, and of the next
one; True in doubt."""
_WARM = 4  # packets at the start that are all decoded
_CALM = 64  # packets after something odd that are all decoded
_KNOWN = 128  # time stamps to remember, more than any decoder reorders
_REACH_S = 2.0  # a time stamp further from all others is odd


class Selection:
    """Decides packet by packet, with one packet of look-ahead.

    Args:
        reader: Reads the headers of the packets.
        base: Time base of the stream in seconds.
        shows: See `Shows`.
    """

    def __init__(self, reader: References, base: float, shows: Shows) -> None:
        self._reader, self._base, self._shows = reader, base, shows
        self._reach = round(_REACH_S / base)
        self._waiting: VideoPacket | None = None
        self._free = self._free_next = False  # whether nothing refers to the packet in question, and to the waiting one
        self._stamps: list[int] = []  # of all packets read lately, in order of presentation
        self._due: list[int] = []  # of the packets that the decoder got and whose frames have not come out
        self._omitted: list[tuple[int, int]] = []  # time stamp and duration of packets left out, not yet presented
        self._pause, self._to_key = _WARM, True  # packets, and whether until a key frame, before any is left out

    def take(self, packet: VideoPacket | None) -> VideoPacket | None:
        """Read the next packet, None at the end, and return the one before it, which is to be processed now."""
        before, self._waiting = self._waiting, packet
        self._free = self._free_next
        if packet is not None:
            self._free_next = self._examine(packet)
        return before

    def _examine(self, packet: VideoPacket) -> bool:
        """Return whether nothing refers to a packet, and remember its time stamp."""
        stamps, pts = self._stamps, packet.pts
        if packet.is_keyframe:
            self._to_key = False
        try:
            free = self._reader.unreferenced(bytes(packet))
        except (IndexError, ValueError):
            free = False
        if packet.is_discard:
            return False
        far = pts is not None and stamps and not stamps[0] - self._reach < pts < stamps[-1] + self._reach
        if pts is None or packet.is_corrupt or far:
            self.disturb()
        if pts is None:
            return False
        at = bisect_left(stamps, pts)
        if at < len(stamps) and stamps[at] == pts:
            self.disturb()
        else:
            stamps.insert(at, pts)
        del stamps[:-_KNOWN]
        return free

    def disturb(self) -> None:
        """Something is odd: decode every packet for a while, and until a key frame."""
        self._pause, self._to_key = _CALM, True
        del self._stamps[:]

    def omits(self, packet: VideoPacket) -> bool:
        """Return whether to leave out the packet that `take` has returned."""
        pts = packet.pts
        if pts is None or packet.is_discard:
            return False
        if self._pause or self._to_key or not self._reader.sound:
            self._pause = max(self._pause - 1, 0)
        elif self._free and len(self._omitted) < _KNOWN and self._is_hidden(pts):
            insort(self._omitted, (pts, packet.duration or 0))
            return True
        insort(self._due, pts)
        del self._due[:-_KNOWN]
        return False

    def _is_hidden(self, pts: int) -> bool:
        stamps, base = self._stamps, self._base
        at = bisect_left(stamps, pts)
        if not 0 < at < len(stamps) - 1 or stamps[at] != pts:
            return False
        return not self._shows(stamps[at - 1] * base, pts * base, stamps[at + 1] * base)

    def presented(self, pts: int | None) -> list[tuple[float, float]]:
        """Note a frame of the decoder with its time stamp.

        Returns:
            Time stamps and durations in seconds of the packets left out that are presented before it.
        """
        if pts is None:
            self.disturb()
            return []
        at = bisect_left(self._due, pts)
        if at or not self._due or self._due[0] != pts:  # not one frame for each packet, in the order of time stamps
            self.disturb()
        del self._due[: at + (at < len(self._due) and self._due[at] == pts)]
        # Those far later are from before a jump back in time.
        begin, end = bisect_left(self._omitted, (pts,)), bisect_left(self._omitted, (pts + self._reach,))
        ready = self._omitted[:begin] + self._omitted[end:]
        del self._omitted[end:], self._omitted[:begin]
        return self._seconds(ready)

    def rest(self) -> list[tuple[float, float]]:
        """Return time stamps and durations of the packets left out after the last frame."""
        ready, self._omitted = self._omitted, []
        return self._seconds(ready)

    def _seconds(self, omitted: list[tuple[int, int]]) -> list[tuple[float, float]]:
        return [(stamp * self._base, shown * self._base) for stamp, shown in omitted]
