"""Versions of bundles that ran when the service ended."""

from __future__ import annotations

import contextlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path

from ...errors import PunctumError
from ..config.models import BundleConfig

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Version:
    """A version that can be run again: its files still are what they were."""

    config: BundleConfig
    path: Path
    id: str


def earlier_versions(folder: Path) -> dict[str, list[Version]]:
    """The versions that ran last, by name of the bundle, oldest first; those that cannot be read are left out.

    Args:
        folder: The state folder.
    """
    from ...bundle.reader import Bundle

    try:
        record = json.loads((folder / "versions.json").read_text(encoding="utf-8"))
        found: dict[str, list[Version]] = {}
        for name, entries in record.items():
            for entry in entries:
                config = BundleConfig.model_validate_json(json.dumps(entry["config"]))
                found.setdefault(name, []).append(Version(config, Path(entry["path"]), str(entry["id"])))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        _log.warning("%s cannot be read (%s): handovers do not go on", folder / "versions.json", error)
        return {}
    for name, versions in found.items():
        usable = []
        for version in versions:
            with contextlib.suppress(PunctumError):
                if Bundle.load(version.path).id == version.id:
                    usable.append(version)
        found[name] = usable
    return found
