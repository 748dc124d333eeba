"""From one form to another: read, choose, write whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ..datatypes import compact
from ..errors import InputError
from ..files.atomic import atomic_folder, atomic_write
from ..files.outputs import check_folder, refuse_inputs
from ..text.display import as_utf8
from ..text.numbers import shown
from ._effect import check_rates, check_reading, check_writing
from ._events import read_parquet
from ._forms import FORMS, Form, form_named, guess_source, guess_target
from ._model import Timelines, counted, similar_names
from ._naming import settle_files
from ._options import Clicks, ReadOptions, Source, WriteOptions, Written
from ._soccernet import game_of

LARGEST = 1 << 30  # bytes of a file to be read
LONGEST_NAME, LONGEST_PATH = 200, 1000  # bytes of a name that becomes a file, endings and drafts not counted


@compact
@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """What a conversion did, in words: `lines()`. text: the result where it went to standard output."""

    read: str
    wrote: str
    notes: tuple[str, ...]
    lost: tuple[str, ...]
    assumed: tuple[str, ...]
    text: str | bytes | None = None

    def lines(self) -> list[str]:
        said = [self.read, *self.notes]
        said += [f"lost: {what}" for what in self.lost]
        said += [f"assumed: {what}" for what in self.assumed]
        return [*said, self.wrote]


def convert(
    source: str,
    target: str,
    *,
    source_form: str | None = None,
    target_form: str | None = None,
    reading: ReadOptions | None = None,
    writing: WriteOptions | None = None,
    only: str | None = None,
    labels: Sequence[str] = (),
    min_score: float | None = None,
    replace_target: bool = False,
) -> Report:
    """Convert the file or folder `source` ("-": standard input) to `target` ("-": standard output).

    only: "actions" or "clicks"; labels: keep these classes; min_score: keep marks from this confidence on, and those
    without one. Raises InputError for whatever is wrong with the input, before anything is written.
    """
    to, how_to = (form_named(target_form, "--to"), "as told") if target_form else guess_target(Path(target))
    _check_target(source, target, replace_target)
    reading = reading or ReadOptions()
    lines, told = read(source, source_form, reading)
    lines = _chosen(lines, reading.clicks, only, labels, min_score)
    _check_kinds(lines, to)
    clicking = lines.clicks > 0 and not lines.actions
    writing = writing or WriteOptions()
    if writing.media and "{video}" not in writing.media and len(lines.videos) > 1:
        raise InputError(
            "convert-media",
            f"--media {writing.media!r} for {counted(len(lines.videos), 'video')}",
            "a name with {video}",
            "add it",
        )
    check_writing(writing, to.name)
    options = replace(writing, target=Path(target), root=Path(target).parent, clicking=clicking)
    files = _write(lines, to, target, options)
    total = (
        f"{counted(lines.actions, 'action')}, {counted(lines.clicks, 'click')}, {counted(len(lines.videos), 'video')}"
    )
    shown = lines.classes
    check_rates(reading.rates)
    text = _publish(files, to, target, replace_target)
    many = counted(len(files), "file") + " in " if text is None and "" not in files else ""
    wrote = "standard output" if text is not None else target
    return Report(
        read=f"read {told}: {total}; classes: {', '.join(shown[:20])}{', ...' * (len(shown) > 20)}",
        wrote=f"wrote {many}{wrote} as {to.name} ({to.title}), {how_to}",
        notes=(
            *lines.notes,
            *similar_names(lines.classes, "classes"),
            *similar_names(lines.videos, "videos", media=True),
        ),
        lost=tuple(dict.fromkeys(what for one in files.values() for what in one.lost)),
        assumed=tuple(dict.fromkeys(what for one in files.values() for what in one.assumed)),
        text=text,
    )


def read_data(
    data: bytes, form: str | None = None, *, name: str = "data", options: ReadOptions | None = None
) -> Timelines:
    """Timelines of the content of one file, in the form that is named or told by its content. Raises InputError."""
    named = form_named(form, "--from") if form else None
    return _read_one(Source(name, data, PurePosixPath(name).stem or "data"), named, options or ReadOptions())[0]


def read(source: str, form: str | None, options: ReadOptions) -> tuple[Timelines, str]:
    """Timelines of a file, a folder or standard input, and what it was taken for. Raises InputError."""
    named = form_named(form, "--from") if form else None
    path = Path(source)
    if source != "-" and not path.exists():
        raise InputError("convert-missing", f"{source} does not exist", "a file or a folder", "check the path")
    if named is FORMS["parquet"] or (named is None and (path / "items.parquet").is_file()):
        return _named(read_parquet(path), options), f"{source} as parquet, {'as told' if named else 'by items.parquet'}"
    if source == "-":
        return _read_one(Source("standard input", sys.stdin.buffer.read(LARGEST + 1), "video"), named, options)
    if not path.is_dir():
        if named is None and path.suffix.lower() == ".parquet":
            return _named(read_parquet(path), options), f"{source} as parquet, by its ending"
        return _read_one(_load(path, as_utf8(path.stem)), named, options)
    files, endings = _files_of(path, named)
    kinds = {p.suffix.lower() for p in files}
    if not files or (named is None and len(kinds) > 1):
        raise InputError(
            "convert-folder",
            f"{source} holds "
            + (f"files of several forms ({', '.join(sorted(kinds))})" if files else "no file to convert"),
            f"files of one form, with the ending {', '.join(sorted(endings))}",
            "name the form with --from",
        )
    if options.video is not None and len(files) > 1:
        raise InputError("convert-video", f"--video for {counted(len(files), 'file')}", "one file", "leave --video out")
    sources = [_load(p, as_utf8(p.relative_to(path).with_suffix("").as_posix())) for p in files]
    guessed = {form.name: form for form in ([named] if named else [guess_source(one)[0] for one in sources])}
    if len(guessed) > 1:
        raise InputError(
            "convert-folder",
            f"{source} holds files of several forms ({', '.join(guessed)})",
            "files of one form",
            "name the form with --from",
        )
    read_files = [_read_one(one, named, options) for one in sources]
    told = read_files[0][1].removeprefix(f"{sources[0].name} ")
    (form_read,) = guessed.values()
    # A class a file: a video is in several of them by design.
    same = "merge" if form_read.a_file == "class" else options.same_video
    parts = [(one.stem, lines) for one, (lines, _) in zip(sources, read_files, strict=True)]
    return settle_files(parts, same), f"{counted(len(files), 'file')} in {source} {told}"


def _files_of(folder: Path, named: Form | None) -> tuple[list[Path], set[str]]:
    """Files of a folder that may be converted, and the endings by which they were chosen."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    if named is not None:
        choices = [set(named.endings)]
    else:  # texts and tables are the last choice: such files lie beside many others
        single = {e for form in FORMS.values() if form.one_video for e in form.endings}
        choices = [single - {".txt", ".tsv", ".csv"}, {".boris"}, {".txt"}, {".tsv"}]
    for endings in choices:
        if chosen := [p for p in files if p.suffix.lower() in endings]:
            return chosen, endings
    return [], choices[0]


def _read_one(source: Source, named: Form | None, options: ReadOptions) -> tuple[Timelines, str]:
    if len(source.data) > LARGEST:
        raise InputError("convert-size", f"{source.name} is larger than 1 GiB", "smaller files", "split it")
    form, how = (named, "as told") if named else guess_source(source)
    if options.video is not None and not (form.one_video or form.name in ("csv", "labelstudio", "soccernet")):
        raise InputError("convert-video", f"--video for {form.name}", "files of one video", "leave --video out")
    if form.read is None:
        raise InputError("convert-form", f"{source.name} as {form.name}", "a file or a folder", "give its path")
    check_reading(options, form.name)
    try:
        return form.read(source, options), f"{source.name} as {form.name}, {how}"
    except (RecursionError, MemoryError):
        raise source.wrong("it is nested too deeply or too large to be read", f"a file of {form.title}") from None


def _load(path: Path, stem: str) -> Source:
    try:
        with path.open("rb") as stream:
            return Source(str(path), stream.read(LARGEST + 1), stem)
    except OSError as error:
        raise InputError(
            "convert-unreadable", f"{path} cannot be read ({error})", "a readable file", "check it"
        ) from None


def _named(lines: Timelines, options: ReadOptions) -> Timelines:
    if options.video is not None:
        raise InputError("convert-video", "--video for Parquet", "files of one video", "leave --video out")
    return lines


def _chosen(
    lines: Timelines, clicks: Clicks, only: str | None, labels: Sequence[str], min_score: float | None
) -> Timelines:
    if only not in (None, "actions", "clicks"):
        raise InputError("convert-only", f"--only {only!r}", "actions or clicks", "correct it")
    for label in labels:
        if label not in lines.classes:
            raise InputError(
                "label-unknown", f"label {label!r}", ", ".join(lines.classes) or "no class here", "correct --label"
            )
    if clicks == "none" and lines.clicks:
        raise InputError(
            "convert-option",
            f"--clicks none for {counted(lines.clicks, 'click')} without an end",
            "annotations with a start and an end",
            "leave --clicks out",
        )
    marks, notes = lines.marks, list(lines.notes)
    if clicks == "all" and lines.actions:
        notes.append(f"left out: start and end of {counted(lines.actions, 'annotation')}, read as clicks")
        marks = tuple(m if m.end is None else replace(m, start=(m.start + m.end) / 2, end=None) for m in marks)
    kept = tuple(
        mark
        for mark in marks
        if (only is None or mark.is_click == (only == "clicks"))
        and (not labels or mark.label in labels)
        and (min_score is None or mark.score is None or mark.score >= min_score)
    )
    if len(kept) < len(marks):
        notes.append(f"left out: {counted(len(marks) - len(kept), 'mark')}, by --only, --label or --min-score")
    return replace(
        lines, marks=kept, labels=tuple(c for c in lines.labels if not labels or c in labels), notes=tuple(notes)
    )


def _check_kinds(lines: Timelines, form: Form) -> None:
    if lines.clicks and not form.clicks:
        able = ", ".join(f.name for f in FORMS.values() if f.clicks)
        raise InputError(
            "form-no-clicks",
            f"{counted(lines.clicks, 'click')}, which {form.name} cannot hold",
            f"for clicks: {able}",
            "choose one of these" + (", or add --only actions" if lines.actions else ""),
        )
    if lines.actions and not form.actions:
        raise InputError(
            "form-no-actions",
            f"{counted(lines.actions, 'action')}, which {form.name} cannot hold",
            "clicks",
            "add --clicks all (every action at its middle)" + (", or --only clicks" if lines.clicks else ""),
        )
    if lines.clicks and lines.actions and not form.mixed:
        raise InputError(
            "form-one-kind",
            f"{counted(lines.actions, 'action')} and {counted(lines.clicks, 'click')} for one {form.name} file",
            "one kind a file",
            "add --only actions or --only clicks",
        )


def _write(lines: Timelines, form: Form, target: str, options: WriteOptions) -> dict[str, Written]:
    """Content by file name below the target; "" for the target itself."""
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
                f"{counted(len(groups), form.a_file)} for one {form.name} file",
                f"one {form.a_file} a file",
                f"give a folder as OUTPUT, with --to {form.name}",
            )
        return {"": form.write(next(iter(groups.values())), options)}
    if not groups:
        raise InputError(
            "convert-empty", f"no {form.a_file} to write", f"at least one {form.a_file}", "check the input"
        )
    names = {name: _file_name(name, form) for name in groups}
    if len({name.casefold() for name in names.values()}) < len(names):
        raise InputError(
            "convert-names", f"{form.a_file} names that differ by case alone", "distinct file names", "rename them"
        )
    return {
        names[name]: form.write(one, replace(options, target=Path(target) / names[name], root=Path(target)))
        for name, one in groups.items()
    }


def _file_name(name: str, form: Form) -> str:
    """Where a video or class goes below the output folder. Raises InputError for a name that leads elsewhere."""
    parts = name.split("/")
    plain = not any(part in ("", ".", "..") or part.startswith(".") or set(part) & set('\\:*?"<>|') for part in parts)
    if not plain or max(len(part.encode()) for part in parts) > LONGEST_NAME or len(name.encode()) > LONGEST_PATH:
        raise InputError(
            "convert-names",
            f"the {form.a_file} name {shown(name)} as a file",
            f"plain names of up to {LONGEST_NAME} bytes, perhaps below folders",
            "rename it",
        )
    return f"{PurePosixPath(*parts)}{form.suffix}{form.endings[0]}"


def _check_target(source: str, target: str, replace_target: bool) -> None:
    path = Path(target)
    if target != "-":
        refuse_inputs(path, [source], "OUTPUT")
        if path.is_dir():
            check_folder(path, [source], option="OUTPUT", whole=True)
        elif path.exists() and not path.is_file():
            return  # a named pipe or a device is written to, and nothing is lost by that
        elif replace_target and path.is_file():
            _check_kind(path)
    if path.suffix.lower() == ".zip":
        raise InputError("convert-target", f"{target} is to be a zip", "files and folders", "name a folder or a file")
    if target == "-" or replace_target or not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return
    raise InputError(
        "output-exists", f"{target} exists already", "a new file or folder", "choose another, or --replace"
    )


def _check_kind(path: Path) -> None:
    """Raises InputError for a file that no form of this command could have made: --replace is not meant for it."""
    try:
        with path.open("rb") as stream:
            head = stream.read(1 << 16)
        if b"\0" in head and not head.startswith((b"PAR1", b"\xff\xfe", b"\xfe\xff")):
            raise ValueError("binary content")
        if path.stat().st_size:
            guess_source(Source(str(path), path.read_bytes()[:LARGEST], path.stem))
    except (OSError, ValueError, InputError):
        raise InputError(
            "output-exists",
            f"{path} exists and is no file of events, truth or clicks",
            "a new file, or an earlier one of this command",
            "choose another, or remove the file yourself",
        ) from None


def _is_of(path: Path, form: Form) -> bool:
    """Whether a file may be replaced by one of this form: by its ending, or its content where forms share an ending."""
    ending = path.suffix.lower()
    if ending not in form.endings or ending not in (".txt", ".json", ".csv", ".tsv"):
        return ending in form.endings
    try:
        return guess_source(_load(path, path.stem))[0].name == form.name
    except InputError:
        return path.stat().st_size == 0


def _publish(files: dict[str, Written], form: Form, target: str, replace_target: bool) -> str | bytes | None:
    """Write all of it, or nothing. What goes to standard output is handed back."""
    path = Path(target)
    if "" in files:
        if target == "-":
            return files[""].data
        if path.is_dir():
            raise InputError("convert-target", f"{target} is a folder", f"a file for {form.name}", "name a file in it")
        atomic_write(path, files[""].data)
        return None
    if path.exists() and not path.is_dir():
        raise InputError("convert-target", f"{target} is a file", "a folder for several videos", "name a folder")
    strange = [p for p in path.rglob("*") if p.is_file() and not _is_of(p, form)]
    if strange:  # --replace replaces what was converted before, never somebody's videos
        raise InputError(
            "output-exists",
            f"{target} holds other files, such as {strange[0]}",
            "a folder of its own",
            "choose another",
        )
    with atomic_folder(path, replace=replace_target) as draft:
        for name, written in files.items():
            file = draft / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(written.data.encode() if isinstance(written.data, str) else written.data)
    return None
