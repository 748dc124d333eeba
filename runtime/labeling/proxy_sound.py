"""Sound of converted videos: AAC whose samples lie where they are in media time, with silence where there are none."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ..video._opening import load_av

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer

RATE = 48_000
LAYOUT, CHANNELS = "stereo", 2
FRAME = 1024  # samples of an AAC frame
BIT_RATE = 96_000
SLACK_S = 0.02  # smaller deviations of time stamps are rounding
MAX_SILENCE_S = 24 * 3600.0  # a crafted file can claim years


class ProxySound:
    """Adds the sound of a video to its converted file, as far as the picture is.

    Args:
        source: The video.
        out: The converted file; its header must not have been written yet.
        shift_s: Media time minus time stamp.
    """

    def __init__(self, source: Path, out: OutputContainer, shift_s: float) -> None:
        av = load_av()
        self._out, self._shift_s = out, shift_s
        self._stream: AudioStream | None = None
        self._samples: Iterator[tuple[int, npt.NDArray[np.float32]]] = iter(())
        self._next: tuple[int, npt.NDArray[np.float32]] | None = None
        self._rest = np.zeros((CHANNELS, 0), np.float32)
        self._done = 0  # samples that have been encoded
        self._container: InputContainer | None = None
        if "aac" not in av.codecs_available:
            return
        try:
            self._container = av.open(str(source), container_options={"protocol_whitelist": "file,crypto,data"})
            if not self._container.streams.audio or self._container.streams.audio[0].codec_context is None:
                return
            self._samples = self._decoded(self._container)
            self._next = next(self._samples, None)
        except (av.FFmpegError, OSError, ValueError):
            return  # a picture without sound is better than none
        if self._next is not None:
            self._stream = out.add_stream("aac", rate=RATE, layout=LAYOUT)
            self._stream.bit_rate = BIT_RATE

    def close(self) -> None:
        """Close the source."""
        if self._container is not None:
            with contextlib.suppress(OSError):
                self._container.close()

    def until(self, time_s: float) -> None:
        """Encode the sound up to a media time. Sound that cannot be decoded is left out from there on."""
        av = load_av()
        end = round(time_s * RATE)
        while self._next is not None and self._next[0] < end:
            self._put(*self._next)
            try:
                self._next = next(self._samples, None)
            except (av.FFmpegError, OSError, ValueError):
                self._next = None

    def finish(self, end_s: float) -> None:
        """Encode the sound up to the end of the picture, and end the stream."""
        if self._stream is None:
            return
        self.until(end_s)
        if self._rest.shape[1]:
            self._encode(np.pad(self._rest, ((0, 0), (0, FRAME - self._rest.shape[1]))))
        for packet in self._stream.encode(None):
            self._out.mux(packet)

    def _decoded(self, container: InputContainer) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        """Places in samples of media time, and samples [CHANNELS, n]."""
        av = load_av()
        resampler = av.AudioResampler(format="fltp", layout=LAYOUT, rate=RATE)
        stream = container.streams.audio[0]
        for packet in container.demux(stream):
            try:
                frames = packet.decode()
            except av.FFmpegError:
                continue  # one damaged packet; the next one says where it belongs
            for frame in frames:
                at_s = None if frame.pts is None or frame.time_base is None else float(frame.pts * frame.time_base)
                yield from self._placed(resampler.resample(frame), at_s)

    def _placed(self, frames: list[AudioFrame], at_s: float | None) -> Iterator[tuple[int, npt.NDArray[np.float32]]]:
        at = self._end if at_s is None else round((at_s + self._shift_s) * RATE)
        if abs(at - self._end) <= SLACK_S * RATE:
            at = self._end
        for frame in frames:
            rows = frame.to_ndarray().astype(np.float32, copy=False)
            self._end = at + rows.shape[1]
            yield at, rows
            at = self._end

    _end = 0  # where the samples that were decoded last end

    def _put(self, at: int, rows: npt.NDArray[np.float32]) -> None:
        """Take samples at their place: silence before them, nothing of them before what is there."""
        place = self._done + self._rest.shape[1]
        if at < place:
            rows = rows[:, place - at :]
        elif at > place and at - place <= MAX_SILENCE_S * RATE:
            self._fill(at - place)
        self._append(rows)

    def _fill(self, count: int) -> None:
        while count > 0:
            part = min(count, RATE)
            self._append(np.zeros((CHANNELS, part), np.float32))
            count -= part

    def _append(self, rows: npt.NDArray[np.float32]) -> None:
        self._rest = np.concatenate([self._rest, rows], axis=1)
        while self._rest.shape[1] >= FRAME:
            self._encode(self._rest[:, :FRAME])
            self._rest = self._rest[:, FRAME:]

    def _encode(self, rows: npt.NDArray[np.float32]) -> None:
        av = load_av()
        if self._stream is None:
            return
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(rows), format="fltp", layout=LAYOUT)
        frame.sample_rate, frame.pts, frame.time_base = RATE, self._done, Fraction(1, RATE)
        self._done += FRAME
        for packet in self._stream.encode(frame):
            self._out.mux(packet)
