"""Cameras and bundles that were changed over the API: kept in the state folder, so that they survive a restart.

A change lasts until the configuration file says something else about the same camera or bundle than it did when the
change was made.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from ..errors import PunctumError
from ..files.atomic import atomic_write
from .config.models import BundleConfig, CameraConfig, SiteConfig

FILE = "changes.json"
Part = Literal["cameras", "bundles"]
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ApiChanges:
    """The changes of one site.

    Args:
        path: Where they are kept.
    """

    path: Path
    entries: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    """Part -> name -> {"is": the new value or None for removed, "was": what the file says, or None}."""
    unsaved: bool = False
    """Whether the last attempt to write them failed."""

    @classmethod
    def load(cls, folder: Path) -> ApiChanges:
        """Read those of a state folder. Entries that cannot be read are left out, and said."""
        path = folder / FILE
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            entries = {
                part: {str(name): {"is": e["is"], "was": e["was"]} for name, e in record.get(part, {}).items()}
                for part in ("cameras", "bundles")
            }
        except FileNotFoundError:
            entries = {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.error("%s cannot be read (%s): changes over the API are not applied", path, error)
            with contextlib.suppress(OSError):
                path.rename(path.with_suffix(".damaged"))
            entries = {}
        return cls(path, entries)

    def applied(self, config: SiteConfig) -> SiteConfig:
        """A configuration of the file with the changes that still hold."""
        parts: dict[str, dict[str, Any]] = {}
        for part, kind in (("cameras", CameraConfig), ("bundles", BundleConfig)):
            values: dict[str, Any] = dict(getattr(config, part))
            for name, entry in self.entries.get(part, {}).items():
                if _plain(values.get(name)) != entry["was"]:
                    continue
                if entry["is"] is None:
                    values.pop(name, None)
                    continue
                try:
                    values[name] = kind.model_validate_json(json.dumps(entry["is"]))
                except ValidationError as error:
                    _log.error("%s %s: its change over the API cannot be used: %s", part[:-1], name, error)
            parts[part] = values
        return config.model_copy(update=parts)

    def differences(self, config: SiteConfig) -> list[str]:
        """What runs differently from a configuration of the file, one sentence each."""
        found = []
        for part, entries in sorted(self.entries.items()):
            values = getattr(config, part)
            for name, entry in sorted(entries.items()):
                if _plain(values.get(name)) != entry["was"]:
                    continue
                if entry["is"] is None:
                    how = "is in the file, and was removed over the API"
                elif entry["was"] is None:
                    how = "is not in the file, and was added over the API"
                else:
                    how = "differs from the file: it was changed over the API"
                found.append(f"{part[:-1]} {name} {how}")
        return found

    def removed(self, config: SiteConfig) -> list[str]:
        """Cameras of the file that were removed over the API."""
        entries = self.entries.get("cameras", {})
        return sorted(
            name
            for name, entry in entries.items()
            if entry["is"] is None and name in config.cameras and _plain(config.cameras[name]) == entry["was"]
        )

    def forget(self, config: SiteConfig) -> None:
        """Forget the changes that no longer hold, once a configuration of the file is in use."""
        for part, entries in self.entries.items():
            values = getattr(config, part)
            for name in [name for name, entry in entries.items() if _plain(values.get(name)) != entry["was"]]:
                _log.info("%s %s: the file has changed, and replaces the change over the API", part[:-1], name)
                del entries[name]

    def record(self, part: Part, before: Mapping[str, Any], after: Mapping[str, Any], file: Mapping[str, Any]) -> None:
        """Keep what differs between two versions of a part.

        Args:
            part: Which part.
            before: The running configuration.
            after: The new one.
            file: That of the file, without changes.
        """
        mine = self.entries.setdefault(part, {})
        for name in {*before, *after}:
            if before.get(name) == after.get(name):
                continue
            if after.get(name) == file.get(name):
                mine.pop(name, None)
            else:
                mine[name] = {"is": _plain(after.get(name)), "was": _plain(file.get(name))}

    def save(self) -> None:
        """Write them. If that is not possible, it is logged once, and they are `unsaved`: a start before they are would
        do without the changes."""
        try:
            atomic_write(self.path, json.dumps(self.entries, indent=1) + "\n")
        except PunctumError as error:
            if not self.unsaved:
                _log.error("[%s] changes over the API are not kept yet: %s; trying again", error.code, error.given)
            self.unsaved = True
            return
        if self.unsaved:
            _log.warning("changes over the API are kept")
        self.unsaved = False


def _plain(value: CameraConfig | BundleConfig | None) -> Any:
    return None if value is None else json.loads(value.model_dump_json(exclude_unset=True))
