"""The parts of a running site, as those see them that show its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from .config.load import LoadedSite
    from .config.models import BundleConfig, CameraConfig
    from .delivery.delivery import Delivery
    from .retention.keeper import Keeper
    from .store.store import Store
    from .supervisor.reload import Changes
    from .supervisor.supervisor import Supervisor


class SiteParts(Protocol):
    """A running site. Its methods may be called from any thread, and raise PunctumError."""

    loaded: LoadedSite
    store: Store
    retention: Keeper
    deliveries: dict[str, Delivery]
    supervisor: Supervisor
    waiting_for_start: tuple[str, ...]
    """Fields of the file that have changed, and need a new start of the service."""

    @property
    def differences(self) -> list[str]:
        """What runs differently from the file, since it was changed over the API."""
        ...

    @property
    def removed(self) -> list[str]:
        """Cameras of the file that were removed over the API."""
        ...

    @property
    def reported(self) -> Mapping[tuple[str, str, str], int]:
        """Reports since the start by camera, class and phase."""
        ...

    def change(self, change: Callable[[dict[str, CameraConfig]], dict[str, CameraConfig]]) -> Changes:
        """Change the cameras."""
        ...

    def change_bundle(self, name: str, bundle: BundleConfig) -> Changes:
        """Change a bundle."""
        ...

    def reload(self) -> Changes:
        """Read the configuration file again."""
        ...
