"""A new configuration takes the place of the running one: only what changed is started again."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .engine_unit import EngineUnit
from .supervisor import Supervisor

if TYPE_CHECKING:
    from ..config.load import LoadedSite
    from ..config.models import CameraConfig

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reload has changed, by name."""

    added: tuple[str, ...]
    removed: tuple[str, ...]
    restarted: tuple[str, ...]
    replaced: tuple[str, ...]
    """Bundles of which another version takes over."""

    def __str__(self) -> str:
        parts = [
            f"{what}: {', '.join(names)}"
            for what, names in (
                ("cameras added", self.added),
                ("cameras removed", self.removed),
                ("cameras started again", self.restarted),
                ("bundles replaced", self.replaced),
            )
            if names
        ]
        return "; ".join(parts) or "nothing has changed"


def reload(supervisor: Supervisor, loaded: LoadedSite, ids: Mapping[str, str]) -> Changes:
    """Take over a checked configuration. Call it in the control thread.

    Args:
        supervisor: The running supervisor.
        loaded: The configuration.
        ids: Bundle id by name of bundle, as the files are now; those that cannot be read are left out.
    """
    units = supervisor.units
    before, after = units.loaded.config, loaded.config
    units.loaded = loaded
    replaced = [name for name in after.bundles if name in before.bundles and _other(supervisor, name, ids.get(name))]
    removed = [name for name in before.cameras if name not in after.cameras]
    added = [name for name in after.cameras if name not in before.cameras]
    changed = [n for n in after.cameras if n in before.cameras and after.cameras[n] != before.cameras[n]]
    for name in removed + changed:
        if name in units.cameras:
            supervisor.remove_camera(name, _reason(after.cameras.get(name)))
    for name, bundle in after.bundles.items():
        if name not in before.bundles:
            supervisor.add_engine(name, bundle, bundle_id=ids.get(name))
        elif name in replaced:
            replace_bundle(supervisor, name, ids.get(name))
    for name in added + changed:
        supervisor.add_camera(name, after.cameras[name])
    for name in before.bundles:
        if name not in after.bundles:
            _remove_bundle(supervisor, name)
    return Changes(tuple(added), tuple(removed), tuple(changed), tuple(replaced))


def _reason(config: CameraConfig | None) -> str:
    if config is None:
        return "removed"
    return "changed" if config.enabled else "disabled"


def replace_bundle(supervisor: Supervisor, name: str, bundle_id: str | None) -> EngineUnit:
    """Start another version of a bundle, which takes over from the running one once it is ready."""
    units = supervisor.units
    versions = [engine for engine in units.engines.values() if engine.bundle == name]
    current = units.engines.get(units.current.get(name, ""))
    for engine in versions:
        if current is not None and engine.version > current.version:  # it has not begun to take over, and never will
            _end(supervisor, engine)
    version = units.versions.get(name, 0) + 1  # never one that was used, whose process may still end
    return supervisor.add_engine(name, units.loaded.config.bundles[name], version=version, bundle_id=bundle_id)


def _other(supervisor: Supervisor, name: str, bundle_id: str | None) -> bool:
    """Whether the bundle that the configuration names is another one than the one that runs: other options, another
    place, or other content in the same place."""
    units = supervisor.units
    versions = [engine for engine in units.engines.values() if engine.bundle == name]
    if not versions:
        return True
    engine = max(versions, key=lambda e: e.version)  # one that is still loading counts
    path = units.loaded.bundle_path(name)
    if engine.config != units.loaded.config.bundles[name] or str(path) != str(engine.path):
        return True
    known = engine.ready.get("bundle_id")
    return known is not None and bundle_id is not None and known != bundle_id


def _remove_bundle(supervisor: Supervisor, name: str) -> None:
    for engine in [e for e in supervisor.units.engines.values() if e.bundle == name]:
        _end(supervisor, engine)
    supervisor.units.current.pop(name, None)


def _end(supervisor: Supervisor, engine: EngineUnit) -> None:
    engine.set_state("stopping")
    engine.send({"type": "stop", "flush": True})
    supervisor.units.engines.pop(engine.key, None)
