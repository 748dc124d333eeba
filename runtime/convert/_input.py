"""Reading: from a file, a folder or standard input to timelines."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath

from ..errors import InputError
from ..text.display import as_utf8
from ._effect import check_reading
from ._events import read_parquet
from ._forms import FORMATS, Format, detect_source, format_named
from ._model import Timelines, counted
from ._naming import settle_files
from ._options import ReadOptions, Source

LARGEST = 1 << 30  # maximum size of an input file in bytes


def read_data(
    data: bytes, form: str | None = None, *, name: str = "data", options: ReadOptions | None = None
) -> Timelines:
    """Read the content of one file.

    Args:
        data: The content.
        form: Name of the format; default: detected from the content.
        name: Name of the file, for messages and detection.
        options: Options for reading.

    Raises:
        InputError: The content does not have the format, or the format cannot be detected.
    """
    named = format_named(form, "source_form") if form else None
    return _read_one(Source(name, data, PurePosixPath(name).stem or "data"), named, options or ReadOptions())[0]


def read(source: str, form: str | None, options: ReadOptions) -> tuple[Timelines, str]:
    """Read a file, a folder or standard input. Returns timelines and a description. Raises InputError."""
    named = format_named(form, "source_form") if form else None
    path = Path(source)
    if source != "-" and not path.exists():
        raise InputError(
            "convert-missing", f"{source} does not exist", required="a file or a folder", next_step="check the path"
        )
    if named is FORMATS["parquet"] or (named is None and (path / "items.parquet").is_file()):
        return _without_name(
            read_parquet(path), options
        ), f"{source} as parquet, {'as requested' if named else 'by items.parquet'}"
    if source == "-":
        return _read_one(Source("standard input", sys.stdin.buffer.read(LARGEST + 1), "video"), named, options)
    if not path.is_dir():
        if named is None and path.suffix.lower() == ".parquet":
            return _without_name(read_parquet(path), options), f"{source} as parquet, by its extension"
        return _read_one(load(path, as_utf8(path.stem)), named, options)
    files, endings = _files_of(path, named)
    kinds = {p.suffix.lower() for p in files}
    if not files or (named is None and len(kinds) > 1):
        raise InputError(
            "convert-folder",
            f"{source} contains "
            + (f"files of several formats ({', '.join(sorted(kinds))})" if files else "no file to convert"),
            required=f"files of one format, with the extension {', '.join(sorted(endings))}",
            next_step="set the format with `source_form`",
        )
    if options.video is not None and len(files) > 1:
        raise _no_video(f"there are {counted(len(files), 'file')}")
    sources = [load(p, as_utf8(p.relative_to(path).with_suffix("").as_posix())) for p in files]
    detected = {form.name: form for form in ([named] if named else [detect_source(one)[0] for one in sources])}
    if len(detected) > 1:
        raise InputError(
            "convert-folder",
            f"{source} contains files of several formats ({', '.join(detected)})",
            required="files of one format",
            next_step="set the format with `source_form`",
        )
    read_files = [_read_one(one, named, options) for one in sources]
    how = read_files[0][1].removeprefix(f"{sources[0].name} ")
    (form_read,) = detected.values()
    # With one class per file, a video is in several files.
    same = "merge" if form_read.a_file == "class" else options.same_video
    parts = [(one.stem, lines) for one, (lines, _) in zip(sources, read_files, strict=True)]
    return settle_files(parts, same), f"{counted(len(files), 'file')} in {source} {how}"


def _files_of(folder: Path, named: Format | None) -> tuple[list[Path], set[str]]:
    """Files of a folder to convert, and the extensions by which they were chosen."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    if named is not None:
        choices = [set(named.endings)]
    else:  # texts and tables last, because folders often contain unrelated ones
        single = {e for form in FORMATS.values() if form.one_video for e in form.endings}
        choices = [single - {".txt", ".tsv", ".csv"}, {".boris"}, {".txt"}, {".tsv"}]
    for endings in choices:
        if chosen := [p for p in files if p.suffix.lower() in endings]:
            return chosen, endings
    return [], choices[0]


def _read_one(source: Source, named: Format | None, options: ReadOptions) -> tuple[Timelines, str]:
    if len(source.data) > LARGEST:
        raise InputError(
            "convert-size", f"{source.name} is larger than 1 GiB", required="smaller files", next_step="split it"
        )
    form, how = (named, "as requested") if named else detect_source(source)
    if options.video is not None and not (form.one_video or form.name in ("csv", "labelstudio", "soccernet")):
        raise _no_video(f"{form.name} files name their videos")
    if form.read is None:
        raise InputError(
            "convert-form",
            f"{source.name} cannot be read as {form.name}",
            required="a file or a folder",
            next_step="pass its path",
        )
    check_reading(options, form.name)
    try:
        return form.read(source, options), f"{source.name} as {form.name}, {how}"
    except (RecursionError, MemoryError):
        raise source.wrong("it is nested too deeply or too large to be read", f"a file of {form.title}") from None


def load(path: Path, stem: str) -> Source:
    try:
        with path.open("rb") as stream:
            return Source(str(path), stream.read(LARGEST + 1), stem)
    except OSError as error:
        raise InputError(
            "convert-unreadable", f"{path} cannot be read ({error})", required="a readable file", next_step="check it"
        ) from None


def _without_name(lines: Timelines, options: ReadOptions) -> Timelines:
    if options.video is not None:
        raise _no_video("Parquet files name their videos")
    return lines


def _no_video(cause: str) -> InputError:
    return InputError(
        "convert-video",
        f"`video` does not apply, because {cause}",
        required="one file with one video",
        next_step="leave out `video`",
    )
