"""The folder in which engines lie. Each has a JSON record beside it that says what it depends on.

Readers take no lock: a record names its engine by content, and is replaced in one step. Writers hold a lock while they
put an engine and its record down, so that two builds at once leave one of the two, whole. An entry that is damaged, or
for another machine, is never used and never rebuilt here: it is ignored, and whoever asks is told why.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..._version import __version__
from ...errors import InputError, PunctumError
from ...files.atomic import atomic_write, sha256_file
from ...text.display import counted
from .key import EngineKey, Gpu

FORMAT = 1
SUFFIX, RECORD = ".engine", ".json"
LARGEST_RECORD = 1 << 20
_PATIENCE = 20  # looks at an entry that builds keep replacing
_FILE = re.compile(r"[a-z0-9][a-z0-9._-]*\.engine")


@dataclass(frozen=True, slots=True)
class Record:
    """One engine as its record tells. facts: bundle, seconds it took, what made it, layers ..., for people."""

    key: EngineKey
    file: str
    sha256: str
    size: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "digest": self.key.digest(),
            "key": asdict(self.key),
            "file": self.file,
            "sha256": self.sha256,
            "size": self.size,
            "facts": dict(self.facts),
        }


@dataclass(frozen=True, slots=True)
class Entry:
    """A record file, and what it holds; or why it cannot be used."""

    path: Path
    record: Record | None
    problem: str = ""


class EngineStore:
    """Engines in one folder, which need not exist."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError("engines-folder", f"{self.folder} is a file", "a folder of engines", "choose another one")

    def entries(self, *, deep: bool = True) -> list[Entry]:
        """All records by file name, damaged ones with the problem; then engines that no record names.

        deep: read every engine and compare its sha256; else its size alone.
        """
        found = [self._entry(path, deep=deep) for path in sorted(self.folder.glob(f"*{RECORD}"))]
        named = {entry.record.file for entry in found if entry.record is not None}
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name not in named:
                found.append(Entry(path, None, "no record names this engine"))
        return found

    def put(self, key: EngineKey, engine: bytes, facts: Mapping[str, Any]) -> Record:
        """Write an engine and its record; what the record named before is removed."""
        digest, stem = hashlib.sha256(engine).hexdigest(), self._stem(key)
        told = {**facts, "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "punctum": __version__}
        record = Record(key, f"{stem}-{digest[:12]}{SUFFIX}", digest, len(engine), told)
        with self.locked():
            atomic_write(self.folder / record.file, engine)
            atomic_write(self.folder / f"{stem}{RECORD}", json.dumps(record.as_data(), indent=1) + "\n")
            for old in self.folder.glob(f"{stem}-*{SUFFIX}"):
                if old.name != record.file:
                    old.unlink(missing_ok=True)
        return record

    def get(self, key: EngineKey) -> Record | None:
        """The record of exactly this key, if its engine is whole."""
        path = self.folder / f"{self._stem(key)}{RECORD}"
        entry = self._entry(path, deep=True) if path.is_file() else None
        return entry.record if entry is not None and not entry.problem else None

    def find(
        self, part: str, precision: str, graph: str, *, library: tuple[str, str], gpu: Gpu
    ) -> tuple[Record, bytes, list[str]]:
        """The engine of one graph for this library and GPU, the newest of several: (record, its bytes, what was
        ignored and why).

        Raises InputError saying why each candidate is not used. Nothing is built.
        """
        ignored: list[str] = []
        fitting: list[tuple[float, Path, Record]] = []
        for entry in self.entries(deep=False):
            if entry.problem or entry.record is None:
                ignored.append(f"{entry.path.name}: {entry.problem}")
                continue
            key = entry.record.key
            if (key.part, key.precision) != (part, precision):
                continue
            wrong = key.misfits(graph=graph, library=library, gpu=gpu)
            if wrong:
                ignored.append(f"{entry.path.name}: {', '.join(wrong)}")
            else:
                fitting.append((_changed(entry.path), entry.path, entry.record))
        for _, path, record in sorted(fitting, key=lambda item: item[:2], reverse=True):
            whole = self._read(path, record)
            if whole is not None:
                return *whole, ignored
            ignored.append(f"{path.name}: its engine is not the one that was built (sha256 differs)")
        why = f"; ignored: {'; '.join(ignored)[:1500]}" if ignored else ""
        raise InputError(
            "engine-missing",
            f"{self.folder} has no engine of the {part} in {precision} for {library[0]} {library[1]} on {gpu.name} "
            f"(compute capability {gpu.capability}){why}",
            "an engine built from this bundle with this library for this GPU",
            f"punctum build BUNDLE --out {self.folder} --library {library[0]} --precision {precision}",
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among writers of this folder, in this process and others; it is made if need be."""
        import fcntl

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / ".lock").open("a")
        except OSError as error:
            raise PunctumError("write-failed", f"cannot write {self.folder} ({error})", "a writable folder") from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def blob(self, name: str) -> bytes:
        """A file beside the engines (timing cache, kernel cache); empty where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return b""

    def merge_blob(self, name: str, merge: Callable[[bytes], bytes]) -> None:
        """Replace such a file by what `merge` makes of its present content, alone among writers. Empty: leave it."""
        with self.locked():
            merged = merge(self.blob(name))
            if merged:
                atomic_write(self.folder / name, merged)

    def _entry(self, path: Path, *, deep: bool) -> Entry:
        entry = self._look(path, deep=deep)
        for _ in range(_PATIENCE):
            if not entry.problem:
                break
            # A build may have replaced both files between the looks at them; what stays as it was is damaged.
            before, entry = entry, self._look(path, deep=deep)
            if entry.record == before.record:
                break
        return entry

    def _look(self, path: Path, *, deep: bool) -> Entry:
        try:
            if path.stat().st_size > LARGEST_RECORD:
                return Entry(path, None, "its record is too large to be one")
            record = _parse(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            return Entry(path, None, f"its record cannot be read ({str(error)[:120]})")
        if path.name != f"{self._stem(record.key)}{RECORD}":
            return Entry(path, record, "its record was renamed or its key changed")
        engine = self.folder / record.file
        try:
            size = engine.stat().st_size
        except OSError:
            return Entry(path, record, f"{record.file} is missing")
        if size != record.size:
            return Entry(path, record, f"{record.file} has {counted(size, 'byte')}, not {record.size}")
        if deep and sha256_file(engine) != record.sha256:
            return Entry(path, record, f"{record.file} is not the file that was built (sha256 differs)")
        return Entry(path, record)

    def _read(self, path: Path, record: Record) -> tuple[Record, bytes] | None:
        """A record and its engine; those that replaced them while they were read; None where they do not agree."""
        for _ in range(_PATIENCE):
            data = self.blob(record.file)
            if hashlib.sha256(data).hexdigest() == record.sha256:
                return record, data
            now = self._look(path, deep=False).record
            if now is None or now == record:
                return None
            record = now
        return None

    @staticmethod
    def _stem(key: EngineKey) -> str:
        where = key.capability.replace(".", "")
        return f"{key.part}-{key.precision}-sm{where}-{key.digest()}"


def default_folder(bundle_id: str) -> Path:
    """Where engines of a bundle lie when no folder is named: in the user's cache, by the bundle's id."""
    import os

    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "punctum" / "engines" / re.sub(r"[^A-Za-z0-9._-]", "_", bundle_id)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _parse(data: bytes) -> Record:
    """Raises ValueError for anything but a record as `Record.as_data` writes it."""
    told = json.loads(data)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ValueError(f"format {told.get('format') if isinstance(told, dict) else told!r}, not {FORMAT}")
    key = EngineKey.from_data(told.get("key"))
    if told.get("digest") != key.digest():
        raise ValueError("its digest is not that of its key")
    file, sha256, size, facts = (told.get(name) for name in ("file", "sha256", "size", "facts"))
    if not isinstance(file, str) or not _FILE.fullmatch(file):
        raise ValueError("it names no engine file in this folder")
    if not isinstance(sha256, str) or not isinstance(size, int) or not isinstance(facts, dict):
        raise ValueError("a field is missing")
    return Record(key, file, sha256, size, facts)
