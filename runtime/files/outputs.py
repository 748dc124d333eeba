"""Output paths, checked before any work, so that only results of the same kind are replaced.

The rules for every output of every command: "-" is standard output. Symbolic links are followed. Anything other than a
regular file is written to and never replaced. An input is never an output, under any name. An existing file is replaced
only if it is empty, or its beginning shows that it is an output of the same kind.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError, PunctumError
from .atomic import atomic_write, destination

STDOUT = "-"
BUNDLE_MARK = "manifest.json"
HEAD_BYTES = 1 << 16  # of an existing file, to recognize its kind


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of output file. owns: whether a file that begins with these bytes is of this kind."""

    title: str
    owns: Callable[[bytes], bool]


_EVENTS = re.compile(rb'\s*\{\s*"schema"\s*:\s*"punctum\.event/')
_ACTIVITYNET = re.compile(rb'\s*\{\s*"version"\s*:\s*"punctum"')
EVENTS = Kind("events (JSON Lines)", lambda head: _EVENTS.match(head) is not None)
ACTIVITYNET = Kind("ActivityNet results of punctum", lambda head: _ACTIVITYNET.match(head) is not None)
REPORT = Kind(
    "a report of punctum (HTML)",
    lambda head: head.lstrip()[:15].lower() == b"<!doctype html>" and b"punctum report</title>" in head,
)
FIGURE = Kind(
    "a figure of Matplotlib (SVG)", lambda head: head.lstrip().startswith(b"<?xml") and b">Matplotlib v" in head
)


@dataclass(frozen=True, slots=True)
class Output:
    """One output file.

    Args:
        path: The file, or - for standard output.
        kind: What it will contain.
        option: Name of the parameter that gave the path, in backticks, for error messages.
        inputs: What the command reads.

    Raises:
        InputError: The path must not be written.
    """

    path: Path
    kind: Kind
    option: str = "`out`"
    inputs: tuple[str | Path, ...] = ()

    def __post_init__(self) -> None:
        self.check()

    @property
    def is_stdout(self) -> bool:
        return str(self.path) == STDOUT

    def check(self) -> None:
        """Raises InputError where the path may not be written at this time."""
        if self.is_stdout:
            check_standard_output()
            return
        target, descriptor = destination(self.path)
        facts = _facts(target, descriptor)
        refuse_inputs(self.path, self.inputs, self.option)
        if descriptor is not None:
            return
        if facts is None:
            _check_place(self.path, target, self.option)
            return
        if stat.S_ISDIR(facts.st_mode):
            raise InputError("output", f"{self.option} {self.path} is a folder", "a file", "name a file in it")
        if stat.S_ISBLK(facts.st_mode):
            raise InputError(
                "output", f"{self.option} {self.path} is a block device", "a file, a named pipe or -", "name a file"
            )
        if stat.S_ISREG(facts.st_mode) and facts.st_size and not self.kind.owns(_head(target)):
            raise InputError(
                "output-exists",
                f"{self.option} {self.path} exists and is not {self.kind.title}",
                f"a new file, or {self.kind.title}",
                f"choose another {self.option}, or remove the file yourself",
            )

    def write(self, data: bytes | str) -> None:
        """Write it; a file atomically. Raises InputError if something else has appeared there since `check`."""
        if self.is_stdout:
            to_standard_output(data)
            return
        self.check()
        atomic_write(self.path, data)


def check_folder(path: Path, inputs: Iterable[str | Path], *, option: str = "`out`", whole: bool = False) -> Path:
    """Check an output folder.

    Args:
        path: The folder.
        inputs: What the command reads.
        option: Name of the parameter that gave the path, in backticks, for error messages.
        whole: The folder is replaced as a whole, so that no input file may lie in it.

    Returns:
        The folder, or its target if it is a symbolic link.

    Raises:
        InputError: The path is a file or "-", it cannot be made, or the folder is or contains an input or lies in a
            bundle that is read.
    """
    if str(path) == STDOUT:
        raise InputError("output", f"{option} is -, but the results are several files", "a folder", "name a folder")
    target, descriptor = destination(path)
    if descriptor is not None or (target.exists() and not target.is_dir()):
        raise InputError(
            "output-exists", f"{option} {path} exists and is not a folder", "a folder", f"choose another {option}"
        )
    inputs = tuple(inputs)
    _refuse_inside_bundle(path, target, inputs, option)
    if not target.exists():
        _check_place(path, target, option)
    for given in inputs if target.exists() else ():
        source = local_path(given)
        if source is None or not source.exists():
            continue
        real = Path(os.path.realpath(source))
        places = [real, *real.parents] if whole or real.is_dir() else []
        if any(place.samefile(target) for place in places):
            raise InputError(
                "output-is-input",
                f"{option} {path} {'is' if real.samefile(target) else 'contains'} the input {given}",
                "a folder without inputs",
                f"set {option} to another folder",
            )
    return target if path.is_symlink() else path


def refuse_inputs(path: Path, inputs: Iterable[str | Path], option: str) -> None:
    """Raises InputError where the file `path` is one of the inputs, under any name."""
    target, descriptor = destination(path)
    facts = _facts(target, descriptor)
    inputs = tuple(inputs)
    _refuse_inside_bundle(path, target, inputs, option)
    for given in inputs:
        source = local_path(given)
        if source is None:
            continue
        same = Path(os.path.realpath(source)) == target
        if not same and facts is not None and stat.S_ISREG(facts.st_mode):
            try:
                same = os.path.samestat(source.stat(), facts)
            except OSError:
                continue
        if same:
            raise InputError(
                "output-is-input",
                f"{option} {path} is the input {given}",
                "a file that is not an input",
                f"set {option} to another file",
            )


def _refuse_inside_bundle(path: Path, target: Path, inputs: tuple[str | Path, ...], option: str) -> None:
    """Raises InputError for a path in a bundle that is read: other files in its folder make it no bundle any more."""
    for given in inputs:
        source = local_path(given)
        if source is None or not (source / BUNDLE_MARK).is_file():
            continue
        if Path(os.path.realpath(source)) in target.parents:
            raise InputError(
                "output-is-input",
                f"{option} {path} lies in the bundle {given}",
                "a place outside of the bundle",
                f"set {option} to another place",
            )


def local_path(given: str | Path) -> Path | None:
    """The file of an input; None for standard input and addresses."""
    text = str(given)
    scheme, mark, rest = text.partition("://")
    if text == STDOUT or (mark and scheme not in ("unix", "file")):
        return None
    return Path(rest) if mark else Path(text.removeprefix("camera:"))


def check_standard_output() -> None:
    """Raises PunctumError where standard output was closed before the program began."""
    if sys.stdout is None or getattr(sys.stdout, "was_closed", False):
        raise PunctumError(
            "stdout-closed",
            "Standard output is closed",
            required="an open output",
            next_step="leave it open, or write to a file",
        )


def to_standard_output(data: bytes | str) -> None:
    """Results as bytes, text as UTF-8 whatever the terminal's encoding. Raises BrokenPipeError, PunctumError."""
    check_standard_output()
    stream: Any = sys.stdout
    payload = data if isinstance(data, bytes) else data.encode()
    try:
        stream.flush()
        raw = getattr(stream, "buffer", None)
        if raw is None:  # a notebook's
            stream.write(payload.decode("utf-8", "backslashreplace"))
        else:
            raw.write(payload)
            raw.flush()
        stream.flush()
    except BrokenPipeError:
        discard_standard_output()
        raise
    except OSError as error:
        discard_standard_output()
        raise PunctumError(
            "events-write-failed",
            f"Cannot write to standard output ({error})",
            required="free space, and a reader of the output",
            next_step="free space, or write elsewhere",
        ) from error


def discard_standard_output() -> None:
    """Discard buffered output, so that the interpreter's flush at exit does not fail again."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
    except (OSError, ValueError, AttributeError):  # not backed by a descriptor
        return


def _check_place(path: Path, target: Path, option: str) -> None:
    """Raises InputError where no file can be created, before any work is done."""
    above = next(folder for folder in target.parents if folder.exists())
    if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
        why = "may not be written to" if above.is_dir() else "is a file"
        raise InputError("output", f"{option} {path}: {above} {why}", "a writable folder", f"set {option}")


def _facts(target: Path, descriptor: int | None) -> os.stat_result | None:
    try:
        return target.stat() if descriptor is None else os.fstat(descriptor)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise InputError("output", f"{target} cannot be used ({error})", "a writable file", "choose another") from None


def _head(target: Path) -> bytes:
    try:
        with target.open("rb") as stream:
            return stream.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(
            "output-exists", f"{target} exists and cannot be read ({error})", "a new file", "choose another"
        ) from None
