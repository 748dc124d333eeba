"""A running site: its processes, outputs, store and server, and changes of its configuration."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError, PunctumError
from ..text.display import counted
from .changes import ApiChanges, Part
from .config.changed import other_changes
from .config.check import check_site
from .config.load import LoadedSite, load_site, site_of
from .config.models import BundleConfig, CameraConfig, SiteConfig
from .config.problems import SiteConfigError
from .supervisor.reload import Changes, reload
from .supervisor.supervisor import STOP_S, Supervisor, bundle_ids

if TYPE_CHECKING:
    from .delivery.delivery import Delivery
    from .delivery.sink import CameraInfo
    from .store.rows import Report
    from .store.store import Store

_log = logging.getLogger(__name__)
MOST_SERIES = 5000
FIXED = ("state", "http")  # what a running service cannot take over


class RunningSite:
    """A site that runs. `close` ends everything in order.

    Args:
        loaded: The configuration.

    Raises:
        InputError: The state folder is in use, or an address is taken.
    """

    def __init__(self, loaded: LoadedSite) -> None:
        from .delivery.delivery import Delivery
        from .delivery.make import make_sink
        from .retention.keeper import Keeper
        from .retention.retention import Housekeeper
        from .store.store import Store
        from .view import View

        self._file = loaded
        self._changes = ApiChanges.load(loaded.state)
        self.loaded = loaded = self._with_changes(loaded)
        self._changes.forget(self._file.config)
        self._say_differences()
        self.waiting_for_start: tuple[str, ...] = ()
        self.reported: Counter[tuple[str, str, str]] = Counter()
        self._changing = threading.Lock()
        self._described: dict[str, tuple[Delivery, dict[str, CameraInfo]]] = {}
        self._closers = contextlib.ExitStack()
        with contextlib.ExitStack() as stack:
            state = loaded.state
            stack.callback(os.close, _lock(state))
            self.store: Store = Store.open(state)
            stack.callback(self.store.close)
            for name in self.store.known_sinks():
                if name not in loaded.config.sinks:  # removed from the file while the service did not run
                    self._forget_sink(name)
            self.retention = Keeper(Housekeeper(self.store, loaded.config.retention, state / "media"))
            self.deliveries: dict[str, Delivery] = {}
            stack.callback(self._close_deliveries)
            for name, config in loaded.config.sinks.items():
                self.deliveries[name] = Delivery(self.store, make_sink(name, config, loaded.folder))
            self.supervisor = Supervisor(
                loaded, self.store, state, stored=self._stored, media_refused=self.retention.refused
            )
            if self.store.outbox_lost:
                self._send_again()
            self.view = View(self)
            self._closers = stack.pop_all()

    def start(self) -> str:
        """Start everything. Returns the address of the page."""
        from .api.app import create_app
        from .api.http import serve_http
        from .api.settings import ApiSettings
        from .config.addresses import parse_listen

        self.retention.start()
        self._closers.callback(self.retention.close)
        for delivery in self.deliveries.values():
            delivery.start()
        http, secret = self.loaded.config.http, self.loaded.secret
        settings = ApiSettings(
            self.loaded.state / "media",
            read_token=secret(http.tokens.read) or "",
            operate_token=secret(http.tokens.operate) or "",
            hosts=http.hosts,
            clients=http.clients,
        )
        host, port = parse_listen(http.listen) or ("127.0.0.1", 8700)
        server = serve_http(create_app(self.view, settings), host, port, clients=http.clients)
        self._closers.callback(server.close)
        self.supervisor.start()
        self._closers.callback(self._stop_supervisor)
        return server.url

    def close(self) -> None:
        """End all processes, then the outputs, then the store. May be called more than once."""
        self._closers.close()

    def describe(self) -> None:
        """Tell the outputs which cameras there are and which of them run, where that has changed."""
        from .delivery.sink import CameraInfo

        def look() -> dict[str, CameraInfo]:
            units = self.supervisor.units
            found = {}
            for name, unit in units.cameras.items():
                labels = [label for engine in units.engines_of(unit) for label in engine.ready.get("labels", ())]
                chosen = unit.config.labels or tuple(dict.fromkeys(labels))
                found[name] = CameraInfo(chosen, unit.state == "running")
            return found

        self._keep_changes()
        with contextlib.suppress(PunctumError):
            cameras = self.supervisor.call(look)
            for name, delivery in list(self.deliveries.items()):
                if self._described.get(name) != (delivery, cameras):
                    self._described[name] = (delivery, cameras)
                    delivery.describe(cameras)

    def _keep_changes(self) -> None:
        """Write the changes over the API that could not be written when they were made."""
        if self._changes.unsaved and self._changing.acquire(blocking=False):
            try:
                self._changes.save()
            finally:
                self._changing.release()

    def reload(self) -> Changes:
        """Read the configuration file again, and restart what changed. Raises InputError; then nothing has changed."""
        path = self.loaded.path
        if path is None:
            raise InputError(
                "site-reload", "The configuration does not come from a file", next_step="change it directly"
            )
        with self._changing:
            read = load_site(path)
            file = self._without_fixed(read)
            before = self.loaded.config
            changes = self._take(self._with_changes(file))
            self._file = file
            self._changes.forget(file.config)
            self._changes.save()
        for delivery in self.deliveries.values():
            delivery.reopen()
        others = other_changes(before, self.loaded.config)
        any_part = any(getattr(changes, field.name) for field in fields(changes))
        parts = [str(changes)] if any_part or not others else []
        _log.info("configuration read: %s", "; ".join([*parts, *others]))
        self._say_differences()
        return changes

    @property
    def differences(self) -> list[str]:
        """What runs differently from the file, since it was changed over the API."""
        return self._changes.differences(self._file.config)

    @property
    def removed(self) -> list[str]:
        """Cameras of the file that were removed over the API."""
        return self._changes.removed(self._file.config)

    def _say_differences(self) -> None:
        for difference in self.differences:
            _log.warning("%s, until its entry in the file changes", difference)

    def change(self, change: Callable[[dict[str, CameraConfig]], dict[str, CameraConfig]]) -> Changes:
        """Change the cameras. Raises InputError; then nothing has changed."""
        return self._change("cameras", lambda config: change(dict(config.cameras)))

    def change_bundle(self, name: str, bundle: BundleConfig) -> Changes:
        """Change a bundle. Raises InputError; then nothing has changed."""
        return self._change("bundles", lambda config: {**config.bundles, name: bundle})

    def _change(self, part: Part, change: Callable[[SiteConfig], Mapping[str, object]]) -> Changes:
        with self._changing:
            before = self.loaded
            config = before.config.model_copy(update={part: change(before.config)})
            checked = replace(site_of(config, before.folder), path=before.path)
            _refuse_unfit(part, before, checked)
            changes = self._take(checked)
            old, new = getattr(before.config, part), getattr(checked.config, part)
            self._changes.record(part, old, new, getattr(self._file.config, part))
            self._changes.save()
        _log.info("changed over the API: %s", changes)
        return changes

    def _with_changes(self, file: LoadedSite) -> LoadedSite:
        """The configuration of the file, with the changes over the API that still hold."""
        config = self._changes.applied(file.config)
        if config == file.config:
            return file
        try:
            return replace(site_of(config, file.folder), path=file.path, warnings=file.warnings)
        except SiteConfigError as error:
            _log.error("[%s] %s Changes over the API do not fit the file, and are not applied.", error.code, error)
            return file

    def _without_fixed(self, read: LoadedSite) -> LoadedSite:
        """The configuration with those fields as they are that only a new start of the service can take over."""
        now = self.loaded.config
        self.waiting_for_start = tuple(field for field in FIXED if getattr(now, field) != getattr(read.config, field))
        for field in self.waiting_for_start:
            _log.warning("`%s` has changed: that is taken over at the next start of the service", field)
        config = read.config.model_copy(update={field: getattr(now, field) for field in FIXED})
        return replace(read, config=config)

    def _take(self, loaded: LoadedSite) -> Changes:
        from .delivery.delivery import Delivery
        from .delivery.make import make_sink

        before, after = self.loaded.config, loaded.config
        ids = bundle_ids(loaded)
        _refuse_unreadable(before, loaded, ids)
        changed = [name for name in before.sinks if after.sinks.get(name) != before.sinks[name]]
        fresh = [name for name in after.sinks if name not in before.sinks or name in changed]
        sinks = {name: make_sink(name, after.sinks[name], loaded.folder) for name in fresh}
        made = {name: Delivery(self.store, sink) for name, sink in sinks.items()}
        changes = self.supervisor.call(lambda: reload(self.supervisor, loaded, ids), 30.0)
        self.loaded = loaded
        self.retention.housekeeper.config = after.retention
        for name in changed:
            self.deliveries.pop(name).stop()
            if name not in after.sinks:
                self._forget_sink(name)
        for name, delivery in made.items():
            self.deliveries[name] = delivery
            delivery.start()
        return changes

    def _forget_sink(self, name: str) -> None:
        try:
            number = self.store.forget_sink(name)
        except PunctumError as error:  # the next start does it
            _log.error("[%s] what waits for output %s is not deleted: %s", error.code, name, error.given)
            return
        if number:
            waiting = counted(number, "report")
            _log.warning("output %s is no longer configured; what waited for it is deleted: %s", name, waiting)

    def _stored(self, reports: Sequence[Report]) -> None:
        for report in reports:
            key = (report.camera, report.event.label, report.event.phase)
            if key in self.reported or len(self.reported) < MOST_SERIES:
                self.reported[key] += 1
        self.view.reported(reports)

    def _send_again(self) -> None:
        """Send the latest reports again to outputs that skip known ones: it is unknown which of them were waiting."""
        from .delivery.jsonl import READ_BACK

        config = self.loaded.config
        for name, sink in config.sinks.items():
            if sink.type == "jsonl":
                cameras = [key for key, one in config.cameras.items() if one.sinks is None or name in one.sinks]
                number = self.store.send_again(name, cameras, READ_BACK // 2)
                _log.warning("sink %s: %s are compared with the file", name, counted(number, "report"))

    def _stop_supervisor(self) -> None:
        # What engines have to report cannot be stored in a damaged database: waiting for it would only prolong the
        # time without cameras. They do it again after the next start, as after a kill.
        self.supervisor.stop(timeout_s=STOP_S if self.store.intact else 0.5)

    def _close_deliveries(self) -> None:
        for delivery in self.deliveries.values():
            delivery.stop()


def _refuse_unreadable(before: SiteConfig, loaded: LoadedSite, ids: Mapping[str, str]) -> None:
    """Raise InputError where another bundle is to take over that cannot be read: the running one would stay anyway."""
    from ..bundle.reader import Bundle

    for name, config in loaded.config.bundles.items():
        if name not in ids and before.bundles.get(name) != config:
            Bundle.load(loaded.bundle_path(name))


def _refuse_unfit(part: Part, before: LoadedSite, after: LoadedSite) -> None:
    """Raise InputError where something that a request changes does not fit the bundles."""
    old, new = getattr(before.config, part), getattr(after.config, part)
    changed = [name for name in new if old.get(name) != new[name]]
    try:
        check_site(after)
    except SiteConfigError as error:
        for problem in error.problems:
            if any(problem.given.startswith(f"{part}.{name}.") for name in changed):
                raise problem from None


def _lock(state: Path) -> int:
    """Make the state folder, and lock it. Returns the descriptor that holds the lock."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        handle = os.open(state / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise InputError(
            "site-state",
            f"The state folder {state} cannot be used ({error.strerror})",
            required="a folder that this user may write to",
            next_step="change `state`, or the permissions of the folder",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(handle)
        raise InputError(
            "site-in-use",
            f"Another process serves a site with the state folder {state}",
            required="one service per state folder",
            next_step="end the other service, or change `state`",
        ) from None
    return handle
