"""GStreamer's Python bindings, also where only the Python of the system has them."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
from pathlib import Path

import pytest

SYSTEM = Path("/usr/lib/python3/dist-packages/gi")
PACKAGES = (
    "python3-gi gir1.2-gstreamer-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
)


def bindings(folder: Path) -> dict[str, str]:
    """Make `gi` importable, or skip the test. Returns the environment in which a child process can import it as well.

    The bindings of Debian are compiled for the Python of the system. Another build of the same version loads them as
    well, from a folder that holds nothing but a link to them.
    """
    environment = dict(os.environ)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    try:
        importlib.import_module("gi")
    except ImportError:
        if not (SYSTEM / f"_gi{suffix}").exists():
            pytest.skip(f"no GStreamer bindings for this Python; Debian packages: {PACKAGES}")
        if not (folder / "gi").exists():
            (folder / "gi").symlink_to(SYSTEM)
        sys.path.append(str(folder))
        importlib.invalidate_caches()
    if str(folder) in sys.path:
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (environment.get("PYTHONPATH"), str(folder))))
    return environment


def need(*elements: str) -> None:
    """Skip the test without these elements."""
    from punctum.runtime.video._gst import load_gst

    gst = load_gst()
    missing = [name for name in elements if gst.ElementFactory.find(name) is None]
    if missing:
        pytest.skip(f"GStreamer has no {', '.join(missing)}; Debian packages: {PACKAGES}")
