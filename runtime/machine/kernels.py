"""The kernels: which form of them runs and why, and the folders in which Numba caches those that it compiles."""

from __future__ import annotations

import os
from pathlib import Path

from .findings import Facts
from .host import Host

SECTION = "Kernels"


def examine_kernels(host: Host, facts: Facts) -> None:
    """The form of the kernels in this process; a problem where none can run."""
    from punctum import kernels

    try:
        form = kernels.form()
    except kernels.KernelsUnavailableError as error:
        facts.problem(SECTION, f"{error.given}; required: {error.required}", error.next_step, devices=("cpu", "cuda"))
        return
    named = "compiled ahead of time" if form.name == "compiled" else "compiled by Numba on first use"
    facts.record(SECTION, form=named, reason=form.reason, **({"CPU_level": form.level} if form.level else {}))
    if form.name == "jit":
        examine_cache(host, facts, package=Path(kernels.__path__[0]))


def examine_cache(host: Host, facts: Facts, *, package: Path) -> None:
    """The folder in which Numba caches compiled kernels. package: the folder of the kernels."""
    named = host.environ.get("NUMBA_CACHE_DIR", "")
    home = host.environ.get("XDG_CACHE_HOME") or (f"{host.environ['HOME']}/.cache" if host.environ.get("HOME") else "")
    folders = [*([Path(named)] if named else []), package / "__pycache__", *([Path(home) / "numba"] if home else [])]
    usable = next((folder for folder in folders if _writable(folder)), None)
    filled = [folder for folder in folders if any(folder.glob("punctum-*/*.nbi"))]
    count = len({file.name for folder in filled for file in folder.glob("punctum-*/*.nbi")})
    facts.record(SECTION, cache=str(usable) if usable else "none that can be written", cached_kernels=count)
    blocked = folders[:1] if named and not _writable(folders[0]) else [] if usable else folders
    if blocked and not set(blocked) & set(filled):
        facts.note(
            SECTION,
            f"{' or '.join(map(str, blocked))} cannot be written"
            + ("" if usable else ": every start compiles the kernels again (about half a minute)"),
            "set NUMBA_CACHE_DIR to a folder that this account may write, or to one that `punctum warm-up` has filled",
        )


def _writable(folder: Path) -> bool:
    """Whether files can be created in a folder, or the folder itself can be created."""
    while not folder.exists():
        if folder.parent == folder:
            return False
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
