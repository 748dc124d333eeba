"""The page of a site in headless Chromium: review with undo and edges, small screens, measurements of a camera."""

from __future__ import annotations

import math
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the page needs fastapi (extra serve)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")
from punctum.runtime.site.api.records import key_of
from punctum.runtime.site.config.models import CameraConfig, EventMedia
from punctum.runtime.site.store.rows import EventQuery, Review
from selenium.webdriver.common.keys import Keys

from tests.helpers import site_scenes
from tests.helpers.site_view import MemorySite, event
from tests.system import browser as kit
from tests.system import test_site_page as page
from tests.system.test_site_page import busy, complaints, midnight, opened, text

pytest_plugins = ["tests.system.label_fixtures"]
pytestmark = pytest.mark.slow
media, serve = page.media, page.serve


def test_edges_in_hundredths_are_taken(browser, serve, media, tmp_path):
    """Typed, and at any moment of the clip."""
    view, events = busy(tmp_path, media)
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n", "e")
    browser.wait("return document.getElementById('clip').readyState >= 2", seconds=20)
    browser.keys(Keys.BACKSPACE * 6, "-0.37")
    seek = "const v = document.getElementById('clip'); v.pause(); v.currentTime = arguments[0]"
    browser.run(seek, 3.16)
    browser.wait("const v = document.getElementById('clip'); return !v.seeking && Math.abs(v.currentTime - 3.16) < 0.1")
    browser.keys("]")
    moved = float(browser.run("return document.getElementById('edge-end').value"))
    assert moved * 10 != round(moved * 10), "not a multiple of a tenth"
    browser.keys(Keys.ENTER)
    browser.wait("return document.getElementById('edges').hidden")
    review = reviewed(view)[events[-1].id]
    assert review.start == pytest.approx(events[-1].start - 0.37) and review.end == pytest.approx(
        events[-1].end + moved
    )


def reviewed(view: MemorySite, count: int = 1) -> dict[str, Any]:
    """Reviews by event, once there are so many."""
    until = time.monotonic() + 10
    while len(found := view.store.reviews()) != count and time.monotonic() < until:  # type: ignore[attr-defined]
        time.sleep(0.05)
    assert len(found) == count
    return {row.event: row.review for row in found}


def test_undo_takes_back_the_latest_verdicts(browser, serve, media, tmp_path):
    view, events = busy(tmp_path, media)
    first, second = events[-1], events[-2]
    view.store.review(
        second.stream, second.id, Review("class", "carry" if second.label != "carry" else "open", by="ann")
    )
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    assert browser.run("return document.getElementById('b-undo').disabled")
    browser.keys("n", "r", "w")
    browser.wait("return !document.getElementById('e-saving').textContent")
    assert {key: r.verdict for key, r in reviewed(view, 2).items()} == {first.id: "right", second.id: "wrong"}
    browser.keys("u")
    browser.wait("return document.getElementById('e-review').textContent.startsWith('Other class')")
    assert reviewed(view, 2)[second.id].by == "ann", "what was there before is there again"
    browser.keys("u")
    browser.wait("return document.getElementById('e-review').textContent === 'Not reviewed'")
    assert list(reviewed(view)) == [second.id] and browser.run("return document.getElementById('b-undo').disabled")
    assert text(browser, "e-label") == first.label
    browser.keys("u")
    browser.wait("return document.getElementById('say').textContent.startsWith('No verdict was given')")
    browser.keys("n")
    browser.wait("return !document.getElementById('b-withdraw').hidden")
    browser.run("document.getElementById('b-withdraw').click()")
    browser.wait("return document.getElementById('e-review').textContent === 'Not reviewed'")
    assert reviewed(view, 0) == {}
    browser.keys("?")
    browser.wait("return document.getElementById('help').open")
    assert "goes on to the next event by itself" in text(browser, "help")
    assert complaints(browser) == []


def test_a_verdict_that_is_not_saved_cannot_be_taken_back(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    served = serve(view)
    opened(browser, served.url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n")
    served.close()
    browser.keys("r")
    browser.wait("return document.getElementById('say').textContent.startsWith('Not saved')")
    browser.wait("return document.getElementById('b-undo').disabled")
    assert view.store.reviews() == []


def test_why_there_is_no_clip(browser, serve, media, tmp_path):
    view = site_scenes.site(tmp_path / "state")
    masks = (((0.0, 0.0), (0.5, 0.0), (0.5, 0.5)),)
    config = CameraConfig(source="rtsp://10.0.0.7/m", bundles=("doors",), masks=masks, media=EventMedia(mask=True))
    view.add_camera("masked", config=config)
    silent = CameraConfig(source="rtsp://10.0.0.7/s", bundles=("doors",), media=EventMedia(clips=False))
    view.add_camera("silent", config=silent)
    now = max(time.time(), midnight() + 600)
    names = ("masked", "silent", "gate", "hall", "yard-north")
    for k, name in enumerate(names):
        received = now - 500 if name == "hall" else time.time()
        view.report(event(name, k, at=now - 10 - k), received=received)
    late = view.store.events(EventQuery(cameras=("yard-north",))).items[0]
    view.store.add_media("yard-north", late.id, "clip", None, 0, 0.0, 0.0, "no clip: the video is H.266")
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length === 5")
    found = {}
    for _ in names:
        browser.keys("n")
        time.sleep(0.3)
        found[text(browser, "e-camera")] = text(browser, "no-clip")
    assert found == {
        "masked": "No clip: with media.mask, no clips are stored",
        "silent": "No clip: media.clips is off for this camera",
        "gate": "The clip is not there yet",
        "hall": "There is no clip of this event",
        "yard-north": "No clip: the video is H.266",
    }


def test_verdicts_are_in_view_on_a_small_screen(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    opened(browser, serve(view).url, "events", "laptop")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n")
    browser.wait("return document.getElementById('clip').readyState >= 2", seconds=20)
    bottom = "return document.getElementById(arguments[0]).getBoundingClientRect().bottom + scrollY"
    assert browser.run(bottom, "b-right") <= 800 and browser.run(bottom, "b-edges") <= 800
    assert browser.run("return document.getElementById('clip').getBoundingClientRect().height") >= 190


def test_outputs_on_a_phone(browser, serve, media, tmp_path):
    """Nothing is cut off."""
    view, _ = busy(tmp_path, media)
    opened(browser, serve(view).url, "site", "phone")
    browser.wait("return document.querySelectorAll('#s-sinks tbody tr').length === 2")
    wide = "return [...document.querySelectorAll('.scroll')].map((n) => [n.scrollWidth, n.clientWidth])"
    assert all(inner <= outer for inner, outer in browser.run(wide))
    shown = browser.run("return document.getElementById('s-sinks').innerText")
    assert "HTTP 503" in shown and "118" in shown
    tree = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = [n.get("role", {}).get("value") for n in tree if not n.get("ignored")]
    assert roles.count("table") >= 2 and "cell" in roles


def test_measurements_of_a_camera(browser, serve, media, tmp_path):
    """As the service sends them: with names and units, in groups, without what only developers know."""
    view, _ = busy(tmp_path, media)
    stats = {
        **{"frames": 2352, "lost_frames": 0, "gaps": 0, "reconnects": 2, "width": 160, "height": 120, "fps": 20.0},
        **{"codec": "h264", "decoder": "software", "stages": {"decode_s": 1.45}, "behind": False, "trouble": ""},
        **{"clips": 39, "pictures": 38, "ring_mb": 1.18, "ring_oversized": 0, "rss_mb": 182.3, "cpu_s": 46.9},
        "engine doors": {
            "snippets": 1175,
            "bad": 0,
            "runs": 0,
            "not_stored": 0,
            "events": 12,
            "lag_s": 0.0,
            "queue": 3,
        },
    }
    view.add_camera("gate", picture=True, stats=stats, config=view.views["gate"].config)
    opened(browser, serve(view).url, "camera/gate")
    browser.wait("return document.querySelectorAll('#c-stats h4').length > 3")
    script = (
        "const pair = (d) => [...d.children].map((c) => c.textContent);"
        "const all = (s) => Object.fromEntries([...s.querySelectorAll('dl > div')].map(pair));"
        "const group = (s) => [s.firstChild.textContent, all(s)];"
        "return Object.fromEntries([...document.querySelectorAll('#c-stats section')].map(group))"
    )
    assert browser.run(script) == {
        "Video": {
            **{"Size": "160 x 120", "Codec": "h264", "Frames a second": "20.0", "Decoder": "software"},
            **{"Frames read": "2,352", "Reconnections": "2", "Falls behind": "No"},
        },
        "Clips and pictures": {"Clips stored": "39", "Pictures stored": "38", "Video in memory": "1.2 MB"},
        "Bundle doors": {
            **{"Events reported": "12", "Snippets processed": "1,175", "Snippets waiting": "3"},
            "Oldest waits for": "0.0 s",
        },
        "Process": {"Memory": "182 MB", "CPU time": "47 s"},
    }


SPAN = "const d = document.getElementById('lanes-canvas').dataset; return [Number(d.from), Number(d.to)]"
NEW = "document.getElementById('new-class')"


def hours_ago(folder: Path, media: Path, count: int, span_s: float = 300.0) -> tuple[MemorySite, list[Any], float]:
    """A site with events of the latest minutes only, and the present as the page sees it."""
    made = site_scenes.site(folder / "state")
    now = max(time.time(), midnight() + 400)
    events = site_scenes.fill(made, count, since=now - span_s, until=now - 5, cameras=("gate", "hall"))
    site_scenes.with_clips(made, events[-4:], media / "clip.mp4", media / "still.jpg")
    return made, events, now


def test_the_timeline_begins_with_what_there_is(browser, serve, media, tmp_path):
    """An hour at least, and closer is about the present, not about noon."""
    view, _, now = hours_ago(tmp_path, media, 20)
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    start, end = browser.run(SPAN)
    assert 3590 <= end - start <= 4000 and start <= now - 300 and end >= now
    for _ in range(5):
        browser.keys("+")
    browser.wait(SPAN.replace("return", "const s =") + "; return s[1] - s[0] < 600")
    start, end = browser.run(SPAN)
    assert start <= time.time() <= end + 1 or midnight() + 400 >= time.time()
    browser.keys("0")
    browser.wait(SPAN.replace("return", "const s =") + "; return s[1] - s[0] === 86400")
    browser.keys("f")
    browser.wait(SPAN.replace("return", "const s =") + "; return s[1] - s[0] < 4000")
    browser.run("document.getElementById('b-day-before').click()")
    browser.wait(f"{SPAN.replace('return', 'const s =')}; return s[1] === {midnight()}")


def test_rows_are_whole(browser, serve, media, tmp_path):
    """Of the timeline and of the list."""
    view, _ = busy(tmp_path, media)
    served = serve(view)
    for size in ("phone", "tablet", "desktop", "laptop"):
        opened(browser, served.url, "events", size)
        browser.wait("return document.querySelectorAll('.ev').length > 5")
        high = "return document.getElementById(arguments[0]).clientHeight"
        lanes = browser.run(high, "lanes")
        assert lanes % 38 == 0 and browser.run(high, "list") % 48 == 0, size
        more = text(browser, "lanes-more")
        assert more == ("" if lanes == 8 * 38 else f"{lanes // 38} of 8 cameras: scroll for the others")
        browser.keys(*"nnnnnnnnnnnn")
        assert browser.run("return document.getElementById('list').scrollTop") % 48 == 0, size


def test_the_selected_event_stays_on_screen_while_events_arrive(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n", "n", "n")
    place = "return document.getElementById('e-active').getBoundingClientRect().top"
    browser.wait("return document.getElementById('e-active')")
    before, label = browser.run(place), text(browser, "e-when")
    now = time.time()
    view.report(*[event("gate", 500 + k, at=now + k / 100) for k in range(30)])
    browser.wait("return document.getElementById('list-facts').textContent.startsWith('70 events')")
    browser.wait("return document.getElementById('e-active')")
    time.sleep(0.3)
    assert browser.run(place) == pytest.approx(before, abs=1) and text(browser, "e-when") == label


def test_an_event_has_an_address(browser, serve, media, tmp_path):
    """It survives a reload, also of an event of another day; a view without a selection has none."""
    view, events = busy(tmp_path, media)
    old = event("hall", 1, at=midnight() - 3600, label="wave")
    view.report(old)
    served = serve(view)
    opened(browser, served.url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n", "n")
    place = browser.wait("return location.hash.split('/').length === 3 && location.hash")
    assert place.startswith(f"#events/{events[-2].stream}/")
    browser.driver.refresh()
    browser.wait("return !document.getElementById('event').hidden")
    assert text(browser, "e-camera") == events[-2].stream and browser.run("return location.hash") == place
    opened(browser, served.url, f"events/hall/{key_of(old.id)}")
    browser.wait("return document.getElementById('e-label').textContent === 'wave'")
    browser.run("document.getElementById('b-today').click()")
    browser.wait("return location.hash === '#events' && document.getElementById('event').hidden")


def test_twelve_classes_have_twelve_colors(browser, serve, media, tmp_path):
    """The same on the wall, in the list and in the legend; none of them like another one."""
    view = site_scenes.site(tmp_path / "state")
    labels = tuple(f"class-{k}" for k in range(11))
    view.bundle_views["doors"] = replace(view.bundle_views["doors"], labels=labels)
    now = max(time.time(), midnight() + 400)
    named = (*labels, "of no bundle")
    view.report(*[event("gate", k, at=now - 20 - k, label=label) for k, label in enumerate(named)])
    served = serve(view)
    for dark in (False, True):
        opened(browser, served.url, "events", dark=dark)
        browser.wait("return document.querySelectorAll('#class-legend li').length === 12")
        color = (
            "(n) => [(n.querySelector('b') || n.querySelector('span')).textContent,"
            "getComputedStyle(n.querySelector('.spot')).backgroundColor]"
        )
        legend = browser.run(
            f"return Object.fromEntries([...document.querySelectorAll('#class-legend li')].map({color}))"
        )
        found = browser.run(f"return Object.fromEntries([...document.querySelectorAll('.ev')].map({color}))")
        assert set(legend) == set(named) and found.items() <= legend.items()
        rgb = [tuple(map(int, re.findall(r"\d+", one))) for one in legend.values()]
        apart = min(math.dist(a, b) for k, a in enumerate(rgb) for b in rgb[:k])
        assert len(set(rgb)) == 12 and apart > 40, "also where they are next to each other"
        assert min(browser.run(kit.CLASS_CONTRAST)) >= 3.0
    words = browser.run("return document.querySelector('.legends').innerText")
    assert all(
        word in words for word in ("provisional", "selected", "reviewed as right", "as wrong", "other edges", "gap")
    )


def test_a_class_that_no_bundle_has(browser, serve, media, tmp_path):
    view, events = busy(tmp_path, media)
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n", "c")
    browser.wait("return document.getElementById('classes').open")
    browser.run(f"{NEW}.focus()")
    other = next(label for label in site_scenes.LABELS if label != events[-1].label)
    for wrong, why in (("", "Type"), ("--", "letters"), ("a  b", "single spaces"), (other.upper(), "another spelling")):
        browser.run(f"{NEW}.value = ''; {NEW}.focus()")
        browser.keys(wrong, Keys.ENTER)
        browser.wait("return document.getElementById('class-wrong').textContent.includes(arguments[0])", why)
    browser.run(f"{NEW}.value = ''")
    browser.keys("jump 2", Keys.ENTER)
    assert reviewed(view)[events[-1].id].label == "jump 2", "digits were typed, not taken as keys"


@pytest.mark.parametrize("size", ["phone", "desktop"])
def test_messages_cover_nothing_and_go_away(browser, serve, media, tmp_path, size):
    view, _ = busy(tmp_path, media)
    opened(browser, serve(view).url, "events", size)
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n", "e")
    browser.wait("return !document.getElementById('edges').hidden")
    browser.keys(Keys.BACKSPACE * 6, "99", Keys.ENTER)
    browser.wait("return document.getElementById('say').textContent")
    over = (
        "const s = document.getElementById('say').getBoundingClientRect();"
        "return [...document.querySelectorAll('button, input, h3, a')].filter((n) => n.getClientRects().length)"
        ".filter((n) => { const r = n.getBoundingClientRect();"
        "return r.left < s.right && s.left < r.right && r.top < s.bottom && s.top < r.bottom; }).map((n) => n.id)"
    )
    assert browser.run(over) == []
    browser.keys(Keys.ESCAPE)
    browser.wait("return document.getElementById('say').textContent === ''")


def test_provisional_events_below_the_minimum_are_kept_apart(browser, serve, tmp_path):
    view = site_scenes.site(tmp_path / "state")
    view.bundle_views["doors"] = replace(view.bundle_views["doors"], min_score={"open": 0.3})
    view.add_camera("gate", config=view.views["gate"].config.model_copy(update={"min_score": 0.1}))
    now = max(time.time(), midnight() + 400)
    for k, (camera, score) in enumerate((("gate", 0.05), ("gate", 0.2), ("hall", 0.2), ("hall", 0.4))):
        view.report(event(camera, k, at=now - 20 - k, score=score, phase="update"))
    view.report(event("hall", 9, at=now - 40, score=0.05))
    opened(browser, serve(view).url, "events")
    browser.wait("return document.getElementById('list-facts').textContent.startsWith('3 events')")
    assert "below the minimum score (2)" in browser.run("return document.getElementById('weak').innerText")
    assert "retracted" in browser.run("return document.getElementById('weak').title")
    browser.run("document.getElementById('f-weak').click()")
    browser.wait("return document.getElementById('list-facts').textContent.startsWith('5 events')")


def test_the_page_says_how_to_train_with_reviews(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    served = serve(view)
    for size in ("phone", "desktop"):
        opened(browser, served.url, "events", size)
        browser.run("document.querySelector('.after-list a').click()")
        browser.wait("return !document.getElementById('v-site').hidden")
        folder = view.store.folder / "reviews"
        browser.wait("return document.getElementById('t-folder').textContent === arguments[0]", f"{folder}/CAMERA")
        commands = text(browser, "t-commands")
        assert "pip install 'punctum[train,export,video]'" in commands
        assert f"punctum data merge {folder}/* --out reviewed --replace" in commands
        assert "punctum train reviewed --out runs/reviewed" in commands
        assert browser.run("return document.getElementById('training').getBoundingClientRect().top") < 844
        assert browser.run("return document.documentElement.scrollWidth") <= kit.SIZES[size][0]


def test_the_reviews_of_a_single_camera_need_no_merging(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    for name in [name for name in view.views if name != "gate"]:
        del view.views[name]
    opened(browser, serve(view).url, "site")
    folder = view.store.folder / "reviews"
    browser.wait("return document.getElementById('t-folder').textContent === arguments[0]", f"{folder}/CAMERA")
    commands = text(browser, "t-commands")
    assert f"punctum train {folder}/gate --out runs/gate" in commands
    assert "merge" not in commands


def test_edges_that_the_clip_does_not_show_are_not_saved(browser, serve, media, tmp_path):
    view, _ = busy(tmp_path, media)
    opened(browser, serve(view).url, "events")
    browser.wait("return document.querySelectorAll('.ev').length > 5")
    browser.keys("n", "e")
    browser.wait("return !document.getElementById('edges').hidden")
    browser.keys(Keys.BACKSPACE * 6, "-9", Keys.ENTER)
    browser.wait("return document.getElementById('say').textContent.startsWith('The clip does not show')")
    browser.keys(Keys.ESCAPE)
    assert view.store.reviews() == []


def test_pages_that_were_left_give_their_connections_back(browser, serve, media, tmp_path):
    """A browser opens six connections to a host, and keeps pages for the way back."""
    view, _ = busy(tmp_path, media)
    served = serve(view)
    for _ in range(9):
        opened(browser, served.url, "events")
        browser.wait("return document.querySelectorAll('.ev').length > 5", seconds=15)
        browser.keys("n")
        browser.wait("return document.getElementById('list-facts').textContent.startsWith('40 events')", seconds=15)
        browser.wait("return document.getElementById('clip').readyState >= 2", seconds=15)
