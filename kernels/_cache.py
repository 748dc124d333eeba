"""Where the kernels that Numba compiles are kept: read from every folder there is, written to the first that allows it.

Numba's own cache gives up a folder that it cannot write to. Here a cache that was made while an image was built is used
although it is read-only. Its files lie in a subfolder named after the sources of all kernels, so that versions of
punctum share a folder, and an installation finds what another one at another path has compiled. Numba's own cache also
raises an error for files that are truncated or damaged. Here they are compiled again and replaced.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from numba.core.caching import CompileResultCacheImpl, FunctionCache, IndexDataCacheFile, _Cache

from ._jit import Kernel
from ._sources import HERE, sources

VARIABLE = "NUMBA_CACHE_DIR"
_CHECKSUM_BYTES = hashlib.sha256().digest_size
_only: Path | None = None
_unsaved: dict[str, str] = {}


def unsaved() -> dict[str, str]:
    """The kernels that this process has compiled and could not save in any folder, with the reasons."""
    return dict(_unsaved)


def keep_in(folder: Path | None) -> None:
    """Read and write this folder alone, for kernels that are compiled from now on; None: those of `folders` again."""
    global _only
    _only = folder


def folders(environ: Mapping[str, str] = os.environ) -> list[Path]:
    """Folders of caches, in the order in which they are searched: NUMBA_CACHE_DIR, beside the kernels, of the user."""
    if _only is not None:
        return [_only]
    named, home = environ.get(VARIABLE, ""), environ.get("HOME", "")
    base = environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
    return [*([Path(named)] if named else []), HERE / "__pycache__", *([Path(base, "numba")] if base else [])]


def attach(dispatcher: Any, kernel: Kernel, missed: Callable[[], None]) -> None:
    """Give a dispatcher its cache. missed: called when a compilation begins, since no folder has the kernel."""
    dispatcher._cache = KernelCache(kernel, folders(), missed)


class KernelCache(_Cache):  # type: ignore[misc]
    """The files of one kernel in several folders, as Numba's dispatcher wants a cache."""

    def __init__(self, kernel: Kernel, places: list[Path], missed: Callable[[], None]) -> None:
        self._places = [(place, _files(kernel, place / f"punctum-{_digest()}")) for place in places]
        self._name, self._missed = kernel.name, missed

    @property
    def cache_path(self) -> str:
        return str(self._places[0][0]) if self._places else ""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        for _, files in self._places:
            with contextlib.suppress(Exception):  # whatever is in the file, it can be compiled again
                found = files.load_overload(sig, target_context)
                if found is not None:
                    return found
        self._missed()
        return None

    def save_overload(self, sig: Any, data: Any) -> None:
        reasons = []
        for place, files in self._places:
            try:
                files.save_overload(sig, data)
            except OSError as error:
                reasons.append(f"{place}: {error.strerror or error}")
            else:
                _unsaved.pop(self._name, None)
                return
        _unsaved[self._name] = "; ".join(reasons) or "there is no folder for them"

    def enable(self) -> None:
        for _, files in self._places:
            files.enable()

    def disable(self) -> None:
        for _, files in self._places:
            files.disable()

    def flush(self) -> None:
        for _, files in self._places:
            with contextlib.suppress(OSError):
                files.flush()


@functools.cache
def _digest() -> str:
    return sources()[:16]


def _files(kernel: Kernel, folder: Path) -> Any:
    """Numba's cache of one function in one folder."""

    class Locator:
        _py_file = kernel.function.__code__.co_filename

        @classmethod
        def from_function(cls, function: Any, file: str) -> Locator:
            return cls()

        def ensure_cache_path(self) -> None:
            folder.mkdir(parents=True, exist_ok=True)

        def get_cache_path(self) -> str:
            return str(folder)

        def get_source_stamp(self) -> str:
            return _digest()

        def get_disambiguator(self) -> str:
            return kernel.name

    class Files(CompileResultCacheImpl):  # type: ignore[misc]
        _locator_classes = (Locator,)

    class Cache(FunctionCache):  # type: ignore[misc]
        _impl_class = Files

    cache = Cache(kernel.function)
    base = cache._impl.filename_base
    cache._cache_file = _CheckedFiles(str(folder), base, _digest())
    return cache


class _CheckedFiles(IndexDataCacheFile):  # type: ignore[misc]
    """The index and the data of one kernel; data begin with a digest of their name and content."""

    def _load_index(self) -> Any:
        try:
            return super()._load_index()
        except OSError:
            raise
        except Exception:  # noqa: BLE001 - unpickling damaged bytes raises anything
            return {}

    def _save_data(self, name: str, data: Any) -> None:
        content = self._dump(data)
        with self._open_for_write(self._data_path(name)) as file:
            file.write(_checksum(name, content) + content)

    def _load_data(self, name: str) -> Any:
        data = Path(self._data_path(name)).read_bytes()
        content = data[_CHECKSUM_BYTES:]
        if data[:_CHECKSUM_BYTES] != _checksum(name, content):
            raise OSError(f"{name} is damaged")  # as if it were missing
        return pickle.loads(content)


def _checksum(name: str, content: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\0" + content).digest()
