"""The folder in which engines are stored, each with a JSON record of what it depends on.

Readers take no lock: a record names its engine by content and is replaced atomically. Writers hold a lock while they
write an engine and its record, so that two concurrent builds leave one intact engine. An entry that is damaged, or for
another machine, is never used and never rebuilt here: it is ignored, with a reason.
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
MAX_RECORD_BYTES = 1 << 20
_MAX_READS = 20  # of an entry that builds keep replacing
_FILE = re.compile(r"[a-z0-9][a-z0-9._-]*\.engine")


@dataclass(frozen=True, slots=True)
class Record:
    """The record of one engine.

    Attributes:
        key: What the engine depends on.
        file: Its file in the folder.
        sha256: Its hash.
        size: Its size in bytes.
        facts: Information for people: bundle, build time in seconds, layers and so on.
    """

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
    """One record file. problem: why its engine cannot be used; empty for an intact one."""

    path: Path
    record: Record | None
    problem: str = ""


class EngineStore:
    """Engines in one folder, which need not exist."""

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if self.folder.exists() and not self.folder.is_dir():
            raise InputError(
                "engines-folder",
                f"{self.folder} is a file",
                required="a folder of engines",
                next_step="choose another path",
            )

    def entries(self, *, deep: bool = True) -> list[Entry]:
        """All entries by file name, then engines without a record.

        Args:
            deep: Read every engine and compare its SHA-256; otherwise compare its size only.
        """
        entries = [self._entry(path, deep=deep) for path in sorted(self.folder.glob(f"*{RECORD}"))]
        recorded = {entry.record.file for entry in entries if entry.record is not None}
        for path in sorted(self.folder.glob(f"*{SUFFIX}")):
            if path.name not in recorded:
                entries.append(Entry(path, None, "no record names this engine"))
        return entries

    def put(self, key: EngineKey, engine: bytes, facts: Mapping[str, Any]) -> Record:
        """Write an engine and its record, and remove the engine that the record named before."""
        digest, stem = hashlib.sha256(engine).hexdigest(), self._stem(key)
        facts = {**facts, "built": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "punctum": __version__}
        record = Record(key, f"{stem}-{digest[:12]}{SUFFIX}", digest, len(engine), facts)
        with self.locked():
            atomic_write(self.folder / record.file, engine)
            atomic_write(self.folder / f"{stem}{RECORD}", json.dumps(record.as_data(), indent=1) + "\n")
            for old in self.folder.glob(f"{stem}-*{SUFFIX}"):
                if old.name != record.file:
                    old.unlink(missing_ok=True)
        return record

    def get(self, key: EngineKey) -> Record | None:
        """The record with exactly this key, if its engine is intact."""
        path = self.folder / f"{self._stem(key)}{RECORD}"
        entry = self._entry(path, deep=True) if path.is_file() else None
        return entry.record if entry is not None and not entry.problem else None

    def find(
        self, part: str, precision: str, graph: str, *, library: tuple[str, str], gpu: Gpu
    ) -> tuple[Record, bytes, list[str]]:
        """The newest engine of one graph for this library and GPU. Nothing is built.

        Args:
            part: Part of the bundle.
            precision: Precision of the graph.
            graph: SHA-256 of the graph.
            library: Name and version of the library.
            gpu: The GPU here.

        Returns:
            The record, the bytes of the engine, and the entries that were ignored, each with the reason.

        Raises:
            InputError: No engine fits, with the reason for each candidate.
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
            wrong = key.mismatches(graph=graph, library=library, gpu=gpu)
            if wrong:
                ignored.append(f"{entry.path.name}: {', '.join(wrong)}")
            else:
                fitting.append((_changed(entry.path), entry.path, entry.record))
        for _, path, record in sorted(fitting, key=lambda item: item[:2], reverse=True):
            intact = self._read(path, record)
            if intact is not None:
                return *intact, ignored
            ignored.append(f"{path.name}: its engine is not the one that was built (sha256 differs)")
        why = f"; ignored: {'; '.join(ignored)[:1500]}" if ignored else ""
        raise InputError(
            "engine-missing",
            f"{self.folder} has no engine of the {part} in {precision} for {library[0]} {library[1]} on {gpu.name} "
            f"(compute capability {gpu.capability}){why}",
            required="an engine built from this bundle with this library for this GPU",
            next_step=f"punctum build BUNDLE --out {self.folder} --library {library[0]} --precision {precision}",
        )

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Exclude other writers of this folder, in this process and others. The folder is created if necessary."""
        import fcntl

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = (self.folder / ".lock").open("a")
        except OSError as error:
            raise PunctumError(
                "write-failed", f"Cannot write {self.folder} ({error})", required="a writable folder"
            ) from error
        with handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def blob(self, name: str) -> bytes:
        """Content of a file beside the engines (timing cache, kernel cache); empty where there is none."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return b""

    def merge_blob(self, name: str, merge: Callable[[bytes], bytes]) -> None:
        """Replace such a file by `merge` of its present content, excluding other writers; keep it if that is empty."""
        with self.locked():
            merged = merge(self.blob(name))
            if merged:
                atomic_write(self.folder / name, merged)

    def _entry(self, path: Path, *, deep: bool) -> Entry:
        entry = self._inspect(path, deep=deep)
        for _ in range(_MAX_READS):
            if not entry.problem:
                break
            # A build may have replaced both files between the two reads; an entry that stays the same is damaged.
            before, entry = entry, self._inspect(path, deep=deep)
            if entry.record == before.record:
                break
        return entry

    def _inspect(self, path: Path, *, deep: bool) -> Entry:
        try:
            if path.stat().st_size > MAX_RECORD_BYTES:
                return Entry(path, None, "its record is too large")
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
        """A record and its engine, or those that replaced them meanwhile; None where they do not match."""
        for _ in range(_MAX_READS):
            data = self.blob(record.file)
            if hashlib.sha256(data).hexdigest() == record.sha256:
                return record, data
            current = self._inspect(path, deep=False).record
            if current is None or current == record:
                return None
            record = current
        return None

    @staticmethod
    def _stem(key: EngineKey) -> str:
        capability = key.capability.replace(".", "")
        return f"{key.part}-{key.precision}-sm{capability}-{key.digest()}"


def default_folder(bundle_id: str) -> Path:
    """The default folder for engines of a bundle: in the user's cache, by the bundle's id."""
    import os

    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "punctum" / "engines" / re.sub(r"[^A-Za-z0-9._-]", "_", bundle_id)


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _parse(data: bytes) -> Record:
    """Raise ValueError for anything that is not a record as `Record.as_data` writes it."""
    parsed = json.loads(data)
    if not isinstance(parsed, dict) or parsed.get("format") != FORMAT:
        raise ValueError(f"format {parsed.get('format') if isinstance(parsed, dict) else parsed!r}, not {FORMAT}")
    key = EngineKey.from_data(parsed.get("key"))
    if parsed.get("digest") != key.digest():
        raise ValueError("its digest is not that of its key")
    file, sha256, size, facts = (parsed.get(name) for name in ("file", "sha256", "size", "facts"))
    if not isinstance(file, str) or not _FILE.fullmatch(file):
        raise ValueError("it names no engine file in this folder")
    if not isinstance(sha256, str) or not isinstance(size, int) or not isinstance(facts, dict):
        raise ValueError("a field is missing")
    return Record(key, file, sha256, size, facts)
