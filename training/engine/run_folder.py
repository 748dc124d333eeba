"""The output folder of a training command: new, emptied, or checked before it is resumed."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from punctum.runtime.errors import InputError
from punctum.runtime.files.atomic import BINARY, remove_drafts
from punctum.runtime.text.display import shown

from ..records import Record, read_object, write_json

CONFIG, STATE = "config.json", "state"
_DRAFT = re.compile(r"\.(.+\.(?:safetensors|json|jsonl|onnx))\.[0-9a-f]{8}")  # files that a killed run was writing
SHOWN = 6  # differences that a message names
_OLD_STATE = ".state.old"


@contextlib.contextmanager
def sole_writer(out: Path) -> Iterator[None]:
    """Keep other commands from writing to an output folder meanwhile, which would mix two runs.

    The folder itself is locked, so that no file for it lies beside the results. It is made if it does not exist. A
    file system without locks is used without.

    Raises:
        InputError: another command writes to the folder.
    """
    handle, made = -1, not out.exists()
    try:
        with contextlib.suppress(OSError):  # writing to the folder reports the error
            out.mkdir(parents=True, exist_ok=True)
            handle = os.open(out, os.O_RDONLY | BINARY)
        if handle >= 0:
            _lock(handle, out)
        yield
    finally:
        if handle >= 0:
            os.close(handle)  # releases the lock
        if made:
            with contextlib.suppress(OSError):  # it holds a run
                out.rmdir()


def _lock(handle: int, out: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            "output-locked",
            f"Another command writes to {out}",
            required="one command per folder at a time",
            next_step="wait for it, stop it, or choose another `out`",
        ) from None
    except OSError:
        pass  # no locks here


def prepare(
    out: Path,
    record: Record,
    *,
    files: Sequence[str],
    compared: Sequence[str],
    resume: bool,
    fresh: bool,
) -> bool:
    """Make an output folder ready and write its config.json.

    Args:
        out: the folder.
        record: content of config.json; `record["schema"]` says what kind of folder it is.
        files: what the command writes there besides config.json, in the order in which `fresh` deletes it.
        compared: fields of the record that must not change when a run is resumed.
        resume: continue an existing run.
        fresh: discard an existing run.

    Returns:
        Whether an existing run is resumed.

    Raises:
        InputError: the folder holds other files, a run without `resume` or `fresh`, or a run with another record.
    """
    if out.exists() and not out.is_dir():
        raise InputError(
            "out-not-folder", f"{out} is a file", required="a folder, new or empty", next_step="choose another `out`"
        )
    if is_written_by(out, record["schema"]) or _only_drafts(out):
        _remove_drafts(out)
    occupied = out.is_dir() and any(out.iterdir())
    if occupied and not is_written_by(out, record["schema"]):
        raise foreign_folder(out)
    if occupied and not (resume or fresh):
        raise run_exists(out)
    if occupied and not fresh:
        _compare(out, read_object(out / CONFIG), record, compared)
        _remove_drafts(out / STATE)
        return True
    for name in files if occupied else ():
        (out / name).unlink(missing_ok=True)
    discard_state(out)
    write_json(out / CONFIG, record)  # replaced, not deleted before: a killed run must leave a folder of a run
    return False


def _only_drafts(out: Path) -> bool:
    """Whether a run was killed while it wrote its first file."""
    return out.is_dir() and all(re.fullmatch(rf"\.{re.escape(CONFIG)}\.[0-9a-f]{{8}}", p.name) for p in out.iterdir())


def discard_state(out: Path) -> None:
    """Remove what a run is resumed from, as a whole: half of it would be trained again."""
    old = out / _OLD_STATE
    shutil.rmtree(old, ignore_errors=True)
    with contextlib.suppress(FileNotFoundError):
        (out / STATE).rename(old)
    shutil.rmtree(old, ignore_errors=True)


def _remove_drafts(folder: Path) -> None:
    for name in {match[1] for path in folder.glob(".*") if (match := _DRAFT.fullmatch(path.name))}:
        remove_drafts(folder / name)


def is_written_by(out: Path, schema: str) -> bool:
    """Whether config.json in a folder, damaged or not, is of this kind: many projects have a file of that name."""
    kind = schema.partition("/")[0]
    try:
        return f'"{kind}/' in (out / CONFIG).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def foreign_folder(out: Path, detail: str = "other files") -> InputError:
    """The error for an output folder that holds something else."""
    return InputError(
        "out-foreign",
        f"{out} holds {detail} and is not a run folder",
        required="a new folder",
        next_step="choose another `out`",
    )


def run_exists(out: Path) -> InputError:
    """The error for a folder that holds a run, without `resume` or `fresh`."""
    return InputError(
        "run-exists",
        f"{out} already holds a run",
        required="a new folder",
        next_step="add `resume=True` or `fresh=True`, or change `out`",
    )


def _differences(before: object, after: object, name: str = "") -> list[str]:
    """Settings that differ, with both values: "center_optim.epochs was 40, is 3"."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = [*after, *(key for key in before if key not in after)]
        parts = (_differences(before.get(key), after.get(key), f"{name}.{key}" if name else str(key)) for key in keys)
        return [text for part in parts for text in part]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [text for k, (a, b) in pairs for text in _differences(a, b, f"{name}.{k}")]
    return [] if before == after else [f"{name} was {shown(before, 40)}, is {shown(after, 40)}"]


def _compare(out: Path, old: Record, new: Record, compared: Sequence[str]) -> None:
    new = json.loads(json.dumps(new))
    for field in compared:
        before, after = old.get(field), new[field]
        if before == after:
            continue
        if isinstance(before, dict):
            field = f"{field}: {'; '.join(_differences(before, after)[:SHOWN])}"
        raise InputError(
            "resume-differs",
            f"{out} was started with another recipe or other data ({field})",
            required="the same data, seed and options as before",
            next_step="use the first settings, or start over with `fresh=True`",
        )
