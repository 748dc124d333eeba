"""Writing: from timelines to files, all or none of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..files.atomic import atomic_folder, atomic_write
from ..files.outputs import check_folder, refuse_inputs
from ..text.numbers import shown
from ._forms import Format, detect_source
from ._input import LARGEST, load
from ._model import Timelines, counted
from ._options import Source, WriteOptions, Written
from ._soccernet import game_of

LONGEST_NAME, LONGEST_PATH = 200, 1000  # maximum bytes of a name that becomes a file, without extension


def make_files(lines: Timelines, form: Format, target: str, options: WriteOptions) -> dict[str, Written]:
    """Content by file name below the target; "" is the target itself. Raises InputError."""
    if form.a_file == "all":
        return {"": form.write(lines, options)}
    if form.a_file == "class":
        groups = {next(iter(one.classes)): one for one in lines.by_class()}
    else:
        by = game_of if form.a_file == "game" else str
        groups = {by(one.videos[0]): one for one in lines.apart(by)}
    single = target == "-" or Path(target).suffix.lower() in form.endings
    if single:
        if len(groups) != 1:
            raise InputError(
                "convert-many",
                f"A {form.name} file cannot contain {counted(len(groups), form.a_file)}",
                required=f"one {form.a_file} per file",
                next_step=f"name a folder as output, with `target_form={form.name}`",
            )
        return {"": form.write(next(iter(groups.values())), options)}
    if not groups:
        raise InputError(
            "convert-empty",
            f"There is no {form.a_file} to write",
            required=f"at least one {form.a_file}",
            next_step="check the input",
        )
    names = {name: _file_name(name, form) for name in groups}
    if len({name.casefold() for name in names.values()}) < len(names):
        raise InputError(
            "convert-names",
            f"There are {form.a_file} names that differ only by case",
            required="distinct file names",
            next_step="rename them",
        )
    return {
        names[name]: form.write(one, replace(options, target=Path(target) / names[name], root=Path(target)))
        for name, one in groups.items()
    }


def _file_name(name: str, form: Format) -> str:
    """File name of a video or class below the output folder. Raises InputError for a name that leads elsewhere."""
    parts = name.split("/")
    plain = not any(part in ("", ".", "..") or part.startswith(".") or set(part) & set('\\:*?"<>|') for part in parts)
    if not plain or max(len(part.encode()) for part in parts) > LONGEST_NAME or len(name.encode()) > LONGEST_PATH:
        raise InputError(
            "convert-names",
            f"The {form.a_file} name {shown(name)} cannot be a file name",
            required=f"plain names of up to {LONGEST_NAME} bytes, possibly with folders",
            next_step="rename it",
        )
    return f"{PurePosixPath(*parts)}{form.suffix}{form.endings[0]}"


def check_target(source: str, target: str, replace_target: bool) -> None:
    path = Path(target)
    if target != "-":
        refuse_inputs(path, [source], "OUTPUT")
        if path.is_dir():
            check_folder(path, [source], option="OUTPUT", whole=True)
        elif path.exists() and not path.is_file():
            return  # a named pipe or a device
        elif replace_target and path.is_file():
            _check_kind(path)
    if path.suffix.lower() == ".zip":
        raise InputError(
            "convert-target",
            f"{target} is a zip file, which cannot be written",
            required="a file or a folder",
            next_step="name a folder or a file",
        )
    if target == "-" or replace_target or not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    raise InputError(
        "output-exists",
        f"{target} exists already",
        required="a new file or folder",
        next_step="choose another one, or set `replace_target`",
    )


def _check_kind(path: Path) -> None:
    """Raise InputError for a file that is not in any of the formats and must not be replaced."""
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 16)
        if b"\0" in head and not head.startswith((b"PAR1", b"\xff\xfe", b"\xfe\xff")):
            raise ValueError("binary content")
        if path.stat().st_size:
            detect_source(Source(str(path), path.read_bytes()[:LARGEST], path.stem))
    except (OSError, ValueError, InputError):
        raise InputError(
            "output-exists",
            f"{path} exists and contains no events, ground truth or clicks",
            required="a new file, or an earlier output",
            next_step="choose another one, or remove the file",
        ) from None


def _is_of(path: Path, form: Format) -> bool:
    """Whether a file has this format and may be replaced: by extension, and by content if formats share it."""
    ending = path.suffix.lower()
    if ending not in form.endings or ending not in (".txt", ".json", ".csv", ".tsv"):
        return ending in form.endings
    try:
        return detect_source(load(path, path.stem))[0].name == form.name
    except InputError:
        return path.stat().st_size == 0


def publish(files: dict[str, Written], form: Format, target: str, replace_target: bool) -> str | bytes | None:
    """Write all files atomically. Returns the content for standard output."""
    path = Path(target)
    if "" in files:
        if target == "-":
            return files[""].data
        if path.is_dir():
            raise InputError(
                "convert-target",
                f"{target} is a folder",
                required=f"a file for {form.name}",
                next_step="name a file in it",
            )
        atomic_write(path, files[""].data)
        return None
    if path.exists() and not path.is_dir():
        raise InputError(
            "convert-target",
            f"{target} is a file",
            required="a folder for several videos",
            next_step="name a folder",
        )
    others = [p for p in path.rglob("*") if p.is_file() and not _is_of(p, form)]
    if others:  # only earlier outputs are replaced
        raise InputError(
            "output-exists",
            f"{target} contains other files, such as {others[0]}",
            required="a folder without other files",
            next_step="choose another folder",
        )
    with atomic_folder(path, replace=replace_target) as draft:
        for name, written in files.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(written.data.encode() if isinstance(written.data, str) else written.data)
    return None
