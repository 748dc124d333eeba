"""`punctum serve`: a site from its configuration to a clean end."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

from ..errors import MissingDependencyError, PunctumError
from ..text.display import counted
from .config.check import check_site
from .config.load import LoadedSite
from .config.problems import SiteConfigError
from .logs import service_log
from .running import RunningSite

_log = logging.getLogger(__name__)


def need_site() -> None:
    """Raise MissingDependencyError without the libraries of the service."""
    libraries = ("yaml", "fastapi", "uvicorn", "urllib3", "prometheus_client")
    names = {"yaml": "PyYAML", "prometheus_client": "prometheus-client"}
    for library in libraries:
        try:
            __import__(library)
        except ImportError:
            raise MissingDependencyError(names.get(library, library), "serve", "punctum serve") from None


def serve_site(loaded: LoadedSite, path: Path, *, ready: Callable[[str], None], log_json: bool = False) -> None:
    """Run a site until SIGTERM or SIGINT; SIGHUP reads its configuration again.

    Args:
        loaded: The configuration.
        path: Its file, for messages.
        ready: Called with the address of the page.
        log_json: Log as JSON Lines.

    Raises:
        InputError: It cannot be started as it is configured.
        StoreDamagedError: The database was damaged while it ran. The next start repairs it: engines then do again what
            they had not stored, so that nothing but the damage is lost.
    """
    with service_log(as_json=log_json), _signals() as (stop, hangup):
        for warning in loaded.warnings:
            _log.warning("%s", warning)
        _warn(loaded)
        running = RunningSite(loaded)
        try:
            ready(running.start())
            _log.info("%s: serving %s", path, counted(len(loaded.config.cameras), "camera"))
            while not stop.wait(0.5):
                running.store.check()
                running.describe()
                if hangup.is_set():
                    hangup.clear()
                    _reload(running)
            _log.info("stopping")
        finally:
            running.close()


def _warn(loaded: LoadedSite) -> None:
    """Say what does not fit. The cameras and bundles that do fit run all the same."""
    try:
        check_site(loaded, lambda text: _log.warning("%s", text))
    except SiteConfigError as error:
        for problem in error.problems:
            _log.error("[%s] %s", problem.code, problem)


def _reload(running: RunningSite) -> None:
    try:
        running.reload()
    except PunctumError as error:
        _log.error("[%s] %s The running configuration stays.", error.code, error)


@contextlib.contextmanager
def _signals() -> Iterator[tuple[threading.Event, threading.Event]]:
    """Events that SIGTERM and SIGINT, and SIGHUP, set. A second SIGTERM or SIGINT ends the process at once."""
    stop, hangup = threading.Event(), threading.Event()

    def end(number: int, frame: FrameType | None) -> None:
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    signal.signal(signal.SIGHUP, lambda number, frame: hangup.set())
    try:
        yield stop, hangup
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
