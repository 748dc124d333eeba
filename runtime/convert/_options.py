"""Options of a conversion: frame rates, names, what counts as a click; and the content of files."""

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
    """Frame rates.

    Attributes:
        everywhere: The frame rate of all videos.
        of_video: Frame rates of single videos.
        duration: Durations in seconds, if the file of rates contains them.
        asked: Videos whose frame rate was needed, so that unused rates can be refused.
    """

    everywhere: float | None = None
    of_video: dict[str, float] = field(default_factory=dict)
    duration: dict[str, float] = field(default_factory=dict)
    asked: set[str] = field(default_factory=set, compare=False, repr=False)

    def known(self, video: str, stated: float | None = None) -> float | None:
        """The frame rate of a video: from these rates, or as stated by the source. None if unknown."""
        self.asked.add(video)
        return self.of_video.get(video, self.everywhere) or stated

    def need(self, video: str, purpose: str, stated: float | None = None) -> float:
        """As `known`, but raises InputError if the frame rate is unknown."""
        rate = self.known(video, stated)
        if rate is None:
            raise InputError(
                "fps-missing",
                f"{purpose} counts frames, and the frame rate of {video} is unknown",
                required="frames per second, or a file of rates (dataset.json, fps.json, ActivityNet JSON with fps)",
                next_step="set `rates`, for example `rates=25`",
            )
        return rate


def read_rates(text: str | None) -> Rates:
    """Read frame rates.

    Args:
        text: A number, a fraction (30000/1001), or the path of a JSON file: dataset.json, {video: fps}, or ActivityNet
            JSON with fps.

    Raises:
        InputError: It is none of these.
    """
    if text is None:
        return Rates()
    try:
        return Rates(_rate(text, "`rates`"))
    except ValueError:
        pass
    path = Path(text)
    if not path.is_file():
        raise InputError(
            "fps",
            f"`rates` is {shown(text)}, which is neither a number nor a file",
            "a positive number, a fraction such as 30000/1001, or a JSON file of rates",
            "correct `rates`",
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
            f"{path} contains no frame rates ({str(error)[:200]})",
            required='dataset.json, {"video": 25.0, ...}, or ActivityNet JSON with fps',
            next_step="check `rates`",
        ) from None


def _rate(value: str | float, what: str) -> float:
    rate = parse_rate(value)
    if not 1e-6 <= rate <= 1e6:
        raise InputError("fps", f"The frame rate of {what} is {rate:g}", "a positive number", "correct it")
    return rate


def _duration(value: str | float) -> float:
    seconds = float(value)
    if not 0 < seconds <= LATEST_S:
        raise ValueError(f"the duration of a video is {seconds:g} s")
    return seconds


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options for reading.

    Attributes:
        rates: Frame rates, for formats that count frames.
        video: Name of the video of a file with one video.
        clicks: "marked" (annotations that the format marks as clicks), "all" (every annotation is a click at its
            middle) or "none".
        names: Whether ELAN has the class in the value or in the tier of an annotation.
        annotations: Which of several annotations of a Label Studio task count: "last" or "all".
        same_video: What to do with several videos of one name (from several folders, files or tasks): "refuse",
            "apart" (extend the names) or "merge".
        label_column: Column or attribute with the class, in tables and VIA.
        background: Labels of frames without an action, in frame-wise text.
    """

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
    """Options for writing.

    Attributes:
        rates: Frame rates, for formats that count frames.
        media: Path of the videos for annotation tools, with {video} for the name; None: unknown.
        size: Width and height of the videos in pixels; None: unknown.
        target: Path of the file.
        root: Output folder.
        clicking: Whether classes without annotations are meant for clicks.
    """

    rates: Rates = Rates()
    media: str | None = None
    size: tuple[int, int] | None = None
    target: Path = Path()
    root: Path = Path()
    clicking: bool = False

    def media_of(self, video: str) -> str:
        """Path or address of the media of a video."""
        return (self.media or "{video}.mp4").replace("{video}", video)


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Source:
    """A file to read: its name in messages, its bytes, and its name without extension."""

    name: str
    data: bytes
    stem: str

    def text(self) -> str:
        """The text: UTF-8, or UTF-16 with a byte order mark, with newlines as line ends. Raises InputError."""
        import codecs

        marked = self.data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        try:
            text = self.data.decode("utf-16" if marked else "utf-8").lstrip("\ufeff")
        except UnicodeDecodeError as error:
            raise InputError(
                "convert-encoding",
                f"{self.name} is not text in UTF-8 ({error})",
                required="UTF-8 or UTF-16",
                next_step="save it as UTF-8",
            ) from None
        if "\0" in text:
            raise self.wrong(
                "it contains NUL characters: it is not text, or UTF-16 without a byte order mark", "text in UTF-8"
            )
        return text.replace("\r\n", "\n").replace("\r", "\n")

    def wrong(
        self, what: str, required: str, next_step: str = "fix the file, or set its format with `source_form`"
    ) -> InputError:
        """The error of a file that does not have the format."""
        return InputError("convert-form", f"{self.name}: {what}", required=required, next_step=next_step)

    def at(self, where: str) -> str:
        """A place in this file, for messages."""
        return f"{self.name}: {where}"


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Written:
    """Content of a file, what the format cannot represent of the annotations, and what had to be assumed."""

    data: str | bytes
    lost: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
