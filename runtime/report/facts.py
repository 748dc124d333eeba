"""Facts about the bundle and the machine: sections of names and values."""

from __future__ import annotations

import datetime
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..machine.cores import usable_cores
from ..text.display import counted

if TYPE_CHECKING:
    from ..bundle.reader import Bundle

Facts = Mapping[str, Mapping[str, object]]
"""Sections of names and values."""
_DIGESTS = ("training videos", "clicked")  # lists of what identifies videos and clicks, which nobody can read
_LIBRARIES = ("numpy", "numba", "onnxruntime", "onnxruntime-gpu", "av", "pydantic", "jinja2")


def bundle_facts(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Facts from the manifest of a bundle: sections of names and values."""
    m = bundle.manifest
    features = m.features.model_dump(exclude={"fingerprint"}, exclude_defaults=True)
    features |= {"dim": m.features.dim, "stride_s": m.features.stride_s}
    if m.features.fingerprint is not None:
        features |= {f"fingerprint {k}": v for k, v in m.features.fingerprint.model_dump().items() if v != ()}
    locator = {"receptive field, snippets": f"{m.locator.left} left, {m.locator.right} right"}
    backbone = getattr(m, "backbone", None)
    sections: dict[str, dict[str, Any]] = {
        "Identity": {"id": m.id, "name": m.name, "version": m.version, "schema": m.schema_version},
        "Classes": {counted(len(m.labels), "class", "classes"): ", ".join(m.labels)},
        "Features": {**features, **locator},
    }
    if backbone is not None:
        sections["Video backbone"] = flatten(backbone.model_dump(exclude_none=True))
    sections["Post-processing"] = flatten(m.post.model_dump())
    if m.precision:
        sections["Precision"] = flatten({k: v.model_dump(exclude_defaults=True) for k, v in m.precision.items()})
    if m.provenance:
        facts = flatten({k: v for k, v in m.provenance.items() if v is not None})
        sections["Provenance"] = {
            name: f"{len(value)} recorded" if isinstance(value, list) and name.endswith(_DIGESTS) else value
            for name, value in facts.items()
        }
    sections["Files"] = {
        name: f"{record.size / 1024:,.1f} KiB, sha256 {record.sha256[:16]}…" for name, record in m.files.items()
    }
    return sections


def machine_facts(*, device: str = "cpu", threads: int = 1, precision: str = "fp32") -> dict[str, dict[str, Any]]:
    """The machine of the measurements, without host name and user name, because reports are shared."""
    versions = {"punctum": _punctum(), "Python": f"{platform.python_implementation()} {platform.python_version()}"}
    for library in _LIBRARIES:
        try:
            versions[library] = metadata.version(library)
        except metadata.PackageNotFoundError:
            continue
    hardware: dict[str, object] = {
        "processor": _processor(),
        "usable cores": f"{usable_cores():g}",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()} ({platform.machine()})",
        "device used": device,
        "precision": precision,
        "engine threads": threads,
        "report created": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }
    return {"Machine": {k: v for k, v in hardware.items() if v}, "Versions": versions}


def flatten(record: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """Flatten nested mappings; names become "a / b"."""
    flat: dict[str, object] = {}
    for key, value in record.items():
        name = f"{prefix}{key}".replace("_", " ") if not prefix else f"{prefix} / {str(key).replace('_', ' ')}"
        if isinstance(value, Mapping):
            flat |= flatten(value, name) if value else {name: "none"}
        else:
            flat[name] = value
    return flat


def shown(value: object) -> str:
    """A value for display: short numbers, lists without brackets."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(v) for v in value) or "none"
    if value is None:
        return "none"
    return str(value)


def _punctum() -> str:
    from .._version import __version__

    return __version__


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory() -> str:
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return ""
    return f"{size / 2**30:.1f} GiB"
