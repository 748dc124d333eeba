"""Backbones to choose from: a run of each on the same clicks, compared on held-out videos."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from punctum.runtime.backbone.folder import SPEC_FILE, read_shipped, write_backbone
from punctum.runtime.datasets.groups import read_groups
from punctum.runtime.diagnosis.held_out import FILE, read_held_out
from punctum.runtime.errors import InputError

from .backbone.config import BackboneConfig
from .confidence.compare import Compared, choose_run, compare_runs
from .records import Record, read_object, write_json

if TYPE_CHECKING:
    from punctum.runtime.backbone.backbone import VideoBackbone

SCHEMA = "punctum.backbone-choice/1"
CHOICE = "backbone_choice.json"
"""Record of the comparison in the folder of a run on videos."""
CANDIDATES = "candidates"
"""Folder of the runs that were compared; the parts of the chosen one are moved out of it."""
WEIGHTS = "weights.safetensors"
"""File beside the graph of a backbone that was trained here."""
TRAINED_HERE = "punctum train-backbone"
"""Publisher of such a backbone where it is a part of another one."""
AS_SHIPPED: Literal["shipped"] = "shipped"
"""Stands for the weights that ship, as they are."""

Source = BackboneConfig | Path | Literal["shipped"]
"""What gives a backbone: a recipe to train one by, an existing folder, or the weights that ship."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One of several backbones.

    Attributes:
        name: unique; also the name of its folder.
        source: what gives the backbone.
    """

    name: str
    source: Source


def name_candidates(sources: Sequence[Source]) -> list[Candidate]:
    """Candidates with unique names: that of the folder, with a number where two folders have the same.

    Raises:
        InputError: a source occurs twice.
    """
    named: list[Candidate] = []
    for source in sources:
        if source in (each.source for each in named):
            raise InputError(
                "backbone-twice",
                f"The backbone {source} is given twice",
                "different backbones",
                "give each backbone once",
            )
        name: str = source if isinstance(source, str) else "trained"
        if isinstance(source, Path):
            name = source.resolve().name or "backbone"
        taken = {each.name for each in named} | {AS_SHIPPED} - {source}
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}-{number}", number + 1
        named.append(Candidate(unique, source))
    return named


def warn_of_trained(sources: Sequence[Source]) -> None:
    """Warn of backbones of `punctum train-backbone`: on videos that they were trained on, they cannot be compared."""
    for source in sources:
        if isinstance(source, Path) and _trained_here(source):
            warnings.warn(
                f"{source} was trained by punctum train-backbone. If that was on these videos, the comparison favors "
                "it: no video is held out from it. Judge the bundles on other videos, with punctum eval",
                stacklevel=2,
            )


def _trained_here(folder: Path) -> bool:
    """Whether the backbone, or a part of it, is of `punctum train-backbone`."""
    if (folder / WEIGHTS).is_file():
        return True
    try:
        parts = read_object(folder / "backbone.json").get("parts", [])
        return any(TRAINED_HERE in part["publisher"] for part in parts)
    except (InputError, OSError, KeyError, TypeError):
        return False  # whoever opens the backbone reports what is wrong


def write_shipped_backbone(out: Path) -> Record:
    """Write the backbone that ships to a folder, unless it is there. Returns its summary.

    Raises:
        InputError: the folder holds another backbone.
    """
    from punctum.runtime.backbone.backbone import VideoBackbone

    spec, graph = read_shipped()
    return _write(out, AS_SHIPPED, VideoBackbone.from_graph(graph, spec, name=AS_SHIPPED), graph)


def copy_backbone(source: Path, out: Path) -> Record:
    """Copy an existing backbone folder into a run, unless it is there. Returns its summary.

    Raises:
        InputError: it is no backbone, or not that of the run.
    """
    from punctum.runtime.backbone.backbone import VideoBackbone

    opened = VideoBackbone.load(source)
    return _write(out, str(source), opened, (source / opened.spec.file).read_bytes())


def _write(out: Path, source: str, opened: VideoBackbone, graph: bytes) -> Record:
    from punctum.runtime.backbone.backbone import VideoBackbone

    if not (out / SPEC_FILE).is_file():
        write_backbone(out, opened.spec, graph)
    elif VideoBackbone.load(out).digest != opened.digest:
        raise InputError(
            "resume-differs",
            f"The run was started with {out}, and {source} is another backbone",
            required="the same backbone",
            next_step="start over with `fresh=True`",
        )
    return {
        "status": "adopted",
        "source": source,
        "dim": opened.dim,
        "stride_s": opened.spec.stride_s,
        "digest": opened.digest,
    }


def compare_candidates(candidates: Sequence[Candidate], digests: Sequence[str], out: Path, *, seed: int) -> Record:
    """Compare finished runs in out/candidates, record it in out, and return the record.

    Args:
        candidates: the first one is used unless another is better.
        digests: of their backbones.
        out: the folder of the run on videos.
        seed: of the resampling.
    """
    folders = [out / CANDIDATES / each.name for each in candidates]
    names = [each.name for each in candidates]
    if all((folder / "locator" / FILE).is_file() for folder in folders):
        runs = {name: read_held_out(folder / "locator") for name, folder in zip(names, folders, strict=True)}
        videos = list(runs[names[0]].videos)
        compared = compare_runs(runs, groups=read_groups(folders[0] / "data", videos), seed=seed)
        chosen = choose_run(compared)
    else:  # clicks in one video only: nothing can be held out
        nothing = float("nan")
        compared, chosen = [Compared(name, nothing, nothing, nothing, nothing) for name in names], 0
    rows = [
        {key: None if value != value else value for key, value in asdict(each).items()} | {"digest": digest}
        for each, digest in zip(compared, digests, strict=True)
    ]
    record: Record = {"schema": SCHEMA, "candidates": rows, "chosen": names[chosen]}
    write_json(out / CHOICE, record)
    return record


def read_choice(candidates: Sequence[Candidate], out: Path) -> Record | None:
    """The comparison that an earlier call recorded; None without one.

    Raises:
        InputError: it was between other backbones.
    """
    if not (out / CHOICE).is_file():
        return None
    record = read_object(out / CHOICE)
    rows = record.get("candidates")
    names = [row.get("name") for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    if names != [each.name for each in candidates] or record.get("chosen") not in names:
        raise InputError(
            "resume-differs",
            f"{out} compared the backbones {', '.join(map(str, names))}",
            required="the same backbones in the same order",
            next_step="start over with `fresh=True`",
        )
    return record


def move_chosen(name: str, out: Path, parts: Sequence[str]) -> None:
    """Move the parts of the chosen run into the folder of the run on videos. May be repeated after a crash."""
    for part in parts:
        source = out / CANDIDATES / name / part
        if source.is_dir() and not (out / part).exists():
            source.rename(out / part)
