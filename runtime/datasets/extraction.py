"""Extraction of features of whole videos, by the same code that computes features in a live run."""

from __future__ import annotations

import contextlib
import io
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, PunctumError
from ..files.atomic import atomic_write, sha256_file
from ..files.outputs import check_folder
from ..text.display import as_utf8, counted, printable, were
from ..video import SOFTWARE

if TYPE_CHECKING:
    from ..backbone.backbone import VideoBackbone
    from ..video import VideoOptions
    from ..video.tapped import Offer

_log = logging.getLogger(__name__)

F32 = npt.NDArray[np.float32]
SCHEMA = "punctum.features/1"
RECORD = "features.json"
MOST_FILLED_S = 86400.0  # maximum total of gaps; a crafted file can claim years
TIME_RULE = 2
"""Version of the rules of media time. 1: starts at the first decoded frame. 2: starts with the container, and pixels
have the aspect ratio of a player."""


def collect_videos(inputs: Sequence[Path]) -> list[Path]:
    """All videos of files and folders. Raises InputError for a folder without videos, and for two with one name."""
    from ..sources.media import find_videos
    from ..video.files import videos_below

    files: list[Path] = []
    for path in inputs:
        found = find_videos(path) if path.is_dir() else [path]
        if not found:
            raise InputError(
                "video-folder-empty",
                f"{path} contains no video{videos_below(path)}",
                required="a folder of videos",
                next_step="check the path",
            )
        files += found
    check_names(files)
    return files


@dataclass(slots=True)
class Extraction:
    """The result of `extract_features`.

    Attributes:
        record: Content of features.json.
        done: Names of the videos that were extracted.
        reused: Names of the videos whose features were up to date.
        errors: Errors by name.
    """

    record: dict[str, Any]
    done: list[str]
    reused: list[str]
    errors: dict[str, Any]

    def lines(self) -> list[str]:
        """A summary in a few lines."""
        lines = []
        for name in self.done:
            entry = self.record["videos"][name]
            lines.append(f"{name}: {counted(entry['snippets'], 'snippet')}, {entry['duration_s']:.1f} s")
        reused = len(self.reused)
        lines.append(
            f"{counted(len(self.done), 'video')} extracted, {reused} {were(reused)} up to date, "
            f"{len(self.errors)} failed"
        )
        return lines

    def losses(self) -> list[str]:
        """One line for each extracted video with missing parts."""
        return [f"{name}: {lost}" for name in self.done if (lost := lost_of(self.record["videos"][name]))]


def lost_of(entry: dict[str, Any]) -> str:
    """The missing parts of a video by its record; empty if there are none."""
    parts = []
    if entry.get("lost_frames"):
        parts.append(f"{counted(entry['lost_frames'], 'frame')} lost")
    if entry.get("gaps"):
        seconds = sum(end - start for start, end in entry["gaps"])
        parts.append(f"{counted(len(entry['gaps']), 'gap')} ({seconds:.1f} s) filled with neighboring features")
    return ", ".join(parts)


def extract_features(
    backbone: VideoBackbone,
    videos: Sequence[Path],
    out: Path,
    *,
    watch: Callable[[Sequence[Path]], Iterable[Path]] | None = None,
    options: VideoOptions | None = None,
) -> Extraction:
    """Write out/<video>.npy, float32 [T, D], and out/features.json. Each file is written atomically.

    A video is skipped if its source (size, sha256), the backbone and the features match the record. In a gap of the
    video the previous row is repeated, so that row t is always snippet t; the record lists the gaps.

    Args:
        backbone: The opened backbone.
        videos: Video files.
        out: Folder of the features.
        watch: Wraps the list of videos, for a progress bar.
        options: Options of the videos.

    Returns:
        The result; videos that failed are in `errors`.

    Raises:
        InputError: The folder contains features of another backbone.
    """
    check_folder(out, videos)
    record = _read_record(out)
    head = _head(backbone)
    if record is not None and record["videos"] and record["backbone_sha256"] != head["backbone_sha256"]:
        strangers = sorted(set(record["videos"]) - {as_utf8(video.stem) for video in videos})
        if strangers:
            raise InputError(
                "features-mixed",
                f"{out} contains features of another backbone, such as {strangers[0]}",
                required="one backbone per folder",
                next_step="choose another `out`, or extract all of its videos again",
            )
        record = None
    done: dict[str, Any] = {} if record is None else dict(record["videos"])
    result = Extraction({**head, "videos": done}, [], [], {})
    if record is None:
        _check_foreign(out, videos)
        # Written first, so that features without an entry are known to be from an interrupted run.
        atomic_write(out / RECORD, json.dumps(result.record, indent=1, ensure_ascii=False) + "\n")
    for video in videos if watch is None else watch(videos):
        name = as_utf8(video.stem)
        target = out / f"{name}.npy"
        try:
            source = _source(video, options)
            entry = done.get(name)
            if entry is not None and entry["source"] == source and _is_whole(target, entry):
                result.reused.append(name)
                continue
            rows, facts = read_features(backbone, video, options=options)
        except PunctumError as error:
            result.errors[name] = error
            if len(videos) > 1:
                _log.warning("%s: [%s] %s", printable(name), error.code, printable(str(error)))
            continue
        buffer = io.BytesIO()
        np.save(buffer, rows)
        atomic_write(target, buffer.getvalue())
        done[name] = {"source": source, "snippets": len(rows), "bytes": buffer.tell(), **facts}
        atomic_write(out / RECORD, json.dumps(result.record, indent=1, ensure_ascii=False) + "\n")
        result.done.append(name)
    return result


def read_features(
    backbone: VideoBackbone, video: Path, *, options: VideoOptions | None = None, tap: Offer | None = None
) -> tuple[F32, dict[str, Any]]:
    """Features float32 [T, D] of one video with filled gaps, and its entry in the record. Raises InputError.

    tap: is shown every frame that the backbone gets.
    """
    from ..sources.video import coalesce, open_video
    from ..video.tapped import TappedFrames

    stride = backbone.spec.stride_s
    parts: list[F32] = []
    gaps: list[tuple[float, float]] = []
    count = filled = 0
    with contextlib.closing(open_video(str(video), backbone, overflow="wait", options=options)) as source:
        if tap is not None:
            source.frames = TappedFrames(source.frames, tap)
        for chunk in coalesce(source.items()):
            # Rows are placed by media time. As in a session, a row within half a snippet of the end is the next one.
            missing = 0 if chunk.at is None else round(chunk.at / stride) - count
            filled += max(missing, 0)
            if filled * stride > MOST_FILLED_S:
                raise InputError(
                    "video-gaps",
                    f"{video} has gaps of more than {MOST_FILLED_S / 3600:.0f} h before {chunk.at:.0f} s",
                    required=f"gaps of at most {MOST_FILLED_S / 3600:.0f} h in total",
                    next_step="cut it into parts",
                )
            if missing > 0:
                last = parts[-1][-1:] if parts else chunk.rows[:1]
                gaps.append((count * stride, (count + missing) * stride))
                parts.append(np.repeat(last, missing, axis=0))
            parts.append(chunk.rows)
            count += max(missing, 0) + len(chunk.rows)
    if not count:
        raise InputError(
            "video-too-short",
            f"{video} is too short for a snippet",
            required=f"at least half a snippet ({stride / 2:.3g} s)",
            next_step="leave it out, or use a backbone with shorter snippets",
        )
    facts = {
        "duration_s": round(count * stride, 6),
        "lost_frames": source.stats.lost,
        "gaps": [[round(a, 6), round(b, 6)] for a, b in gaps],
    }
    return np.concatenate(parts), facts


def _head(backbone: VideoBackbone) -> dict[str, Any]:
    spec = backbone.spec
    return {
        "schema": SCHEMA,
        "backbone_sha256": backbone.digest,
        "backbone": spec.model_dump(mode="json"),
        "stride_s": spec.stride_s,
        "dim": backbone.dim,
    }


def _read_record(out: Path) -> dict[str, Any] | None:
    """Read features.json of a folder; None if there is none. Raises InputError for any other content."""
    try:
        record = json.loads((out / RECORD).read_bytes())
        if (
            record["schema"] == SCHEMA
            and isinstance(record["videos"], dict)
            and isinstance(record["backbone_sha256"], str)
        ):
            return dict(record)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise InputError(
        "features-record",
        f"{out / RECORD} is no record of features",
        required=f"schema {SCHEMA}",
        next_step="choose another `out`",
    )


def _check_foreign(out: Path, videos: Sequence[Path]) -> None:
    """Raise InputError for a folder with features from elsewhere that would be replaced."""
    if (out / RECORD).exists():
        return
    for video in videos:
        target = out / f"{as_utf8(video.stem)}.npy"
        if target.exists():
            raise InputError(
                "output-exists",
                f"{target} exists, but the folder has no {RECORD}",
                required="a new folder, or one written by `punctum features`",
                next_step="choose another `out`",
            )


def _source(video: Path, options: VideoOptions | None) -> dict[str, Any]:
    """Facts that features depend on: the file, the frame rate, the decoder and the rules of media time."""
    from ..video.files import video_files

    (path,) = video_files(video)
    facts = {"name": as_utf8(path.name), "bytes": path.stat().st_size, "sha256": sha256_file(path), "time": TIME_RULE}
    given = {"fps": None, "decoder": None} if options is None else {"fps": options.rate, "decoder": options.decoder}
    return facts | {name: value for name, value in given.items() if value not in (None, SOFTWARE)}


def _is_whole(target: Path, entry: dict[str, Any]) -> bool:
    return target.is_file() and target.stat().st_size == entry["bytes"]


def check_names(files: Sequence[Path]) -> None:
    """Raise InputError for two files with the same name before the extension, by which results are named."""
    seen: dict[str, Path] = {}
    for file in files:
        name = as_utf8(file.stem)
        if name in seen:
            raise InputError(
                "video-names",
                f"The results of {seen[name]} and {file} would both be called {name}",
                required="names that differ before the extension",
                next_step="rename one of them",
            )
        seen[name] = file


def failed(errors: dict[str, PunctumError], total: int) -> PunctumError:
    """One error for all videos that failed, with the complete message of the first one."""
    name, first = next(iter(errors.items()))
    if total == 1:
        return first
    more = f" (and {len(errors) - 1} more, see above)" if len(errors) > 1 else ""
    kind = InputError if all(isinstance(e, InputError) for e in errors.values()) else PunctumError
    return kind(
        "videos-failed",
        f"{len(errors)} of {counted(total, 'video')} failed; {name}: {first.given}{more}",
        required="videos that can be decoded; the others are done",
        next_step=first.next_step,
    )
