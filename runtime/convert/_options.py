"""What a conversion may be told: frame rates, names, what counts as a click."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..datasets.tables import read_json
from ..datatypes import compact
from ..errors import InputError
from ..text.numbers import parse_rate, shown
from ._model import LATEST_S

Clicks = Literal["marked", "all", "none"]
Names = Literal["value", "tier"]
Annotations = Literal["last", "all"]
SameVideo = Literal["refuse", "apart", "merge"]
BACKGROUND = ("background", "SIL", "action_start", "action_end")


@dataclass(frozen=True, slots=True)
class Rates:
    """Frames per second: one for all videos, or one a video. duration: seconds, where the file of rates has them.
    asked: what was asked for so far, so that rates that nobody needs can be refused."""

    everywhere: float | None = None
    of_video: dict[str, float] = field(default_factory=dict)
    duration: dict[str, float] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set, compare=False, repr=False)

    def known(self, video: str, stated: float | None = None) -> float | None:
        """The rate that was given, else the one that the source states."""
        self.asked.add(video)
        return self.of_video.get(video, self.everywhere) or stated

    def need(self, video: str, purpose: str, stated: float | None = None) -> float:
        """As `known`. Raises InputError where nobody gave one."""
        rate = self.known(video, stated)
        if rate is None:
            raise InputError(
                "fps-missing",
                f"{purpose} counts frames, and the frame rate of {video} is unknown",
                "frames a second, or a file of rates (dataset.json, fps.json, ActivityNet JSON with fps)",
                "add --fps, for example --fps 25",
            )
        return rate


def read_rates(text: str | None) -> Rates:
    """A number, a fraction (30000/1001), or the path of dataset.json, of {video: fps}, or of ActivityNet JSON with fps.

    Raises InputError.
    """
    if text is None:
        return Rates()
    try:
        return Rates(_rate(text, "--fps"))
    except ValueError:
        pass
    path = Path(text)
    if not path.is_file():
        raise InputError(
            "fps",
            f"--fps {shown(text)} is no number and no file",
            "a positive number, a fraction such as 30000/1001, or a JSON file of rates",
            "correct it",
        )
    record = read_json(path)
    durations: dict[str, float] = {}
    try:
        if isinstance(record.get("database"), dict):
            entries: dict[str, dict[str, Any]] = record["database"]
            rates = {v: _rate(e["fps"], v) for v, e in entries.items() if "fps" in e}
            durations = {v: _duration(e["duration"]) for v, e in entries.items() if "duration" in e}
            if not rates:
                raise KeyError("no video has fps")
            return Rates(None, rates, durations)
        if "fps" in record:
            return Rates(_rate(record["fps"], "fps"))
        return Rates(None, {str(video): _rate(value, str(video)) for video, value in record.items()})
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError(
            "fps",
            f"{path} holds no frame rates ({str(error)[:200]})",
            'dataset.json, {"video": 25.0, ...}, or ActivityNet JSON with fps',
            "check --fps",
        ) from None


def _rate(value: Any, what: str) -> float:
    rate = parse_rate(value)
    if not 1e-6 <= rate <= 1e6:
        raise InputError("fps", f"{what}: {rate:g} frames a second", "a positive number", "correct it")
    return rate


def _duration(value: Any) -> float:
    seconds = float(value)
    if not 0 < seconds <= LATEST_S:
        raise ValueError(f"a video of {seconds:g} s")
    return seconds


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """rates: of forms that count frames. video: name for the video of a one-video file. clicks: marked (what the form
    itself marks as clicks), all (every annotation is a click at its middle), none. names: where ELAN keeps classes.
    annotations: which of several annotations of a Label Studio task count. same_video: what becomes of videos that
    would have one name (from other folders, in several files or tasks). label_column: where a table keeps classes.
    background: labels of frames that mean no action."""

    rates: Rates = Rates()
    video: str | None = None
    clicks: Clicks = "marked"
    names: Names = "value"
    annotations: Annotations = "last"
    same_video: SameVideo = "refuse"
    label_column: str | None = None
    background: tuple[str, ...] = BACKGROUND


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """media: where the video of an annotation tool is, with {video} for its name; None: not told. size: width and
    height of the videos in pixels; None: not told. target: where the file will be, in the output
    folder root. clicking: classes without a mark are there to be clicked."""

    rates: Rates = Rates()
    media: str | None = None
    size: tuple[int, int] | None = None
    target: Path = Path()
    root: Path = Path()
    clicking: bool = False

    def media_of(self, video: str) -> str:
        """Path or address of the media of one video."""
        return (self.media or "{video}.mp4").replace("{video}", video)


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Source:
    """A file to be read: its name as shown to the user, its bytes, and what it is called without its ending."""

    name: str
    data: bytes
    stem: str

    def text(self) -> str:
        """UTF-8 or UTF-16 with its mark, line ends as newlines. Raises InputError."""
        import codecs

        marked = self.data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        try:
            text = self.data.decode("utf-16" if marked else "utf-8-sig")
        except UnicodeDecodeError as error:
            raise InputError(
                "convert-encoding", f"{self.name} is not text in UTF-8 ({error})", "UTF-8 or UTF-16", "save it as UTF-8"
            ) from None
        if "\0" in text:
            raise self.wrong("it holds NUL characters: not text, or UTF-16 without its mark", "text in UTF-8")
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def wrong(self, what: str, allowed: str) -> InputError:
        """The error of a file that is not in its form."""
        return InputError("convert-form", f"{self.name}: {what}", allowed, "fix the file, or name its form with --from")

    def at(self, where: str) -> str:
        """A place in this file, in an error."""
        return f"{self.name}: {where}"


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Written:
    """Content of a file; what it cannot hold of what was to be written; what it says that nobody knew."""

    data: str | bytes
    lost: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
