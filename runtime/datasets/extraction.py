"""Features of whole videos, for training: made by the source that feeds a live run, so the two cannot differ."""

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

if TYPE_CHECKING:
    from ..backbone.backbone import VideoBackbone

_log = logging.getLogger(__name__)

F32 = npt.NDArray[np.float32]
SCHEMA = "punctum.features/1"
RECORD = "features.json"
MOST_FILLED_S = 86400.0  # of gaps: a few bytes of a hostile file may stand for years
TIME_RULE = 2
"""1: media time began with the first frame that could be decoded. 2: it begins where the container does, and pixels
have the shape that a player shows."""


def collect_videos(inputs: Sequence[Path]) -> list[Path]:
    """All videos of files and folders. Raises InputError for a folder without any, and for two of one name."""
    from ..sources.media import find_videos

    files: list[Path] = []
    for path in inputs:
        found = find_videos(path) if path.is_dir() else [path]
        if not found:
            raise InputError("video-folder-empty", f"{path} holds no video", "a folder of videos", "check the path")
        files += found
    check_names(files)
    return files


@dataclass(slots=True)
class Extraction:
    """What `extract_features` did. record: what stands in features.json. done, kept: names made and found ready."""

    record: dict[str, Any]
    done: list[str]
    kept: list[str]
    errors: dict[str, Any]

    def lines(self) -> list[str]:
        """A few lines for people."""
        told = []
        for name in self.done:
            entry = self.record["videos"][name]
            told.append(f"{name}: {counted(entry['snippets'], 'snippet')}, {entry['duration_s']:.1f} s")
        kept = len(self.kept)
        told.append(
            f"{counted(len(self.done), 'video')} extracted, {kept} {were(kept)} ready, {len(self.errors)} failed"
        )
        return told

    def losses(self) -> list[str]:
        """One line for each video that was read now and of which something is missing."""
        return [f"{name}: {lost}" for name in self.done if (lost := lost_of(self.record["videos"][name]))]


def lost_of(entry: dict[str, Any]) -> str:
    """What the record says is missing in the features of a video; empty: nothing."""
    parts = []
    if entry.get("lost_frames"):
        parts.append(f"{counted(entry['lost_frames'], 'frame')} lost")
    if entry.get("gaps"):
        seconds = sum(end - start for start, end in entry["gaps"])
        parts.append(f"{counted(len(entry['gaps']), 'gap')} ({seconds:.1f} s) filled with the features beside it")
    return ", ".join(parts)


def extract_features(
    backbone: VideoBackbone,
    videos: Sequence[Path],
    out: Path,
    *,
    watch: Callable[[Sequence[Path]], Iterable[Path]] | None = None,
    fps: float | None = None,
) -> Extraction:
    """Write out/<video>.npy, float32 [T, D], and out/features.json. Each file is whole or absent.

    A video is left alone where its source (size, sha256), the backbone and the features are those of the record.
    Where nothing is known for a while (a gap), the row before stands in, so that row t is always snippet t; gaps are
    in the record. fps: the rate of videos that carry no time stamps, see `VideoOptions.rate`. A video that fails is
    reported in `errors`; the others are done. watch: iterates over the videos, for a progress display. Raises
    InputError for a folder that holds features of another backbone.
    """
    check_folder(out, videos)
    record = _read_record(out)
    head = _head(backbone)
    if record is not None and record["videos"] and record["backbone_sha256"] != head["backbone_sha256"]:
        strangers = sorted(set(record["videos"]) - {as_utf8(video.stem) for video in videos})
        if strangers:
            raise InputError(
                "features-mixed",
                f"{out} holds features of another backbone, among them {strangers[0]}",
                "one backbone a folder",
                "choose another --out, or extract all of its videos again",
            )
        record = None
    done: dict[str, Any] = {} if record is None else dict(record["videos"])
    result = Extraction({**head, "videos": done}, [], [], {})
    if record is None:
        _check_foreign(out, videos)
        # Written first, so that features without an entry here are those of a run that was interrupted.
        atomic_write(out / RECORD, json.dumps(result.record, indent=1, ensure_ascii=False) + "\n")
    for video in videos if watch is None else watch(videos):
        name = as_utf8(video.stem)
        target = out / f"{name}.npy"
        try:
            source = _source(video, fps)
            entry = done.get(name)
            if entry is not None and entry["source"] == source and _is_whole(target, entry):
                result.kept.append(name)
                continue
            rows, facts = read_features(backbone, video, fps=fps)
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


def read_features(backbone: VideoBackbone, video: Path, *, fps: float | None = None) -> tuple[F32, dict[str, Any]]:
    """Rows float32 [T, D] of one video, gaps filled, and what the record says about it. Raises InputError."""
    from ..sources.video import coalesce, open_video

    stride = backbone.spec.stride_s
    parts: list[F32] = []
    gaps: list[tuple[float, float]] = []
    count = filled = 0
    with contextlib.closing(open_video(str(video), backbone, overflow="wait", fps=fps)) as source:
        for chunk in coalesce(source.items()):
            # A row belongs where its media time is: as in a session, what follows within half a snippet is the next.
            missing = 0 if chunk.at is None else round(chunk.at / stride) - count
            filled += max(missing, 0)
            if filled * stride > MOST_FILLED_S:
                raise InputError(
                    "video-gaps",
                    f"{video} has gaps of more than {MOST_FILLED_S / 3600:.0f} h before {chunk.at:.0f} s",
                    "a recording whose gaps can be filled",
                    "cut it into parts",
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
            f"{video} gives no snippet",
            f"at least half a snippet ({stride / 2:.3g} s)",
            "leave it out, or use a backbone with shorter snippets",
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
    """features.json of a folder; None where there is none. Raises InputError for one that is no such record."""
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
    raise InputError("features-record", f"{out / RECORD} is no record of features", SCHEMA, "choose another --out")


def _check_foreign(out: Path, videos: Sequence[Path]) -> None:
    """Raises InputError for a folder whose features came from elsewhere and would be replaced."""
    if (out / RECORD).exists():
        return
    for video in videos:
        target = out / f"{as_utf8(video.stem)}.npy"
        if target.exists():
            raise InputError(
                "output-exists",
                f"{target} exists, and no {RECORD} says that it was made here",
                "a new folder, or one of an earlier punctum features",
                "choose another --out",
            )


def _source(video: Path, fps: float | None) -> dict[str, Any]:
    """What makes features stale: another file, another rate, or another rule of where media time 0 lies."""
    from ..video.files import video_files

    (path,) = video_files(video)
    facts = {"name": as_utf8(path.name), "bytes": path.stat().st_size, "sha256": sha256_file(path), "time": TIME_RULE}
    return facts if fps is None else {**facts, "fps": fps}


def _is_whole(target: Path, entry: dict[str, Any]) -> bool:
    return target.is_file() and target.stat().st_size == entry["bytes"]


def check_names(files: Sequence[Path]) -> None:
    """Results are named after the files without their endings. Raises InputError where two would share a name."""
    seen: dict[str, Path] = {}
    for file in files:
        name = as_utf8(file.stem)
        if name in seen:
            raise InputError(
                "video-names",
                f"{seen[name]} and {file}, whose results would both be called {name}",
                "names that differ before the ending",
                "rename one of them",
            )
        seen[name] = file


def failed(errors: dict[str, PunctumError], total: int) -> PunctumError:
    """One error for all videos that could not be used: the first of them in full."""
    name, first = next(iter(errors.items()))
    if total == 1:
        return first
    more = f" (and {len(errors) - 1} more, see above)" if len(errors) > 1 else ""
    kind = InputError if all(isinstance(e, InputError) for e in errors.values()) else PunctumError
    return kind(
        "videos-failed",
        f"{len(errors)} of {counted(total, 'video')} could not be used; {name}: {first.given}{more}",
        "videos that can be decoded; the others are done",
        first.next_step,
    )
