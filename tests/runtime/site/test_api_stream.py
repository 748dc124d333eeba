"""Streams of reports: resume, filters, slow clients, many clients, and the end of the service."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the API needs fastapi (extra serve)")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from punctum.runtime.site.api.models import ReportForm, ReportsForm

from tests.helpers import site_client
from tests.helpers.site_client import Stream, until
from tests.helpers.site_view import event

pytestmark = pytest.mark.slow

DAY = 1_790_000_000.0 // 86400 * 86400


def reported(site: site_client.Site, first: int, count: int, camera: str = "gate", **more: object) -> list[str]:
    events = [event(camera, k, at=DAY + k, **more) for k in range(first, first + count)]
    site.view.report(*events)
    return [one.id for one in events]


def ids(reports: list[dict]) -> list[str]:
    return [report["event"]["event"] for report in reports]


def test_reports_come_as_they_are_stored(sites):
    site = sites()
    reported(site, 0, 3)
    until(lambda: site.get("site")["last_report"] == 3)
    stream = Stream(site)
    assert stream.hello["last"] == 3 and not stream.hello["reset"]
    begun = time.monotonic()
    wanted = reported(site, 10, 2)
    found = stream.take(2)
    assert ids(found) == wanted and time.monotonic() - begun < 8
    for report in found:
        ReportForm.model_validate(report)
        assert site.get(f"events/{report['camera']}/{report['key']}")["id"] == report["event"]["event"]
    assert "text/event-stream" in stream.head and "no-store" in stream.head
    stream.close()


@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.integers(1, 400), min_size=1, max_size=4))
def test_a_stream_goes_on_where_it_was_cut(long_site, cuts):
    """Wherever the connection is cut, reports joined are all of them, once and in order."""
    site, wanted = long_site
    found: list[str] = []
    last = "0"
    for count in [*cuts, 10_000]:
        stream = Stream(site, last=last)
        left = len(wanted) - len(found)
        found += ids(stream.take(min(count, left))) if left else []
        last = stream.last
        stream.close()
    assert found == wanted


@pytest.fixture(scope="module")
def long_site(tmp_path_factory):
    """More reports than the hub keeps in memory, most of them from before it began."""
    folder = tmp_path_factory.mktemp("long")
    site = site_client.start(folder)
    wanted = reported(site, 0, 700)
    site.served.close()
    again = site_client.site_scenes.serve(site.view, site.media)
    site.served = again
    wanted += reported(site, 5000, 300)
    yield site, wanted
    site.stop()


def test_a_stream_goes_on_after_a_restart_of_the_service(sites):
    site = sites()
    stream = Stream(site)
    first = reported(site, 0, 5)
    assert ids(stream.take(5)) == first
    site.served.close()
    stream.close()
    missed = reported(site, 100, 4)
    site.served = site_client.site_scenes.serve(site.view, site.media, port=site.served.port)
    again = Stream(site, last=stream.last)
    assert ids(again.take(4)) == missed and again.hello["boot"] != stream.hello["boot"]
    again.close()


def test_positions_of_another_store(sites):
    old, new = sites(), sites()
    reported(old, 0, 2)
    stream = Stream(old, last="0")
    stream.take(2)
    stream.close()
    reported(new, 50, 5)
    until(lambda: new.get("site")["last_report"] == 5)
    other = Stream(new, last=stream.last)
    assert other.hello["reset"]
    wanted = reported(new, 60, 1)
    assert ids(other.take(1)) == wanted, "it goes on from now"
    other.close()
    ahead = Stream(new, last="999")
    assert ahead.hello["reset"]
    ahead.close()
    assert new.get(f"events/wait?after={stream.last}")["reset"]


@pytest.mark.parametrize("last", ["x", "-1", "1e3", "٣", "9" * 19, "1 2", "0x10", ".", "1;2"])
def test_positions_that_are_none(sites, last):
    from urllib.parse import quote

    site = sites()
    assert site.ask(f"events/stream?after={quote(last)}").status == 422
    assert site.ask(f"events/wait?after={quote(last)}").status == 422
    assert site.get("site")["last_report"] == 0


def test_filters(sites):
    site = sites()
    stream = Stream(site, "events/stream?camera=yard&label=open&min_score=0.5&phase=final&phase=retracted", last="0")
    reported(site, 0, 3)
    reported(site, 10, 1, "yard", label="close")
    reported(site, 20, 1, "yard", score=0.2)
    reported(site, 30, 1, "yard", phase="open", ended=False)
    wanted = reported(site, 40, 1, "yard") + reported(site, 50, 1, "yard", score=0.1, phase="retracted")
    assert ids(stream.take(2)) == wanted
    stream.close()


def test_what_a_client_was_told_of_is_concluded_whatever_its_score(sites):
    site = sites()
    scores = {1: (0.5, 0.3, 0.2), 2: (0.2, 0.3, 0.4), 3: (0.2, 0.6, 0.3)}
    phases = ("open", "update", "final")
    for revision, phase in enumerate(phases):
        for number, values in scores.items():
            reported(site, number, 1, score=values[revision], revision=revision, phase=phase, ended=phase == "final")

    until(lambda: site.get("site")["last_report"] == 9)

    def polled(query: str) -> list[tuple[int, str]]:
        found = site.get(f"events/wait?after=0&seconds=0&min_score=0.45{query}")["reports"]
        return [(int(r["event"]["event"].split("/")[2]), r["event"]["phase"]) for r in found]

    told = [(1, "open"), (1, "update"), (3, "update"), (1, "final"), (3, "final")]
    assert polled("") == told
    assert polled("&phase=open&phase=final") == [(1, "open"), (1, "final")]
    assert polled("&phase=final") == [], "they have been told of none of them"
    stream = Stream(site, "events/stream?min_score=0.45", last="4")  # behind the open ones, as after a reconnection
    assert ids(stream.take(3)) == ["gate/open/3/0", "gate/open/1/0", "gate/open/3/0"]
    stream.close()


def test_heartbeats_carry_the_position(sites):
    """Also for a client whose filter lets nothing through while others are busy."""
    site = sites(heartbeat_s=0.3)
    stream = Stream(site, "events/stream?camera=nowhere")
    halt = threading.Event()

    def busy() -> None:
        k = 0
        while not halt.wait(0.05):
            reported(site, k, 1)
            k += 1

    thread = threading.Thread(target=busy)
    thread.start()
    try:
        positions = []
        for kind, _ in stream.messages(beats=True):
            assert kind == "beat"
            positions.append(int(stream.last.partition(".")[0]))
            if len(positions) == 3:
                break
        assert positions == sorted(positions) and positions[-1] > positions[0]
    finally:
        halt.set()
        thread.join()
        stream.close()


def test_a_hundred_clients(sites):
    """All get everything; one more is refused; places come back."""
    site = sites(clients=100)
    streams = [Stream(site) for _ in range(100)]
    refused = Stream(site)
    assert refused.status == 503 and "retry-after: 5" in refused.head.lower()
    assert site.ask("events/wait?after=0").status == 503
    assert site.get("cameras")["cameras"], "other requests are not affected"
    begun = time.monotonic()
    wanted = reported(site, 0, 20)
    assert all(ids(stream.take(20)) == wanted for stream in streams)
    assert time.monotonic() - begun < 30
    for stream in [*streams, refused]:
        stream.close()
    until(lambda: site.ask("events/wait?after=0&seconds=0").status == 200)


def test_slow_clients_neither_grow_nor_hold_up_others(sites):
    site = sites(slow_s=1.0)
    slow = socket.socket()
    slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.connect((site.served.host, site.served.port))
    slow.sendall(f"GET /api/v1/events/stream HTTP/1.1\r\nHost: 127.0.0.1:{site.served.port}\r\n\r\n".encode())
    hub = site_client.until(lambda: _hub(site) if _hub(site).clients == 1 else None)
    quick = Stream(site)
    sent = 0
    for k in range(12):
        sent += len(reported(site, 500 * k, 500, label="x" * 150))
        assert len(quick.take(500)) == 500
    until(lambda: hub.clients == 1)  # the slow one was disconnected
    quick.close()
    slow.close()


def _hub(site: site_client.Site):
    import gc

    from punctum.runtime.site.api.hub import Hub

    return next(hub for hub in gc.get_objects() if isinstance(hub, Hub) and hub._view is site.view)


def test_the_service_ends_at_once_with_open_streams(sites):
    site = sites()
    streams = [Stream(site) for _ in range(20)]
    waiting = [threading.Thread(target=lambda: site.ask("events/wait?after=0&seconds=50")) for _ in range(3)]
    for thread in waiting:
        thread.start()
    until(lambda: _hub(site).clients == 23)
    begun = time.monotonic()
    site.served.close()
    assert time.monotonic() - begun < 10 and not site.served.running
    for stream in streams:
        with pytest.raises((EOFError, OSError)):
            stream.take(1)
        stream.close()
    for thread in waiting:
        thread.join(5)
        assert not thread.is_alive()


def test_long_poll(sites):
    site = sites()
    reported(site, 0, 5)
    page = site.get("events/wait?after=0&limit=3")
    ReportsForm.model_validate(page)
    assert len(page["reports"]) == 3
    page = site.get(f"events/wait?after={page['next']}")
    assert len(page["reports"]) == 2
    begun = time.monotonic()
    empty = site.get(f"events/wait?after={page['next']}&seconds=0.3")
    assert empty["reports"] == [] and empty["next"] == page["next"] and time.monotonic() - begun >= 0.3
    found: list[dict] = []
    thread = threading.Thread(target=lambda: found.append(site.get(f"events/wait?after={page['next']}&seconds=20")))
    thread.start()
    time.sleep(0.2)
    wanted = reported(site, 50, 1)
    thread.join(5)
    assert ids(found[0]["reports"]) == wanted


def test_head_of_a_stream_ends(sites):
    site = sites()
    assert site.ask("events/stream", "HEAD").status == 405
    until(lambda: _hub(site).clients == 0)


def test_a_store_that_fails_for_a_while(sites, monkeypatch):
    """Reports come when it works again; nothing is left out."""
    from punctum.runtime.errors import PunctumError

    site = sites()
    stream = Stream(site)
    good, failing = site.view.store.reports, [True]

    def reports(after: int, limit: int):
        if failing[0]:
            raise PunctumError("site-store", "The database is not readable")
        return good(after, limit)

    monkeypatch.setattr(site.view.store, "reports", reports)
    wanted = reported(site, 0, 3)
    time.sleep(0.3)
    failing[0] = False
    assert ids(stream.take(3)) == wanted
    stream.close()


def test_folder_is_not_needed(tmp_path: Path):
    """The folder of media may be missing."""
    site = site_client.start(tmp_path)
    site.media.rmdir()
    assert site.get("events")["events"] == []
    site.stop()
