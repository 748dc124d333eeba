"""What the commands that take videos share: the stages they report, and one bad video among many."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, PunctumError

if TYPE_CHECKING:
    from ..plan import Stats
    from ..sources.video import VideoStats


def stages(spent: Stats, video: VideoStats | None) -> str:
    """Milliseconds of work a second of media, stage by stage."""
    parts = {} if video is None else video.seconds()
    parts |= {"locate": spent.locate_s, "islands": spent.islands_s, "score": spent.score_s}
    media = spent.media_s or 1.0
    return "per second of media: " + ", ".join(f"{name} {1e3 * s / media:.2f} ms" for name, s in parts.items())


def warn(text: str) -> None:
    print(f"warning: {text}", file=sys.stderr, flush=True)


def check_names(files: Sequence[Path]) -> None:
    """Results are named after the files without their endings. Raises InputError where two would share a name."""
    seen: dict[str, Path] = {}
    for file in files:
        if file.stem in seen:
            raise InputError(
                "video-names",
                f"{seen[file.stem].name} and {file.name} in one folder",
                "names that differ before the ending",
                "rename one of them",
            )
        seen[file.stem] = file


def failed(errors: dict[str, PunctumError], total: int) -> PunctumError:
    """One error for all videos that could not be used: the first of them in full."""
    name, first = next(iter(errors.items()))
    if total == 1:
        return first
    more = f" (and {len(errors) - 1} more, see above)" if len(errors) > 1 else ""
    kind = InputError if all(isinstance(e, InputError) for e in errors.values()) else PunctumError
    return kind(
        "videos-failed",
        f"{len(errors)} of {total} videos could not be used; {name}: {first.given}{more}",
        "videos that can be decoded; the others are done",
        first.next_step,
    )
