"""The share of a camera's media that is missing in the last minute, and whether it is worth a warning."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

WINDOW_S = 60.0
SETTLE_S = 5.0  # after the start of a process: connecting loses the frames before the first key frame
LEAST_S = 20.0  # of observation before the first judgment
MOST_FPS = 240.0  # streams that announce more state the steps of their clock
# A tenth of a minute is 6 s: longer than most actions, so that whole events are likely to be missed. A single short
# interruption or a lost frame now and then stays below it. The end is lower, so that a share around one of them does
# not fill the log.
MOST_MISSING, FEW_MISSING = 0.10, 0.05
# Cameras halve their rate at night or in bad light. Below half of it, something else is wrong.
FEWEST_FRAMES, ENOUGH_FRAMES = 0.45, 0.60


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums since the start of the service, all in seconds of media but the frames."""

    at: float
    covered_s: float
    gap_s: float
    overflow_s: float
    received: int
    lost: int
    shed: int
    running_s: float


@dataclass(slots=True)
class RecentLoss:
    """Counts what a camera delivers and what is missing, over the last minute.

    Args:
        clock: Monotonic time in seconds.
    """

    clock: Callable[[], float] = time.monotonic
    share: float = 0.0
    """Share of the media of the last minute that is missing."""
    why: str = ""
    """What is wrong, as a sentence; empty if nothing is, or too little for a warning."""
    code: str = ""
    _covered_s: float = 0.0
    _gap_s: float = 0.0
    _overflow_s: float = 0.0
    _received: int = 0
    _lost: int = 0
    _shed: int = 0
    _running_s: float = 0.0
    _before: dict[str, float] = field(default_factory=dict)
    _samples: deque[_Sums] = field(default_factory=deque)
    _best_fps: float = 0.0
    _end_s: float | None = None
    _settled: float | None = None

    def chunk(self, at_s: float, media_s: float) -> None:
        """Features arrived that begin at media time at_s; what is missing before them is a gap."""
        if self._end_s is not None:
            self._gap_s += min(max(at_s - self._end_s, 0.0), WINDOW_S)
        self._covered_s += media_s
        self._end_s = at_s + media_s

    def overflow(self, total_s: float) -> None:
        """Seconds of features dropped since a process began because the engine was behind."""
        self._overflow_s += self._grown("overflow", total_s)

    def frames(self, *, received: int, lost: int, shed: int) -> None:
        """Counters of the process: frames received, frames lost, and how many of these for lack of time."""
        self._received += int(self._grown("received", received))
        self._lost += int(self._grown("lost", lost))
        self._shed += int(self._grown("shed", shed))

    def judge(self, *, running: bool, fps: float) -> bool:
        """Look at the last minute. Call it once a second.

        Args:
            running: Whether the camera sends.
            fps: Frames per second that its stream announces; 0: unknown.

        Returns:
            Whether the judgment has changed.
        """
        now = self.clock()
        if self._samples and running:
            self._running_s += min(now - self._samples[-1].at, 5.0)
        sums = (self._covered_s, self._gap_s, self._overflow_s, self._received, self._lost, self._shed)
        self._settled = now + SETTLE_S if self._settled is None else self._settled
        if now < self._settled:
            self._samples.clear()
        self._samples.append(_Sums(now, *sums, self._running_s))
        while len(self._samples) > 1 and self._samples[1].at <= now - WINDOW_S:
            self._samples.popleft()
        before = bool(self.why)
        self._decide(self._samples[0], self._samples[-1], fps)
        return bool(self.why) != before

    def restart(self) -> None:
        """A process of the camera starts; its frame rate may differ."""
        self._best_fps, self._settled = 0.0, None
        self._samples.clear()

    def pause(self) -> None:
        """The camera is switched off: what it does not send is not missing."""
        self.restart()
        self._end_s, self.share, self.why, self.code = None, 0.0, "", ""

    def _decide(self, first: _Sums, last: _Sums, fps: float) -> None:
        covered_s, gap_s = last.covered_s - first.covered_s, last.gap_s - first.gap_s
        overflow_s = last.overflow_s - first.overflow_s
        received, lost, shed = last.received - first.received, last.lost - first.lost, last.shed - first.shed
        whole_s = covered_s + gap_s
        if last.at - first.at < LEAST_S:
            return
        by_frames = lost / (received + lost) if received and lost else 0.0
        # Frames lost in a gap are counted with it. What is dropped later was delivered before.
        missing_s = max(gap_s, by_frames * whole_s) + min(overflow_s, covered_s)
        self.share = min(missing_s / whole_s, 1.0) if whole_s > 0 else 0.0
        if self.share > (FEW_MISSING if self.code in ("camera-loss", "camera-behind") else MOST_MISSING):
            behind = overflow_s > 0.5 * missing_s or 2 * shed > lost > 0
            self.code = "camera-behind" if behind else "camera-loss"
            cause = ", because it is not processed fast enough" if behind else ""
            frames = f": {lost:,} of {received + lost:,} frames were lost" if lost and not behind else ""
            self.why = f"{self.share:.0%} of the media of the last minute is missing{cause}{frames}"
            return
        self._rate(received, last.running_s - first.running_s, fps)

    def _rate(self, received: int, running_s: float, announced: float) -> None:
        few = self.code == "camera-slow"
        self.why = self.code = ""
        if running_s < LEAST_S or not self._received:
            return
        fps = received / running_s
        announced = announced if announced <= MOST_FPS else 0.0
        usual = max(announced, self._best_fps)
        if fps < (ENOUGH_FRAMES if few else FEWEST_FRAMES) * usual:
            source = "its stream announces" if announced >= self._best_fps else "it has delivered"
            self.why = f"it delivers {fps:.1f} frames per second, and {source} {usual:.1f}"
            self.code = "camera-slow"
        elif running_s > 0.9 * WINDOW_S:
            self._best_fps = max(self._best_fps, fps)

    def _grown(self, name: str, value: float) -> float:
        """What a counter has grown by; a process that starts begins at 0 again."""
        before = self._before.get(name, 0.0)
        self._before[name] = value
        return value - before if value >= before else value
