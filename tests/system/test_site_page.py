"""The page of a site in headless Chromium: wall, timeline, review by keyboard, restarts, tokens, many cameras."""

from __future__ import annotations

import datetime
import http.client
import http.server
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the page needs fastapi (extra serve)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")
from punctum.runtime.site.api.http import Served
from selenium.webdriver.common.keys import Keys

from tests.helpers import site_scenes
from tests.helpers.site_view import MemorySite, event, jpeg
from tests.helpers.video_corpus import encode
from tests.system import browser as kit

pytest_plugins = ["tests.system.label_fixtures"]
pytestmark = pytest.mark.slow

LIVE = "return document.getElementById('link').textContent === 'Live'"
HOSTILE = "<img src=x onerror=alert(1)>&\"'</script>"
# Names of everything that can be used, as a screen reader gets them.
ROLES = {
    "button",
    "link",
    "slider",
    "combobox",
    "checkbox",
    "textbox",
    "listbox",
    "option",
    "image",
    "spinbutton",
    "Date",
}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    encode(folder / "clip.mp4", 100, size=(240, 320))
    (folder / "still.jpg").write_bytes(jpeg("still"))
    return folder


@pytest.fixture
def serve(browser: kit.Browser, media: Path, tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Serves sites; they end with the test."""
    running: list[tuple[MemorySite, list[Served]]] = []

    def start(view: MemorySite, **settings: Any) -> Served:
        served = site_scenes.serve(view, media, **settings)
        running.append((view, [served]))
        return served

    yield start
    browser.driver.get("about:blank")
    for view, all_served in running:
        for served in all_served:
            served.close()
        view.store.close()  # type: ignore[attr-defined]


def midnight() -> float:
    return datetime.datetime.now().replace(hour=0, minute=0, second=0, microsecond=0).timestamp()


def busy(folder: Path, media: Path, count: int = 40) -> tuple[MemorySite, list[Any]]:
    """A site with events from today. The newest ones have clips."""
    made = site_scenes.site(folder / "state")
    now = max(time.time(), midnight() + 600)
    events = site_scenes.fill(made, count, since=midnight(), until=now - 5, cameras=("gate", "yard-north", "hall"))
    site_scenes.with_clips(made, events[-8:], media / "clip.mp4", media / "still.jpg")
    site_scenes.gap(made, "hall", midnight() + 60, 240)
    site_scenes.sinks(made)
    made.track_views["gate"] = site_scenes.tracks()
    made.degraded = ("The disk is nearly full: no new clips are stored",)
    made.losses = {"frames": 31}
    return made, events


def opened(browser: kit.Browser, url: str, view: str = "cameras", size: str = "desktop", *, dark: bool = False) -> None:
    browser.driver.get("about:blank")
    browser.open(f"{url}#{view}", size, dark=dark)
    browser.wait(LIVE, seconds=20)


def complaints(browser: kit.Browser) -> list[str]:
    return [text for text in browser.complaints() if "ERR_CONNECTION_REFUSED" not in text]


def text(browser: kit.Browser, ident: str) -> str:
    return str(browser.run("return document.getElementById(arguments[0]).textContent", ident))


@pytest.mark.parametrize("size", ["phone", "tablet", "desktop"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_view_fits_and_can_be_read(browser, serve, media, tmp_path, size, dark):
    view, _ = busy(tmp_path, media)
    served = serve(view)
    for name in ("cameras", "events", "camera/gate", "camera/hall", "camera/nowhere", "site"):
        opened(browser, served.url, name, size, dark=dark)
        if name == "events":
            browser.wait("return document.querySelectorAll('.ev').length > 5")
            browser.keys("n")
            browser.wait("return !document.getElementById('event').hidden")
        time.sleep(0.4)
        wide = browser.run("return document.documentElement.scrollWidth")
        assert wide <= kit.SIZES[size][0], name
        seen, bad = browser.run(kit.CONTRAST)
        assert seen > 5 and bad == [], (name, bad)
        assert complaints(browser) == [], name
    assert all(address.startswith((served.url, "data:", "blob:", "about:")) for address in browser.requests())


@pytest.mark.parametrize("name", ["cameras", "events", "camera/gate", "site"])
def test_names_for_screen_readers(browser, serve, media, tmp_path, name):
    view, _ = busy(tmp_path, media)
    opened(browser, serve(view).url, name)
    if name == "events":
        browser.wait("return document.querySelectorAll('.ev').length > 5")
        browser.keys("n")
    time.sleep(0.5)
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    used = [n for n in tree if not n.get("ignored") and n.get("role", {}).get("value") in ROLES]
    assert len(used) > 4
    assert [n["role"]["value"] for n in used if not n.get("name", {}).get("value", "").strip()] == []
    headings = browser.run(
        "return [...document.querySelectorAll('h1,h2,h3')].filter((h) => h.getClientRects().length)"
        ".map((h) => h.tagName)"
    )
    assert headings[0] == "H1" and "H2" in headings[:2]


def test_the_wall_shows_states_and_new_events(browser, serve, tmp_path):
    view = site_scenes.site(tmp_path / "state")
    view.add_camera("hall", "lost", why=HOSTILE)
    served = serve(view)
    opened(browser, served.url)
    browser.wait("return document.querySelectorAll('.tile').length === 8")
    browser.wait("return [...document.querySelectorAll('.tile img')].filter((i) => i.naturalWidth).length === 2")
    shown = browser.run(
        "return Object.fromEntries([...document.querySelectorAll('.tile')].map((t) => "
        "[t.querySelector('.name').textContent, "
        "[t.querySelector('.badge').textContent, t.querySelector('.why').textContent]]))"
    )
    assert shown["gate"][0] == "Running" and shown["ramp"][0] == "Failed" and "signal 11" in shown["ramp"][1]
    assert HOSTILE in shown["hall"][1], "as text"
    view.report(event("gate", 7, at=time.time() - 3, label=HOSTILE))
    browser.wait("return [...document.querySelectorAll('.tile .last')].some((n) => n.textContent.includes('<img'))")
    view.add_camera("gate", degraded=True, why="40% of the media of the last minute is missing", missing_share=0.4)
    tile = "document.querySelector('.tile[data-camera=gate]')"
    browser.wait(f"return {tile}.querySelector('.badge').textContent === 'Degraded'", seconds=8)
    assert browser.run(f"return [{tile}.dataset.kind, {tile}.querySelector('.why').textContent]") == [
        "bad",
        "40% of the media of the last minute is missing",
    ]
    assert "1 degraded" in browser.run("return document.getElementById('wall-facts').textContent")
    view.add_camera("gate", "failed", why="The process ended")
    browser.wait("return document.querySelector('.tile[data-camera=gate] .badge').textContent === 'Failed'", seconds=8)
    del view.views["ramp"]
    browser.wait("return document.querySelectorAll('.tile').length === 7", seconds=8)
    assert complaints(browser) == [] and browser.run("return document.querySelectorAll('img[src=x]').length") == 0


def test_review_by_keyboard(browser, serve, media, tmp_path):
    """One key for each verdict; the next event follows by itself."""
    view, events = busy(tmp_path, media)
    newest = list(reversed(events))
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n")
    browser.wait("return document.getElementById('clip').readyState >= 2", seconds=20)
    assert browser.run("return document.getElementById('clip').loop")
    for key in ("r", "w"):
        browser.keys(key)
    browser.keys("c")
    browser.wait("return document.getElementById('classes').open")
    browser.keys("2")
    others = [label for label in site_scenes.LABELS if label != newest[2].label]
    browser.keys("e")
    browser.wait("return !document.getElementById('edges').hidden")
    browser.keys(Keys.BACKSPACE * 6, "-0.5", Keys.ENTER)

    def reviews() -> dict[str, Any]:
        return {row.event: row.review for row in view.store.reviews()}  # type: ignore[attr-defined]

    until = time.monotonic() + 10
    while len(reviews()) < 4 and time.monotonic() < until:
        time.sleep(0.05)
    found = [reviews()[one.id] for one in newest[:4]]
    assert [review.verdict for review in found] == ["right", "wrong", "class", "edges"]
    assert found[2].label == others[1]
    assert found[3].start == pytest.approx(newest[3].start - 0.5) and found[3].end == newest[3].end
    browser.keys("p")
    browser.wait("return document.getElementById('e-review').textContent.startsWith('Wrong edges')")
    browser.keys("u")
    browser.wait("return document.getElementById('e-review').textContent === 'Not reviewed'")
    assert len(reviews()) == 3
    browser.run("document.getElementById('f-todo').click()")
    browser.wait("return document.getElementById('list-facts').textContent === '37 events, 37 not reviewed'")
    browser.keys("?")
    browser.wait("return document.getElementById('help').open")
    assert "Wrong: there is no action" in text(browser, "help")
    assert complaints(browser) == []


def test_edges_are_taken_from_the_clip(browser, serve, media, tmp_path):
    view, events = busy(tmp_path, media)
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n", "e")
    browser.wait("return document.getElementById('clip').readyState >= 2", seconds=20)
    there = (
        "const v = document.getElementById('clip'); return !v.seeking && Math.abs(v.currentTime - arguments[0]) < 0.1"
    )
    seek = "const v = document.getElementById('clip'); v.pause(); v.currentTime = arguments[0]"
    for key, at in (("[", 0.4), ("]", 3.2)):
        browser.run(seek, at)
        browser.wait(there, at)
        browser.keys(key)
    browser.keys(Keys.ENTER)
    browser.wait("return document.getElementById('edges').hidden")
    until = time.monotonic() + 10
    while not view.store.reviews() and time.monotonic() < until:
        time.sleep(0.05)
    review = view.store.reviews()[0].review
    begin = max(events[-1].start - 1.0, 0.0)
    assert review.start == pytest.approx(begin + 0.4, abs=0.1) and review.end == pytest.approx(begin + 3.2, abs=0.1)


def test_the_timeline(browser, serve, media, tmp_path):
    view, events = busy(tmp_path, media)
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    span = "const d = document.getElementById('lanes-canvas').dataset; return [Number(d.from), Number(d.to)]"
    browser.keys("0")
    browser.wait(f"{span.replace('return', 'const s =')}; return s[0] === {midnight()} && s[1] - s[0] === 86400")
    browser.run("document.getElementById('lanes-canvas').focus()")
    browser.keys("+", "+", "+")
    browser.wait(f"{span.replace('return', 'const s =')}; return s[1] - s[0] < 30000")
    browser.keys(Keys.HOME)
    browser.wait(f"{span.replace('return', 'const s =')}; return s[0] === {midnight()}")
    browser.keys("0")
    browser.wait(f"{span.replace('return', 'const s =')}; return s[1] - s[0] === 86400")
    one = events[10]
    at = view.store.event(one.stream, one.id).start_unix
    row = list(site_scenes.STATES).index(one.stream)
    box = browser.box("#lanes-canvas")
    browser.click(box["x"] + (at - midnight()) / 86400 * box["w"] + 1, box["y"] + row * 38 + 30)
    browser.wait("return !document.getElementById('event').hidden")
    assert text(browser, "e-camera") == one.stream
    gap = browser.run(
        "const c = document.getElementById('lanes-canvas'), r = c.getBoundingClientRect();"
        "const clientX = r.left + (180 / 86400) * r.width, clientY = r.top + arguments[0];"
        "c.dispatchEvent(new PointerEvent('pointermove', {clientX, clientY}));"
        "return c.title",
        list(site_scenes.STATES).index("hall") * 38 + 28,
    )
    assert "camera-absent" in gap or "score" in gap
    browser.run("document.getElementById('b-day-before').click()")
    browser.wait("return document.getElementById('no-events').textContent === 'There is no event on this day.'")
    browser.run("document.getElementById('b-today').click()")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    assert complaints(browser) == []


def test_a_restart_of_the_service(browser, serve, media, tmp_path):
    """The page stays, says that it is not connected, and gets what it missed."""
    view, _ = busy(tmp_path, media)
    served = serve(view)
    opened(browser, served.url, "events")
    browser.wait("return document.getElementById('list-facts').textContent.startsWith('40 events')")
    browser.run("window.same = true")
    served.close()
    browser.wait("return document.getElementById('link').textContent.startsWith('Not connected')")
    view.report(*[event("gate", 900 + k, at=time.time() - 2 - k) for k in range(3)])
    again = site_scenes.serve(view, media, port=served.port)
    try:
        browser.wait(LIVE, seconds=20)
        browser.wait("return document.getElementById('list-facts').textContent.startsWith('43 events')", seconds=10)
        view.report(event("gate", 950, at=time.time() - 1))
        browser.wait("return document.getElementById('list-facts').textContent.startsWith('44 events')")
        assert browser.run("return window.same === true"), "it was not loaded again"
        assert complaints(browser) == []
    finally:
        again.close()


def test_tokens(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    served = serve(view, read_token="read-token-0123456789", operate_token="operate-token-0123456789")
    browser.open(f"{served.url}#events")
    browser.wait("return document.getElementById('login').open")
    enter = "document.getElementById('token').value = arguments[0]; document.querySelector('#login button').click()"
    browser.run(enter, "wrong-token-0123456789")
    browser.wait("return document.getElementById('login-wrong').textContent.includes('wrong')")
    assert browser.run("return document.querySelectorAll('.ev').length") == 0
    browser.run(enter, "read-token-0123456789")
    browser.wait(LIVE)
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n")
    browser.wait("return document.getElementById('e-role').textContent.includes('may only read')")
    assert browser.run("return document.getElementById('b-right').disabled && document.cookie === ''")
    browser.run("document.getElementById('b-logout').click()")
    browser.wait("return document.getElementById('login')?.open")
    browser.run(enter, "operate-token-0123456789")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n", "r")
    browser.wait("return document.getElementById('list-facts').textContent.includes('39 not reviewed')")


def test_many_cameras_and_events(browser, serve, tmp_path):
    """64 cameras with names of 63 characters, 5,000 events: the page stays small and quick."""
    from punctum.runtime.site.api.view import BundleView
    from punctum.runtime.site.store.store import Store

    view = MemorySite(Store.open(tmp_path / "state"), name="s" * 63)
    view.bundle_views["doors"] = BundleView("doors", "doors-1", "1.0.0", "running", site_scenes.LABELS)
    names = tuple(f"camera-{k:02d}-".ljust(63, "x") for k in range(64))
    for name in names:
        view.add_camera(name, picture=True)
        view.pictures[name] = jpeg(name)
    site_scenes.fill(view, 5000, since=midnight(), until=max(time.time(), midnight() + 600), cameras=names)
    served = serve(view)
    for size in ("phone", "desktop"):
        opened(browser, served.url, "events", size)
        browser.wait("return document.getElementById('list-facts').textContent.startsWith('5000 events')", seconds=40)
        assert browser.run("return document.querySelectorAll('.ev').length") < 60
        assert browser.run("return document.documentElement.scrollWidth") <= kit.SIZES[size][0]
        browser.run("document.getElementById('list').scrollTop = 1e9")
        browser.wait(
            "return [...document.querySelectorAll('.ev')].some((n) => n.getAttribute('aria-posinset') === '5000')"
        )
        opened(browser, served.url, "cameras", size)
        browser.wait("return document.querySelectorAll('.tile').length === 64")
        assert browser.run("return document.documentElement.scrollWidth") <= kit.SIZES[size][0]
        assert complaints(browser) == []
    begun = time.monotonic()
    asked = len(view.asked)
    time.sleep(2.0)
    assert len(view.asked) - asked <= 64 * (time.monotonic() - begun + 1)


def test_an_empty_site(browser, serve, tmp_path):
    from punctum.runtime.site.store.store import Store

    served = serve(MemorySite(Store.open(tmp_path / "state")))
    opened(browser, served.url)
    browser.wait("return !document.getElementById('no-cameras').hidden")
    opened(browser, served.url, "events")
    browser.wait("return !document.getElementById('no-events').hidden")
    browser.keys("n", "r", " ", "u", "e", "c")
    assert complaints(browser) == []


def test_one_camera(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    opened(browser, serve(view).url, "camera/gate")
    browser.wait("return document.getElementById('c-image').naturalWidth === 640", seconds=15)
    browser.wait("return !document.getElementById('c-track-part').hidden", seconds=15)
    browser.wait("return document.getElementById('c-legend').textContent.includes('carry')", seconds=15)
    browser.run("document.getElementById('b-disable').click()")
    browser.wait("return document.getElementById('c-state').textContent === 'Off'")
    assert not view.views["gate"].config.enabled
    browser.run("document.getElementById('b-enable').click()")
    browser.wait("return document.getElementById('c-state').textContent === 'Running'")
    browser.run("location.hash = '#camera/hall'")
    browser.wait("return document.getElementById('c-why').textContent.includes('no answer')")
    assert "check the camera" in text(browser, "c-next")
    browser.run("location.hash = '#camera/gate'")
    browser.run("document.querySelector('#c-events a').click()")
    browser.wait("return !document.getElementById('v-events').hidden && !document.getElementById('event').hidden")
    assert text(browser, "e-camera") == "gate"


class Proxy(http.server.BaseHTTPRequestHandler):
    """A reverse proxy that puts the service below /cams/."""

    protocol_version = "HTTP/1.1"
    port = 0

    def do_GET(self) -> None:
        self.close_connection = True
        if not self.path.startswith("/cams/"):
            self.send_error(404)
            return
        size = int(self.headers.get("Content-Length") or 0)
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "content-length")}
        inner = http.client.HTTPConnection("127.0.0.1", self.port)
        inner.request(self.command, self.path[5:], self.rfile.read(size) or None, headers)
        answer = inner.getresponse()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            while data := answer.read1(65536):
                self.wfile.write(data)
                self.wfile.flush()
        except OSError:
            pass
        inner.close()

    do_POST = do_DELETE = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing."""


def test_behind_a_reverse_proxy_with_a_prefix(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    served = serve(view, read_token="read-token-0123456789", operate_token="operate-token-0123456789")
    handler = type("Handler", (Proxy,), {"port": served.port})
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    proxy.daemon_threads = True
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    try:
        browser.open(f"http://127.0.0.1:{proxy.server_address[1]}/cams/#events")
        browser.wait("return document.getElementById('login').open")
        enter = "document.getElementById('token').value = arguments[0]; document.querySelector('#login button').click()"
        browser.run(enter, "operate-token-0123456789")
        browser.wait(LIVE)
        browser.wait("return document.querySelectorAll('.ev').length > 5")
        browser.keys("n", "w")
        browser.wait("return document.getElementById('list-facts').textContent.includes('39 not reviewed')")
        view.report(event("gate", 951, at=time.time() - 1))
        browser.wait("return document.getElementById('list-facts').textContent.startsWith('41 events')")
        cookies = browser.driver.execute_cdp_cmd("Network.getAllCookies", {})["cookies"]
        assert [c["path"] for c in cookies if c["name"] == "punctum_site" and c["path"].startswith("/cams")] == [
            "/cams/api/v1"
        ]
    finally:
        browser.driver.get("about:blank")
        proxy.shutdown()
        proxy.server_close()
        browser.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})
