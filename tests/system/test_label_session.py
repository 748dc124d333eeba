"""The labeling page in headless Chromium: what a person meets in the course of a session."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")
from selenium.webdriver.common.keys import Keys

from tests.helpers.labeling import Page, until, write_round
from tests.system.label_fixtures import copied

pytest_plugins = ["tests.system.label_fixtures"]
pytestmark = pytest.mark.slow

NOW = "return document.getElementById('video').currentTime"
VIDEOS = (
    "return Object.fromEntries([...document.querySelectorAll('#videos button')]"
    ".map((b) => [...b.children].map((n) => n.textContent)))"
)
SAYS = "const t = document.getElementById('say').textContent; return t.includes(arguments[0]) && t"
# Width of what is drawn at the left of the row of clicks, and whether it touches the edge.
MARKER = """
const c = document.getElementById("timeline"), g = c.getContext("2d"), s = devicePixelRatio || 1;
const row = g.getImageData(0, 33 * s, 40 * s, 1).data, empty = g.getImageData(60 * s, 33 * s, 1, 1).data;
const drawn = [];
for (let k = 0; k < row.length; k += 4) drawn.push([0, 1, 2, 3].some((n) => Math.abs(row[k + n] - empty[n]) > 20));
return [drawn.filter(Boolean).length / s, drawn[0]];
"""
BEN = "class,video_id,time_s,annotator,id\nopen,a,1.0,ben,b1\nopen,c,3.0,ben,b2\nclose,c,5.0,ben,b3\n"
ROUND = {
    "a": (True, [("open", 0.5, 1.5, 0.9), ("close", 2.4, 3.4, 0.4)]),
    "b": (True, [("close", 2.0, 3.0, 0.9), ("open", 4.0, 5.0, 0.8)]),
    "c": (False, [("open", 1.0, 2.0, 0.5)]),
}


def said(page: Page, text: str) -> str:
    return str(page.browser.wait(SAYS, text))


@pytest.fixture
def page(clips, serve, browser, tmp_path):
    """A page of a folder without labels."""
    server = serve(copied(clips, tmp_path), "--classes", "open,close")
    made = Page(browser)
    made.open(server.address)
    made.show("c")
    made.server = server
    return made


# --- several annotators


def test_others_stay_hidden_in_every_count_and_nothing_happens_is_said_by_each(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    (folder / "points.csv").write_text(BEN)
    (folder / "background.csv").write_text("video_id,start_s,end_s,class,annotator,created,id\nc,1.0,2.0,,ben,,n1\n")
    server = serve(folder)
    page = Page(browser)
    page.open(server.address)
    page.show("c")
    assert browser.run(VIDEOS) == dict.fromkeys("abc", "no click")
    counts = "return [...document.querySelectorAll('#classes b')].map((n) => n.textContent)"
    assert browser.run(counts) == ["0", "0"]
    assert "hidden" in browser.run("return document.getElementById('enough').textContent")
    assert browser.run("return document.getElementById('legend').textContent") == ""
    page.press("n")
    page.saved()
    assert until(lambda: server.record()["nothing"]) == {"c": {"ann": server.record()["nothing"]["c"]["ann"]}}
    assert browser.run(VIDEOS)["c"] == "nothing happens"
    assert len(server.rows()) == 3
    browser.run("document.getElementById('b-others').click()")
    browser.wait(
        f"{VIDEOS.replace('return', 'const v =')}; return v.c === 'nothing happens; 2 clicks' && v.a === '1 click'"
    )
    assert browser.run(counts) == ["2", "1"]
    assert "another annotator" in browser.run("return document.getElementById('legend').textContent")
    browser.run("document.getElementById('b-others').click()")
    browser.run("document.getElementById('b-agreement').click()")
    text = browser.wait("const d = document.getElementById('agreement'); return d.open && d.innerText")
    assert "ben: open, ann: nothing happens" in text
    page.press(Keys.ESCAPE)
    page.press("1")  # an own click ends the own mark, and undo restores it
    assert "not marked any more" in said(page, "open at")
    page.saved()
    until(lambda: not server.record()["nothing"])
    page.press("z")
    assert '"Nothing happens" is marked' in said(page, "Undone in c")
    page.saved()
    until(lambda: server.record()["nothing"])
    page.press("n")
    page.saved()
    until(lambda: not server.record()["nothing"])
    page.press("1", "n")
    assert "1 click of yours" in said(page, "This video has")
    page.show("b")
    assert page.message() == ""
    assert browser.complaints() == []


# --- keys


def test_a_slider_keeps_its_keys(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    (folder / "points.csv").write_text(BEN)
    write_round(folder, ROUND)
    page = Page(browser)
    page.open(serve(folder, "--train-after", "0").address)
    page.show("a")
    browser.wait("return !document.getElementById('b-outcome').disabled")
    browser.run("document.getElementById('b-outcome').click()")
    value = "return document.getElementById('least').value"
    browser.wait(f"{value} === '0.3'")
    browser.run("document.getElementById('least').focus()")
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert browser.run(value) == "0.33"
    page.press(Keys.END)
    assert browser.run(value) == "1"
    page.press(Keys.HOME)
    assert browser.run(value) == "0"
    assert browser.run(NOW) == 0
    page.press(Keys.ESCAPE, Keys.ARROW_RIGHT)  # Esc gives the keys back to the video
    browser.wait(f"{NOW} > 0")
    assert browser.run(value) == "0"
    # the same for a select, a list that scrolls, a box to tick, and a button that was reached with Tab
    browser.run("document.getElementById('o-least').focus()")
    page.press(Keys.ARROW_DOWN)
    assert browser.run("return document.getElementById('o-least').value") == "slider"
    at = browser.run(NOW)
    browser.run("document.getElementById('o-classes').focus()")
    page.press(Keys.ARROW_RIGHT, Keys.END)
    assert browser.run(NOW) == at
    browser.run("document.getElementById('b-others').focus()")
    page.press(" ")
    browser.wait("return document.getElementById('b-others').checked")
    assert browser.run("return document.getElementById('video').paused")
    browser.run("document.getElementById('b-agreement').focus()")
    page.press(Keys.TAB, Keys.ENTER)
    browser.wait("return document.getElementById('help').open")
    assert browser.complaints() == []


def test_a_key_that_is_held_acts_once(page, browser):
    held = (
        "document.body.dispatchEvent(new KeyboardEvent('keydown', "
        "{key: arguments[0], code: 'Space', repeat: true, bubbles: true, cancelable: true}))"
    )
    browser.run(held, " ")
    browser.run(held, "Enter")
    time.sleep(0.3)
    assert browser.run("return document.getElementById('video').paused")
    assert browser.run("return document.getElementById('video-name').textContent") == "c"


def test_the_button_of_a_class_answers_a_question(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    (folder / "points.csv").write_text("class,video_id,time_s,annotator,id\nopen,a,1,ann,p1\nclose,b,2.5,ann,p2\n")
    write_round(folder, ROUND)
    server = serve(folder, "--train-after", "0")
    page = Page(browser)
    page.open(server.address)
    page.show("c")
    browser.wait("return !document.getElementById('b-ask').disabled")
    page.press(Keys.F2)
    place = browser.wait("return document.getElementById('q-place').textContent")
    box = browser.box(".class.k1")
    browser.click(box["x"] + 30, box["y"] + 15)
    page.saved()
    row = until(lambda: next((r for r in server.rows() if r["id"] not in ("p1", "p2")), None))
    assert row["class"] == "close"
    assert place.startswith(row["video_id"])
    assert row["time_s"] in ("1.500", "2.900", "4.500")  # the middle of an event, not the time on screen


def test_the_last_key_of_the_reaction_task_does_not_play(page, browser):
    browser.run("document.getElementById('b-reaction').click()")
    browser.run("document.querySelector('#reaction .main').click()")
    end = time.monotonic() + 60
    while browser.run("return document.getElementById('reaction').open") and time.monotonic() < end:
        if browser.run("return Boolean(document.querySelector('#reaction .pad.go'))"):
            time.sleep(0.15)
            page.press(" ")
            time.sleep(0.1)
        time.sleep(0.02)
    until(lambda: page.server.record()["reaction_s"].get("ann"))
    time.sleep(0.3)
    assert browser.run("return document.getElementById('video').paused")
    assert browser.run("return document.activeElement === document.body")  # no frame around the button
    page.press(" ")
    browser.wait("return !document.getElementById('video').paused")


def test_the_same_class_twice_at_one_frame_is_one_click(page, browser):
    page.seek(2.0)
    page.press("1", "1")
    said(page, "already")
    page.press("2")
    page.press(".")
    browser.wait(f"{NOW} > 2.01")
    page.press("1")
    page.saved()
    rows = until(lambda: len(page.server.rows()) == 3 and page.server.rows())
    assert sorted(row["class"] for row in rows) == ["close", "open", "open"]


def test_a_click_at_the_frame_on_screen_is_selected_and_deleted(page, browser):
    page.seek(2.0)
    page.press("1", Keys.ESCAPE)
    browser.wait("return document.getElementById('selected').hidden")
    page.press(Keys.ARROW_UP)
    browser.wait("return document.querySelector('#selected select')?.value === 'open'")
    page.press(Keys.ESCAPE, Keys.ARROW_DOWN)
    browser.wait("return document.querySelector('#selected select')?.value === 'open'")
    page.press(Keys.ESCAPE)
    page.saved()
    page.press(Keys.DELETE)
    said(page, "Deleted: open")
    page.saved()
    until(lambda: not page.server.rows())
    page.press(Keys.DELETE)
    said(page, "Select a click first")


def test_a_note_does_not_break_the_name_of_the_class(page, browser):
    page.seek(2.0)
    page.press("1", "m")
    browser.wait("return document.getElementById('ask').open")
    page.press(*"a note that is longer than its line", Keys.ENTER)
    page.saved()
    until(lambda: page.server.rows()[0]["note"])
    high = "return document.querySelector('#clicks .label').getBoundingClientRect().height"
    browser.wait("return document.querySelector('#clicks small').textContent.startsWith('a note')")
    assert browser.run(high) < 26


def test_undo_says_what_and_opens_its_video(page, browser):
    page.seek(2.0)
    page.press("1")
    page.show("a")
    page.press("2")
    page.saved()
    page.press("z")
    assert said(page, "Undone") == "Undone in a: click close at 0:00.00 removed"
    page.press("z")
    page.ready("c")
    assert said(page, "Undone in c") == "Undone in c: click open at 0:02.00 removed"
    browser.wait(f"return Math.abs(({NOW.replace('return ', '')}) - 2) < 0.05")
    page.press("y")
    assert said(page, "Redone") == "Redone in c: click open at 0:02.00 added"
    page.saved()
    until(lambda: len(page.server.rows()) == 1)


# --- saving


def test_a_click_that_is_sent_late_has_the_time_of_the_key(page, browser):
    page.seek(1.0)
    page.press("1")
    page.saved()
    page.server.kill()
    page.seek(2.0)
    before = datetime.now(UTC)
    page.press("2")
    browser.wait("return document.getElementById('saved').textContent.startsWith('Not saved')")
    time.sleep(6)
    page.open(page.server.start())
    page.saved()
    row = until(lambda: next((r for r in page.server.rows() if r["class"] == "close"), None))
    made = datetime.strptime(row["created"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs((made - before).total_seconds()) < 4


def test_a_refused_class_can_be_corrected(page, browser):
    field = "return document.getElementById('new-class').value"
    browser.run("document.getElementById('new-class').focus()")
    page.press(*"Open", Keys.ENTER)
    assert "Choose another name" in said(page, "is taken")
    browser.wait(f"{field} === 'Open'")  # what was typed is there, selected
    page.press(*"Opening, knock", Keys.ENTER)
    page.saved()
    browser.wait("return document.querySelectorAll('#classes li').length === 4")
    assert page.message() == ""
    assert browser.run(field) == ""
    assert "commas" in browser.run("return document.querySelector('label[for=new-class]').textContent")
    # a class without a click is removed in the dialog behind "…"
    browser.run("document.querySelector('[aria-label=\"Rename or remove knock\"]').click()")
    browser.wait("return document.getElementById('ask').open")
    browser.run("[...document.querySelectorAll('#ask button')].find((b) => b.textContent === 'Remove class').click()")
    browser.wait("return document.querySelectorAll('#classes li').length === 3")


# --- results of an older round


def test_results_say_which_labels_they_do_not_have(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    rows = "class,video_id,time_s,annotator,id\nopen,a,1,ann,p1\nopen,b,3.6,ann,p2\n"
    (folder / "points.csv").write_text(rows)
    write_round(folder, ROUND)
    server = serve(folder, "--train-after", "0")
    page = Page(browser)
    page.open(server.address)
    page.show("a")
    browser.wait("return !document.getElementById('b-outcome').disabled")
    browser.run("document.getElementById('b-outcome').click()")
    age = "return document.getElementById('o-age').textContent"
    browser.wait(f"{age} === 'Round 1, trained on 4 clicks; 2 changes of labels since are not in it.'")
    page.press("1")
    browser.wait(f"{age}.includes('3 changes')")
    assert browser.run("return document.getElementById('o-run').hidden")  # no bundle, no command
    # one action, clicked beside its event, is one mistake, and M moves the click
    listed = "[...document.querySelectorAll('#mistakes button')].find((n) => n.innerText.includes('beside the event'))"
    browser.wait(f"return {listed}").click()
    browser.wait("return document.getElementById('q-kind').textContent === 'Misplaced'")
    assert not browser.run("return document.getElementById('b-move').hidden")
    page.press("m")
    page.saved()
    moved = until(lambda: [r["time_s"] for r in server.rows() if r["id"] == "p2"] == ["4.500"])
    assert moved
    page.press(Keys.ESCAPE)
    assert browser.complaints() == []


# --- small windows


def fold(browser, selector: str) -> list[float]:
    return list(
        browser.run(
            "const r = document.querySelector(arguments[0]).getBoundingClientRect(); return [r.top, r.bottom]", selector
        )
    )


@pytest.mark.parametrize("size", ["phone", "tablet", "laptop"])
def test_many_classes_leave_the_video_in_view(clips, serve, browser, tmp_path, size):
    names = [f"class {k}" for k in range(15)]
    page = Page(browser)
    page.open(serve(copied(clips, tmp_path), "--classes", ",".join(names)).address, size)
    page.show("c")
    high = browser.run("return innerHeight")
    for control in ("#screen", "#b-play", "#b-next", "#classes li:first-child"):
        top, bottom = fold(browser, control)
        assert top >= 0 and bottom <= high, control
    assert len(set(browser.run("return [...document.querySelectorAll('.class')].map((n) => n.className)"))) == 15
    assert browser.run("return [...document.querySelectorAll('.class b')].every((n) => n.getClientRects().length)")
    assert fold(browser, "#add")[0] > fold(browser, "#b-next")[1] or size == "laptop"
    browser.run("scrollTo(0, 10000)")
    top, bottom = fold(browser, "#saved")
    assert top >= 0 and bottom <= high  # whether everything is saved stays in view
    browser.run("scrollTo(0, 0)")
    if size != "laptop":
        features = [{"name": "hover", "value": "none"}]
        browser.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.run("document.getElementById('b-help').click()")
        assert browser.run("return [...document.querySelectorAll('.keys kbd')].every((n) => n.getClientRects().length)")
        browser.run("document.getElementById('help').close()")


def test_the_marker_of_a_click_at_the_start_is_whole(page, browser):
    page.press("1")
    page.saved()
    time.sleep(0.3)
    wide, cut = browser.run(MARKER)
    assert wide >= 17
    assert not cut
