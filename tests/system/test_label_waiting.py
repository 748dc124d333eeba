"""Changes that wait in the browser: no restart, rename, clock or full storage loses them, and none without a word."""

from __future__ import annotations

import os
import shutil
import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.labeling.changes import Change
from punctum.runtime.labeling.store import ClickStore

from tests.helpers.labeling import LabelServer, Page, until, write_round
from tests.system.label_fixtures import copied, start_browser

pytest_plugins = ["tests.system.label_fixtures"]
pytestmark = pytest.mark.slow

SAVED = "return document.getElementById('saved').textContent"
NOTICES = "return [...document.querySelectorAll('.notice')].map((n) => n.innerText).join('\\n')"
MODEL = "const [values, done] = arguments; import('/page/model.js').then((m) => { %s; done(); })"


def model(browser, script: str, values: object = None) -> None:
    """Run a script with the model of the page as `m`."""
    browser.driver.execute_async_script(MODEL % script, values)


def waits(browser, count: int) -> None:
    text = "1 change waits" if count == 1 else f"{count} changes wait"
    browser.wait(f"{SAVED}.includes(arguments[0])", text, seconds=20)


def again(server: LabelServer, browser, page: Page) -> None:
    """Start the server again, and open its page, which sends what waits."""
    browser.driver.get(server.start())
    page.saved()


def press_button(browser, text: str) -> None:
    browser.run(
        "[...document.querySelectorAll('.notice button')].find((b) => b.textContent === arguments[0]).click()", text
    )


@pytest.fixture
def opened(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    server = serve(folder, "--classes", "open,close")
    page = Page(browser)
    page.open(server.address)
    page.show("c")
    yield server, page
    browser.driver.get("about:blank")


def test_changes_of_one_click_are_made_after_a_crash(opened, browser):
    server, page = opened
    page.seek(1.0)
    page.press("1")
    page.saved()
    ident = server.rows()[0]["id"]
    for time_s in (1.1, 1.2, 1.3):
        model(browser, "m.editClick(values[0], {time_s: values[1]})", [ident, time_s])
    page.saved()
    server.kill()
    model(browser, "m.editClick(values, {time_s: 2})", ident)
    model(browser, "m.editClick(values, {label: 'close', note: ' a  note'})", ident)
    waits(browser, 2)
    again(server, browser, page)
    assert [(row["time_s"], row["class"], row["note"].split()) for row in server.rows()] == [
        ("2.000", "close", ["a", "note"])
    ]
    server.kill()
    model(browser, "m.deleteClick(values)", ident)
    waits(browser, 1)
    again(server, browser, page)
    assert server.rows() == []


def test_clicks_of_a_class_that_was_renamed_meanwhile(opened, browser):
    server, page = opened
    page.seek(1.0)
    page.press("1")
    page.saved()
    server.kill()
    page.seek(2.0)
    page.press("1")
    waits(browser, 1)
    store = ClickStore(server.folder, server.folder / "points.csv", ["a", "b", "c"])
    store.apply(Change.parse({"op": "rename", "annotator": "ben", "label": "open", "to": "opening"}))
    store.close()
    again(server, browser, page)
    assert [row["class"] for row in server.rows()] == ["opening", "opening"]


def test_first_clicks_wait_for_a_server_without_the_option_of_classes(opened, browser):
    server, page = opened
    server.kill()
    page.seek(1.0)
    page.press("1")
    waits(browser, 1)
    server.options = tuple(option for option in server.options if option not in ("--classes", "open,close"))
    again(server, browser, page)
    assert [row["class"] for row in server.rows()] == ["open"]
    browser.wait("return document.querySelector('#classes .label')?.textContent === 'open'")


def test_the_order_of_changes_does_not_depend_on_the_clock(opened, browser):
    server, page = opened
    server.kill()
    page.seek(1.0)
    page.press("1")
    browser.run("const real = Date.now; Date.now = () => real() - 3600e3")
    model(browser, "m.editClick([...m.state.clicks.keys()][0], {time_s: 3})")
    waits(browser, 2)
    again(server, browser, page)
    assert [row["time_s"] for row in server.rows()] == ["3.000"]


@pytest.mark.parametrize("whole", [True, False])
def test_a_folder_that_was_replaced_by_its_copy(opened, browser, whole):
    server, page = opened
    page.seek(1.0)
    page.press("1")
    page.saved()
    server.kill()
    page.seek(2.0)
    page.press("2")
    waits(browser, 1)
    copy = Path(shutil.copytree(server.folder, server.folder.with_name("copy")))
    shutil.rmtree(server.folder)
    copy.rename(server.folder)
    if not whole:
        shutil.rmtree(server.folder / ".punctum-label")
    again(server, browser, page)
    if not whole:
        assert len(server.rows()) == 1
        assert "1 change of a folder that was at" in browser.run(NOTICES)
        press_button(browser, "Save in this folder")
    until(lambda: len(server.rows()) == 2)
    page.saved()
    assert browser.run(NOTICES) == ""


def test_a_full_storage_is_said(opened, browser):
    server, page = opened
    browser.run(
        "window.open_ = IDBFactory.prototype.open; IDBFactory.prototype.open = () => { throw new Error(); };"
        "let text = 'x'.repeat(1 << 20); for (let k = 0; text; k++) {"
        "try { localStorage.setItem('fill' + k, text); } catch { text = text.slice(0, text.length >> 1); } }"
    )
    try:
        server.kill()
        page.seek(1.0)
        page.press("1")
        browser.wait(f"{SAVED}.includes('only in this window: do not close it')", seconds=20)
    finally:
        browser.run("for (const k of Object.keys(localStorage)) if (k.startsWith('fill')) localStorage.removeItem(k)")
    browser.wait(f"const t = {SAVED.removeprefix('return ')}; return t.includes('waits in this browser')", seconds=20)
    again(server, browser, page)
    assert len(server.rows()) == 1


def test_what_waits_is_on_the_disk_although_the_storage_of_the_page_is_gone(opened, browser):
    """The storage of a page reaches the disk late: a browser that is killed has none of it."""
    server, page = opened
    server.kill()
    page.seek(1.0)
    page.press("1")
    browser.wait(f"return ({SAVED.removeprefix('return ')}).endsWith('waits in this browser')", seconds=20)
    browser.run("localStorage.clear()")
    again(server, browser, page)
    assert len(until(server.rows)) == 1
    page.saved()
    time.sleep(1.0)
    server.kill()
    server.folder.joinpath("points.csv").unlink()
    again(server, browser, page)  # what has been saved is not sent again
    time.sleep(1.0)
    assert server.rows() == []


def test_clicks_that_another_program_removes_are_said(opened, browser):
    server, page = opened
    page.seek(1.0)
    page.press("1")
    page.saved()
    (server.folder / "points.csv").unlink()
    browser.wait(f"const t = {NOTICES.removeprefix('return ')}; return t.includes('1 click gone')", seconds=20)
    assert "before/points.csv" in browser.run(NOTICES)
    press_button(browser, "OK")
    assert browser.run(NOTICES) == ""
    page.press("1")
    page.saved()
    assert len(server.rows()) == 1


def test_a_folder_that_was_moved_keeps_changes_waiting(opened, browser):
    server, page = opened
    moved = server.folder.rename(server.folder.with_name("moved"))
    page.seek(1.0)
    page.press("1")
    browser.wait(f"{SAVED}.includes('not there any more')", seconds=20)
    assert not server.folder.exists()
    browser.wait(f"const t = {NOTICES.removeprefix('return ')}; return t.includes('not saved at present')", seconds=20)
    moved.rename(server.folder)
    page.saved()
    browser.wait(f"return !({NOTICES.removeprefix('return ')})", seconds=20)
    assert len(server.rows()) == 1


def test_a_click_that_is_refused_is_kept_until_a_person_decides(opened, browser):
    server, page = opened
    model(browser, "m.addClick({label: 'open', video: 'gone', time_s: 1})")
    browser.wait(
        f"const t = {NOTICES.removeprefix('return ')}; return t.includes('open at 1.00 s in gone')", seconds=20
    )
    browser.driver.refresh()
    page.saved()
    assert "1 click, refused by the server" in browser.run(NOTICES)
    press_button(browser, "Try again")
    browser.wait(
        f"const t = {NOTICES.removeprefix('return ')}; return t.includes('open at 1.00 s in gone')", seconds=20
    )
    press_button(browser, "Discard")
    browser.driver.refresh()
    page.saved()
    assert browser.run(NOTICES) == ""
    assert server.rows() == []


def test_names_of_the_properties_of_objects(clips, serve, browser, tmp_path):
    folder = tmp_path / "names"
    folder.mkdir()
    for name in ("__proto__", "constructor", "toString"):
        shutil.copy(clips / "a.mp4", folder / f"{name}.mp4")
    server = serve(folder, "--classes", "constructor,__proto__", "--annotator", "__proto__")
    page = Page(browser)
    page.open(server.address)
    for name in ("__proto__", "constructor", "toString"):
        page.show(name)
        assert browser.run("return document.getElementById('b-nothing').getAttribute('aria-pressed')") == "false"
    assert "measure" in browser.run("return document.getElementById('b-reaction').textContent")
    assert "no click" in browser.run("return document.getElementById('videos').innerText")
    page.press("n")
    page.show("__proto__")
    page.press("n")
    page.show("constructor")
    page.seek(1.0)
    page.press("2")
    page.saved()
    assert [(row["class"], row["video_id"], row["annotator"]) for row in server.rows()] == [
        ("__proto__", "constructor", "__proto__")
    ]
    assert server.record()["nothing"].keys() == {"__proto__", "toString"}
    text = browser.run("return document.getElementById('videos').innerText")
    assert (text.count("nothing happens"), text.count("1 click")) == (2, 1)
    assert "19 more to be enough" in browser.run("return document.getElementById('classes').innerText")


def test_a_browser_that_is_killed_keeps_what_waits(clips, serve, tmp_path):
    server = serve(copied(clips, tmp_path), "--classes", "open,close")
    killed = start_browser(tmp_path / "profile")
    page = Page(killed)
    page.open(server.address)
    page.show("c")
    server.kill()
    page.seek(1.0)
    page.press("1")
    page.seek(2.0)
    page.press("2")
    killed.wait(f"return ({SAVED.removeprefix('return ')}).endsWith('2 changes wait in this browser')", seconds=20)
    pid = killed.driver.service.process.pid
    for child in (Path("/proc") / str(pid) / "task" / str(pid) / "children").read_text().split():
        os.kill(int(child), signal.SIGKILL)
    killed.driver.service.stop()
    for lock in (tmp_path / "profile").glob("Singleton*"):
        lock.unlink()
    after = start_browser(tmp_path / "profile")
    try:
        after.driver.get(server.start())
        rows = until(lambda: len(server.rows()) == 2 and server.rows())
        assert [row["class"] for row in rows] == ["open", "close"]
    finally:
        after.driver.quit()


def test_a_question_gets_the_new_name_of_its_class(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    (folder / "points.csv").write_text("class,video_id,time_s,annotator,id\nopen,a,1,ann,p1\nclose,a,3,ann,p2\n")
    write_round(folder, {"a": (True, [("open", 0.5, 1.5, 0.9)]), "c": (False, [("open", 1.0, 2.0, 0.5)])})
    server = serve(folder)
    page = Page(browser)
    page.open(server.address)
    page.ready("a")
    browser.wait("return !document.getElementById('b-ask').disabled")
    browser.run("document.getElementById('b-ask').click()")
    browser.wait("return document.getElementById('q-place').textContent.startsWith('c')")
    rename = (
        "const done = arguments[0]; import('/page/api.js').then((a) => a.call('api/change', {method: 'POST', headers: "
        "{'content-type': 'application/json', 'x-page': 'other'}, body: JSON.stringify({op: 'rename', label: 'open', "
        "to: 'opening', annotator: 'ben', folder: a.site.folder})})).then((r) => done(r.status))"
    )
    assert browser.driver.execute_async_script(rename) == 200
    browser.wait("return document.getElementById('q-text').textContent === 'Is this opening?'")
    page.press("y")
    rows = until(lambda: len(server.rows()) == 3 and server.rows())
    page.saved()
    assert [(row["class"], row["video_id"]) for row in rows] == [("opening", "a"), ("close", "a"), ("opening", "c")]
    assert browser.run(NOTICES) == ""
