"""Reports by HTTP POST, one request each, in order for each camera.

Headers of a request:

    Punctum-Id          CAMERA/EVENT/REVISION, the same whenever this report is sent again
    Punctum-Signature   t=UNIX,v1=HEX where there is a secret: HMAC-SHA-256 of "UNIX." and the body

An answer of 200 to 299 means received. Time-outs, 408, 425, 429, redirects, which are not followed, and 500 to 599 are
tried again, after Retry-After where the answer has it. Any other answer of 400 to 499 is a refusal for good.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import socket
import threading
import time
from email.utils import parsedate_to_datetime
from typing import Any

from ..._version import __version__
from ...credentials.redact import clean, redact
from ...errors import MissingDependencyError
from ...events.event import Event, Phase
from ...text.display import shown
from ..store.rows import Report
from .sink import BaseSink, Batch, Outcome
from .tls import TlsFiles

MOST_ANSWER_BYTES = 64 << 10
MOST_RETRY_S = 3600.0
MOST_FAILING = 3  # cameras in a row: then the receiver fails, and not a report
_AGAIN = (408, 425, 429)
_OBJECT = re.compile(r"^[\w.<]*\(host=[^)]*\)[^:]*: ")  # as urllib3 begins its texts
_SSL = re.compile(r"^\[[A-Z0-9_: ]+\] | \(_ssl\.c:\d+\)$")


class Webhook(BaseSink):
    """An HTTP endpoint.

    Args:
        name: Name of the sink.
        url: Where requests go.
        phases: Phases of the reports that are sent.
        timeout_s: Seconds until a request without an answer is given up.
        tls: Certificates.
        secret: Key of the signatures.

    Raises:
        MissingDependencyError: urllib3 is not installed.
    """

    kind, most = "webhook", 50

    def __init__(
        self,
        name: str,
        url: str,
        phases: tuple[Phase, ...],
        timeout_s: float,
        tls: TlsFiles,
        secret: str | None = None,
    ) -> None:
        try:
            import urllib3  # noqa: F401
        except ImportError:
            raise MissingDependencyError("urllib3", "serve", "a sink of type webhook") from None
        self.name, self._url, self._phases, self._timeout_s, self._tls = name, url, phases, timeout_s, tls
        self._secret = None if secret is None else secret.encode()
        self._pool: Any = None
        self._path, self._aborted = "/", False
        self._sockets: set[socket.socket] = set()
        self._stop = threading.Event()

    def wants(self, event: Event) -> bool:
        return event.phase in self._phases

    def deliver(self, batch: Batch) -> Outcome:
        outcome, failing = Outcome(), 0
        for row, report in batch:
            if self._stop.is_set():
                break
            if report.camera in outcome.blocked:
                continue
            status, why, retry_s = self._post(report)
            if 200 <= status < 300:
                outcome.delivered.append(row)
                failing = 0
            elif 400 <= status < 500 and status not in _AGAIN:
                outcome.refused.append((row, why))
                failing = 0
            else:
                outcome.error, failing = why, failing + 1
                if status == 0 or status in _AGAIN or retry_s is not None or failing >= MOST_FAILING:
                    outcome.blocked, outcome.retry_s = {}, retry_s  # all cameras wait
                    return outcome
                outcome.blocked[report.camera] = None
        return outcome

    def _post(self, report: Report) -> tuple[int, str, float | None]:
        """Send one report. Returns the status (0: no answer), what is wrong, and when to try again."""
        import urllib3

        event = report.event
        body = event.to_json().encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"punctum/{__version__}",
            "Punctum-Id": f"{report.camera}/{event.id}/{event.revision}".encode("ascii", "backslashreplace").decode(),
        }
        if self._secret is not None:
            headers["Punctum-Signature"] = signature(self._secret, int(time.time()), body)
        # The time-out of the library is that of a single read: a server that sends a byte now and then would hold the
        # thread for ever.
        self._aborted = False
        watch = threading.Timer(self._timeout_s + 0.5, self._abort)
        watch.daemon = True
        watch.start()
        try:
            answer = self._open().request(
                "POST", self._path, body=body, headers=headers, redirect=False, retries=False, preload_content=False
            )
            status, again = answer.status, answer.headers.get("Retry-After")
            text = answer.read(MOST_ANSWER_BYTES, decode_content=False)
            if len(text) >= MOST_ANSWER_BYTES:
                answer.close()  # the rest is not read
            answer.release_conn()
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return 0, f"{redact(self._url)} cannot be reached ({shown(clean(_reason(error)), 200)})", None
        finally:
            watch.cancel()
        if self._aborted:
            return 0, f"{redact(self._url)} does not complete its answer within {self._timeout_s:g} s", None
        if 300 <= status < 400:
            where = shown(redact(answer.headers.get("Location", "")), 100)
            return status, f"{redact(self._url)} answers {status}, to {where}: redirects are not followed", None
        said = shown(text[:200].decode(errors="replace").strip(), 120)
        return status, f"{redact(self._url)} answers {status}{f': {said}' if said else ''}", _seconds(again)

    def _open(self) -> Any:
        if self._pool is None:
            import urllib3
            from urllib3.connection import HTTPConnection, HTTPSConnection

            timeout = urllib3.Timeout(connect=self._timeout_s, read=self._timeout_s)
            url = urllib3.util.parse_url(self._url)
            host, port = url.host or "", url.port
            pool: Any
            if url.scheme == "https":
                context = self._tls.context()
                pool = urllib3.HTTPSConnectionPool(host, port, timeout=timeout, maxsize=1, ssl_context=context)
                pool.ConnectionCls = _watched(HTTPSConnection, self._sockets)
            else:
                pool = urllib3.HTTPConnectionPool(host, port, timeout=timeout, maxsize=1)
                pool.ConnectionCls = _watched(HTTPConnection, self._sockets)
            self._pool, self._path = pool, url.request_uri
        return self._pool

    def _abort(self) -> None:
        """End a request from outside."""
        self._aborted = True
        for one in list(self._sockets):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def interrupt(self) -> None:
        self._stop.set()
        self._abort()

    def close(self) -> None:
        if self._pool is not None:
            self._pool.close()
            self._pool = None


def _watched(base: type, sockets: set[socket.socket]) -> type:
    """A class of connections that adds its open sockets to a set."""

    def connect(self: Any) -> None:
        base.connect(self)  # type: ignore[attr-defined]
        sockets.add(self.sock)

    def close(self: Any) -> None:
        sockets.discard(self.sock)
        base.close(self)  # type: ignore[attr-defined]

    return type("Watched", (base,), {"connect": connect, "close": close})


def signature(secret: bytes, unix: int, body: bytes) -> str:
    """The value of the header Punctum-Signature."""
    digest = hmac.new(secret, b"%d." % unix + body, hashlib.sha256).hexdigest()
    return f"t={unix},v1={digest}"


def _seconds(text: str | None) -> float | None:
    """Seconds of Retry-After, which has a number or a date."""
    if text is None:
        return None
    try:
        if text.strip().isdigit():
            return min(float(text), MOST_RETRY_S)
        return min(max(parsedate_to_datetime(text).timestamp() - time.time(), 0.0), MOST_RETRY_S)
    except (ValueError, TypeError, OverflowError):
        return None


def _reason(error: BaseException) -> str:
    """Why there is no answer, without the names of classes that the text of the library begins with."""
    import urllib3

    chain: list[BaseException] = []
    one: BaseException | None = error
    while one is not None and len(chain) < 10:
        chain.append(one)
        inner = getattr(one, "reason", None)
        one = inner if isinstance(inner, BaseException) else one.__cause__ or one.__context__
    if any(isinstance(one, urllib3.exceptions.ReadTimeoutError) for one in chain):
        return "no answer in time"
    if any(isinstance(one, TimeoutError) for one in chain):
        return "no connection in time"
    for one in reversed(chain):
        verdict = getattr(one, "verify_message", "")
        if verdict:
            return f"its certificate is not accepted: {verdict}"
        if isinstance(one, OSError) and one.strerror:
            return _SSL.sub("", one.strerror)
    return _OBJECT.sub("", str(chain[-1])) or type(chain[-1]).__name__
