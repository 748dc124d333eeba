"""A site without processes behind the API: its cameras and bundles are in memory, its events in a store."""

from __future__ import annotations

import io
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from punctum.runtime.errors import InputError
from punctum.runtime.events.event import Event
from punctum.runtime.site.api.view import (
    BundleView,
    CameraView,
    SinkView,
    SiteInfo,
    Tracks,
)
from punctum.runtime.site.config.models import BundleConfig, CameraConfig
from punctum.runtime.site.store.store import Store


def utc(unix: float) -> str:
    return datetime.fromtimestamp(unix, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event(camera: str, number: int, *, at: float, label: str = "open", score: float = 0.8, **more: Any) -> Event:
    """An event of three seconds at a Unix time; media time 0 is the beginning of that day."""
    day = at // 86400 * 86400
    given: dict[str, Any] = {
        **{"stream": camera, "id": f"{camera}/{label}/{number}/0", "revision": 0, "phase": "final", "label": label},
        **{"score": score, "start": at - day, "end": at - day + 3.0, "emitted_at": at - day + 5.0, "delay_s": 2.0},
        **{"bundle": "doors-1.0.0-0123", "start_utc": utc(at), "end_utc": utc(at + 3.0)},
    }
    return Event(**{**given, **more})


@dataclass
class MemorySite:
    """What the supervisor is for the API. Operations change what the lists tell, as they do in the service."""

    store: Store
    name: str = "yard"
    started: float = field(default_factory=time.time)
    degraded: tuple[str, ...] = ()
    changed_over_api: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    losses: dict[str, int] = field(default_factory=dict)
    views: dict[str, CameraView] = field(default_factory=dict)
    bundle_views: dict[str, BundleView] = field(default_factory=dict)
    sink_views: list[SinkView] = field(default_factory=list)
    track_views: dict[str, Tracks] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    slow_s: float = 0.0
    reloads: int = 0

    def add_camera(self, name: str, state: str = "running", **more: Any) -> None:
        config = more.pop("config", None) or CameraConfig(
            source=f"rtsp://user:secret@10.0.0.1/{name}", bundles=("doors",)
        )
        self.views[name] = CameraView(name, state, more.pop("why", ""), self.started, config, **more)

    def report(self, *events: Event, received: float | None = None) -> None:
        """Store reports. All of one camera are one transaction."""
        for camera in dict.fromkeys(one.stream for one in events):
            mine = [one for one in events if one.stream == camera]
            self.store.add(camera, "doors", mine, (), time.time() if received is None else received)

    def site(self) -> SiteInfo:
        return SiteInfo(self.name, "1.2.3", self.started, self.degraded, self.losses, self.changed_over_api)

    def cameras(self) -> list[CameraView]:
        return list(self.views.values())

    def removed_cameras(self) -> tuple[str, ...]:
        return self.removed

    def bundles(self) -> list[BundleView]:
        return list(self.bundle_views.values())

    def sinks(self) -> list[SinkView]:
        return self.sink_views

    def put_camera(self, name: str, config: CameraConfig) -> None:
        for bundle in config.bundles:
            if bundle not in self.bundle_views:
                raise InputError("site-bundle", f"There is no bundle {bundle!r}", "a bundle of the site", "add it")
        self.add_camera(name, "starting" if config.enabled else "off", config=config)

    def delete_camera(self, name: str) -> None:
        del self.views[name]

    def enable_camera(self, name: str, enabled: bool) -> None:
        view = self.views[name]
        config = view.config.model_copy(update={"enabled": enabled})
        self.views[name] = replace(
            view, state="running" if enabled else "off", why="" if enabled else "It is disabled", config=config
        )

    def restart_camera(self, name: str) -> None:
        self.views[name] = replace(self.views[name], state="starting", since_unix=time.time())

    def put_bundle(self, name: str, config: BundleConfig) -> None:
        self.bundle_views[name] = replace(self.bundle_views[name], next_id=config.path, next_version="2.0.0")

    def reload(self) -> None:
        self.reloads += 1

    def request_picture(self, camera: str) -> bytes | None:
        self.asked.append(camera)
        time.sleep(self.slow_s)
        return self.pictures.get(camera)

    def tracks(self, camera: str) -> Tracks | None:
        return self.track_views.get(camera)

    def metrics(self) -> tuple[bytes, str]:
        import prometheus_client as prom

        registry = prom.CollectorRegistry()
        prom.Gauge("punctum_cameras", "Cameras", registry=registry).set(len(self.views))
        return prom.generate_latest(registry), prom.CONTENT_TYPE_LATEST

    def alive(self) -> tuple[bool, str]:
        return True, "alive"

    def ready(self) -> tuple[bool, str]:
        waiting = [name for name, view in self.views.items() if view.state == "starting"]
        return not waiting, "ready" if not waiting else f"starting: {', '.join(waiting)}"


def jpeg(text: str, size: tuple[int, int] = (320, 180), shade: int = 90) -> bytes:
    """A JPEG with a text, made by matplotlib's writer of images."""
    import numpy as np
    from matplotlib import image

    rows = np.zeros((size[1], size[0], 3), np.uint8)
    rows[...] = shade
    rows[:: max(len(text), 2), :, 1] = 200
    rows[size[1] // 3 : size[1] // 2, : 10 + 7 * (sum(map(ord, text)) % 40), 0] = 230
    out = io.BytesIO()
    image.imsave(out, rows, format="jpg")
    return out.getvalue()
