"""The report in headless Chromium: renders from disk, no error, no network, and works by pointer, touch and keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jinja2", reason="a report needs jinja2 (extra report)")
pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
from punctum.runtime import Bundle
from punctum.runtime.report import Action, Thumbnail, encode_jpeg, report_dataset, report_recording, write_report
from punctum.runtime.synthetic.sensors import LABELS, make_sequence, write_demo_dataset

from tests.system import browser as kit

pytestmark = pytest.mark.slow

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = shutil.which("chromedriver")
if BROWSER is None or DRIVER is None:
    pytest.skip("no chromium and chromium-driver (Debian packages)", allow_module_level=True)

NASTY = "</script><script>document.title='broken'</script>" + "very-long-name" * 12


Browser, SIZES = kit.Browser, kit.SIZES


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    from selenium.common.exceptions import WebDriverException

    try:
        made = Browser(tmp_path_factory.mktemp("profile"), program=BROWSER, driver=DRIVER)
    except WebDriverException as error:
        pytest.skip(f"Chromium does not start here: {str(error)[:200]}")
    yield made
    made.driver.quit()


def pictures(seconds: float) -> tuple[Thumbnail, ...]:
    try:
        shades = (np.full((48, 80, 3), 10 * k % 256, np.uint8) for k in range(int(seconds)))
        return tuple(Thumbnail(float(k), encode_jpeg(image)) for k, image in enumerate(shades))
    except Exception as error:  # noqa: BLE001 - without PyAV the other tests still mean something
        assert "av" in str(error)
        return ()


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> dict[str, Path]:
    """recording, plain (nothing but events), nasty (names that attack), dataset, hour."""
    folder = tmp_path_factory.mktemp("pages")
    bundle = Bundle.load(str(resources.files("punctum.runtime") / "assets" / "demo"))
    made: dict[str, Any] = {}
    for name, seconds in (("recording", 60.0), ("hour", 3600.0)):
        sequence = make_sequence(123, seconds=seconds)
        np.save(folder / f"{name}.npy", sequence.features)
        truth = [Action(LABELS[c], a, b) for c, a, b in sequence.actions]
        report = report_recording(
            bundle, folder / f"{name}.npy", truth=truth, max_delay_s=1.0 if seconds < 100 else None
        )
        made[name] = replace(report, thumbnails=pictures(60.0) if name == "recording" else ())
    made["plain"] = replace(made["recording"], truth=None, tracks=(), proposals=(), thumbnails=(), stages={})
    names = {label: f"{NASTY}{k}" for k, label in enumerate(LABELS)}
    made["nasty"] = replace(
        made["recording"],
        title=NASTY,
        source=NASTY,
        labels=tuple(names.values()),
        events=tuple(replace(e, label=names[e.label], id=NASTY + e.id) for e in made["recording"].events),
        truth=tuple(replace(a, label=names[a.label]) for a in made["recording"].truth),
        proposals=tuple(replace(c, label=names[c.label]) for c in made["recording"].proposals),
        bundle={NASTY: {NASTY: NASTY}},
        notes=(NASTY,),
    )
    write_demo_dataset(folder / "data", videos=8, seed=3, seconds=30.0)
    made["dataset"] = report_dataset(bundle, folder / "data", subset="train")
    nasty = tuple(replace(judged, name=f"{NASTY}{k}") for k, judged in enumerate(made["dataset"].recordings))
    made["nasty-dataset"] = replace(made["dataset"], title=NASTY, recordings=nasty)
    for name, report in made.items():
        write_report(folder / f"{name}.html", report)
    return {name: folder / f"{name}.html" for name in made}


ALL = ("recording", "plain", "nasty", "dataset", "nasty-dataset", "hour")


@pytest.mark.parametrize("name", ALL)
def test_renders_without_error_and_without_network(browser, pages, name):
    browser.open(pages[name])
    browser.wait("return document.readyState === 'complete'")
    drawn = "tbody tr, .chart" if "dataset" in name else "#events tbody tr"
    assert browser.run(f"return document.querySelectorAll('{drawn}').length") > 0
    if "dataset" not in name:
        browser.view()
        assert browser.run("return document.querySelectorAll('.ev').length") > 0
    assert browser.complaints() == []
    asked = browser.requests()
    assert asked[0].startswith("file://")
    assert all(url == asked[0] or url.startswith("data:") for url in asked), asked
    assert browser.driver.title != "broken"


def test_the_policy_stops_the_network(browser, pages):
    browser.open(pages["recording"])
    script = "const done = arguments[0]; fetch('http://127.0.0.1:9/').then(() => done('sent'), () => done('refused'))"
    assert browser.driver.execute_async_script(script) == "refused"
    assert any("Content Security Policy" in text for text in browser.complaints())


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", ALL)
def test_nothing_overflows(browser, pages, name, size):
    browser.open(pages[name], size)
    width = SIZES[size][0]
    assert browser.run("return [document.documentElement.scrollWidth, window.innerWidth]") == [width, width]
    script = (
        "return [...document.querySelectorAll('main *, header *')].filter(n => !n.closest('.scroll, svg.chart, "
        "svg.defs, .plot, .overview, details:not([open])') && n.getClientRects().length && "
        "n.getBoundingClientRect().right > innerWidth + 0.5).map(n => n.tagName + '.' + n.className).slice(0, 5)"
    )
    assert browser.run(script) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("name", ["recording", "dataset"])
def test_contrast(browser, pages, name, dark):
    browser.open(pages[name], dark=dark)
    if name == "recording":
        browser.run("document.querySelector('#events tbody button').click()")
        browser.wait("return document.querySelector('#detail h3')")
    browser.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    ground = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(x) for x in ground[4:-1].split(",")) < 150) == dark
    seen, bad = browser.run(kit.CONTRAST)
    assert seen > 100
    assert bad == []
    assert min(browser.run(kit.CLASS_CONTRAST)) >= 3.0


def test_hover_shows_details(browser, pages):
    browser.open(pages["recording"])
    browser.view()
    assert browser.run("return document.getElementById('tip').hidden")
    place = browser.box(".ev .body")
    label = browser.run("return document.querySelector('.ev').getAttribute('aria-label')")
    browser.mouse("mouseMoved", place["x"] + place["w"] / 2, place["y"] + place["h"] / 2)
    browser.wait("return !document.getElementById('tip').hidden")
    text = browser.run("return document.getElementById('tip').innerText")
    assert label.split(",")[0] in text
    assert "score" in text
    assert "delay" in text
    plot = browser.box(".band .plot")
    browser.mouse("mouseMoved", plot["x"] + plot["w"] - 3, plot["y"] + plot["h"] - 4)
    browser.wait("return !document.getElementById('tip').innerText.includes('delay')")
    assert any(name in browser.run("return document.getElementById('tip').innerText") for name in LABELS)
    browser.mouse("mouseMoved", 5, 5)
    browser.wait("return document.getElementById('tip').hidden")


def test_the_wheel_zooms_where_it_points_once_the_line_has_focus(browser, pages):
    browser.open(pages["recording"])
    start, end = browser.view()
    place = browser.box(".axis .plot")
    x, y = place["x"] + place["w"] * 0.25, place["y"] + 10
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-240)
    assert browser.view() == (start, end)  # the page's own wheel, until the time line was clicked
    browser.run("window.scrollTo(0, 0)")
    place = browser.box(".axis .plot")
    x, y = place["x"] + place["w"] * 0.25, place["y"] + 10
    browser.click(x, y)
    browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=-240)
    browser.wait("return document.getElementById('lanes').dataset.to < arguments[0]", end - 1)
    a, b = browser.view()
    under = start + 0.25 * (end - start)
    assert a + 0.25 * (b - a) == pytest.approx(under, abs=0.05)
    for _ in range(40):
        browser.mouse("mouseWheel", x, y, deltaX=0, deltaY=480)
    assert browser.view() == (start, end)


def test_drag_pans(browser, pages):
    browser.open(pages["recording"])
    browser.run("document.getElementById('b-in').click()")
    a, b = browser.view()
    place = browser.box(".axis .plot")
    x, y = place["x"] + place["w"] / 2, place["y"] + 10
    browser.mouse("mousePressed", x, y, button="left", clickCount=1)
    for step in range(1, 6):
        browser.mouse("mouseMoved", x - 30 * step, y, button="left", buttons=1)
    browser.mouse("mouseReleased", x - 150, y, button="left", clickCount=1)
    c, d = browser.view()
    assert d - c == pytest.approx(b - a)
    assert c - a == pytest.approx(150 / place["w"] * (b - a), rel=0.05)


def test_pinch_zooms(browser, pages):
    browser.open(pages["recording"], "phone")
    start, end = browser.view()
    place = browser.box(".band .plot")
    x, y = place["x"] + place["w"] / 2, place["y"] + 20
    browser.touch("touchStart", (x - 40, y), (x + 40, y))
    for apart in (50, 70, 90, 110):
        browser.touch("touchMove", (x - apart, y), (x + apart, y))
    browser.touch("touchEnd")
    a, b = browser.view()
    assert (b - a) < 0.7 * (end - start)


def test_keys_zoom_and_pan(browser, pages):
    from selenium.webdriver.common.keys import Keys

    browser.open(pages["recording"])
    start, end = browser.view()
    browser.run("document.getElementById('lanes').focus()")
    browser.keys("+", "+")
    a, b = browser.view()
    assert b - a == pytest.approx((end - start) / 2.25, rel=1e-3)
    browser.keys(Keys.ARROW_RIGHT)
    c, d = browser.view()
    assert c > a
    assert d - c == pytest.approx(b - a, rel=1e-3)
    browser.keys(Keys.ARROW_LEFT)
    assert browser.view() == pytest.approx((a, b), abs=1e-3)
    browser.keys(Keys.HOME)
    assert browser.view()[0] == start
    browser.keys("-", "0")
    assert browser.view() == (start, end)


def test_tab_reaches_the_events_and_keys_walk_them(browser, pages):
    from selenium.webdriver.common.keys import Keys

    browser.open(pages["recording"])
    browser.view()
    active = "return [document.activeElement.id, document.activeElement.classList.contains('ev')]"
    seen = []
    for _ in range(40):
        browser.keys(Keys.TAB)
        name, reached = browser.run(active)
        seen.append(name)
        if reached:
            break
    assert reached, seen
    for needed in ("b-in", "score", "overview", "lanes"):
        assert needed in seen, seen
    here = "return document.activeElement.getAttribute('aria-label')"
    first = browser.run(here)
    assert "score" in first
    assert not browser.run("return document.getElementById('tip').hidden")  # details on focus, too
    outline = "const s = getComputedStyle(document.activeElement.querySelector('.hit')); return s.stroke"
    assert browser.run(outline) != "none"
    visited = {first}
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_LEFT, Keys.ARROW_UP):
        browser.keys(key)
        visited.add(browser.run(here))
    assert len(visited) >= 2
    browser.keys(Keys.ENTER)
    browser.wait("return document.querySelector('#detail h3')")
    assert browser.run("return document.activeElement.classList.contains('ev')")
    browser.keys("f")
    assert np.diff(browser.view())[0] < 30
    browser.keys(Keys.ESCAPE)
    assert browser.run("return document.activeElement.id") == "lanes"


def test_filter_and_table_follow(browser, pages):
    browser.open(pages["recording"])
    browser.view()
    count: Callable[[], int] = lambda: browser.run("return document.querySelectorAll('#events tbody tr').length")  # noqa: E731
    tile = "return Number(document.getElementById('t-events').textContent)"
    few = count()
    gone = "return [...document.querySelectorAll('#events tbody tr')].filter((r) => r.event.phase === 3).length"
    assert browser.run(tile) == few - browser.run(gone)  # the table lists reports that were taken back, too
    browser.run("const s = document.getElementById('score'); s.value = 0; s.dispatchEvent(new Event('input'))")
    browser.view()
    assert count() > few
    assert browser.run(tile) > few
    heads = "return [...document.querySelectorAll('#events th')].map(h => h.getAttribute('aria-sort'))"
    browser.run("document.querySelectorAll('#events th button')[4].click()")
    assert browser.run(heads)[4] == "descending"
    scores = browser.run("return [...document.querySelectorAll('#events tbody tr')].map(r => r.event.score)")
    assert scores == sorted(scores, reverse=True)
    browser.run("document.querySelectorAll('#classes input')[0].click()")
    browser.view()
    named = browser.run("return [...document.querySelectorAll('#events tbody tr')].map(r => r.event.label)")
    assert 0 not in named
    assert browser.run("return document.querySelectorAll('.row.band')[0].hidden")


def test_an_event_opens_from_the_table(browser, pages):
    browser.open(pages["recording"])
    browser.run("document.querySelector('#events tbody button').click()")
    browser.wait("return document.querySelector('.ev.on')")
    said = browser.run("return document.getElementById('detail').innerText")
    for word in ("delay", "phase", "reported at", "final"):
        assert word in said


def test_an_hour_zooms_in_to_single_events(browser, pages):
    browser.open(pages["hour"])
    start, end = browser.view()
    assert end - start == 3600
    assert browser.run("return document.querySelectorAll('.ev').length") <= 251
    browser.run("document.getElementById('lanes').focus()")
    for _ in range(14):
        browser.keys("+")
    a, b = browser.view()
    assert b - a < 15
    assert browser.complaints() == []


def test_recordings_of_a_data_set_are_sorted_and_found(browser, pages):
    browser.open(pages["dataset"])
    names = "return [...document.querySelectorAll('#recordings li')].map(n => n.dataset.name)"
    everything = browser.run(names)
    browser.run("document.querySelector('[data-by=name]').click()")
    assert browser.run(names) == sorted(everything)
    assert browser.run("return document.querySelector('[data-by=name]').getAttribute('aria-pressed')") == "true"
    script = "const f = document.getElementById('find'); f.value = arguments[0]; f.dispatchEvent(new Event('input'))"
    browser.run(script, everything[0])
    assert browser.run(names) == [everything[0]]
    assert browser.run("return document.getElementById('count').textContent") == f"1 of {len(everything)} recordings"
