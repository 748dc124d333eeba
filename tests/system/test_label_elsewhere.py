"""The labeling page when something else happens: another folder at its address, other programs, other pages."""

from __future__ import annotations

import json
import socket
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")

from tests.helpers.labeling import Page, until, write_round
from tests.system.label_fixtures import copied

pytest_plugins = ["tests.system.label_fixtures"]
pytestmark = pytest.mark.slow

SAVED = "return document.getElementById('saved').textContent"
POINTS = (
    "class,video_id,time_s,annotator,id,camera\nopen,a,1,ann,p1,left\nclose,b,1,ann,p2,right\nopen,b,3,ann,p3,left\n"
)
ROUND = {
    "a": (True, [("open", 0.5, 1.5, 0.9)]),
    "b": (True, [("open", 0.5, 1.5, 0.9), ("open", 2.5, 3.5, 0.9)]),
    "c": (False, [("open", 1.0, 2.0, 0.5), ("open", 6.0, 7.0, 0.45)]),
}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_clicks_do_not_go_to_another_folder(clips, serve, browser, tmp_path):
    """The server ends with two clicks unsent, and that of another folder takes its port."""
    port = free_port()
    one, two = copied(clips, tmp_path / "one"), copied(clips, tmp_path / "two")
    server = serve(one, "--classes", "open,close", port=port)
    page = Page(browser)
    page.open(server.address)
    page.show("c")
    first = browser.driver.current_window_handle
    server.kill()
    page.seek(1.0)
    page.press("1")
    page.seek(2.0)
    page.press("2")
    browser.wait(f"{SAVED}.includes('2 changes')", seconds=20)
    other = serve(two, "--classes", "open,close", port=port)
    browser.driver.switch_to.new_window("tab")
    second = browser.driver.current_window_handle
    try:
        browser.driver.get(other.address)
        page.saved()
        browser.wait("return document.getElementById('say').textContent.includes(arguments[0])", f"2 changes of {one}")
        browser.driver.switch_to.window(first)
        browser.driver.execute_cdp_cmd("Page.bringToFront", {})
        text = browser.wait(f"const t = {SAVED.removeprefix('return ')}; return t.includes('serves') && t", seconds=20)
        assert f"serves {two} now" in text
        assert "2 changes wait" in text
        assert f"of {one}" in text
        page.press("1")  # the page goes on for its own folder
        browser.wait(f"{SAVED}.includes('3 changes')", seconds=20)
        time.sleep(2.5)
        assert other.rows() == []
        assert browser.run("return document.getElementById('video-name').textContent") == "c"
        other.kill()
        browser.driver.switch_to.window(second)
        browser.driver.get(server.start())
        page.saved()
        rows = until(lambda: len(server.rows()) == 3 and server.rows())
        assert [row["class"] for row in rows if float(row["time_s"]) < 1.5] == ["open"]
        browser.driver.switch_to.window(first)
        browser.driver.execute_cdp_cmd("Page.bringToFront", {})
        page.saved()
        assert len(server.rows()) == 3
        assert other.rows() == []
    finally:
        browser.driver.switch_to.window(second)
        browser.driver.close()
        browser.driver.switch_to.window(first)


def test_a_click_waits_while_another_program_writes(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    server = serve(folder, "--classes", "open,close")
    page = Page(browser)
    page.open(server.address)
    page.show("c")
    page.press("1")
    page.saved()
    (folder / "points.csv").write_text("class,vid")
    page.press("2")
    assert "points.csv" in browser.wait(
        f"const t = {SAVED.removeprefix('return ')}; return t.startsWith('Not saved') && t"
    )
    (folder / "points.csv").write_text(POINTS)
    page.saved()
    rows = until(lambda: len(server.rows()) == 4 and server.rows())
    assert [row["class"] for row in rows if row["video_id"] == "c"] == ["close"]
    assert sorted(row["camera"] for row in rows) == ["", "left", "left", "right"]


def test_undo_restores_what_was_there(clips, serve, browser, tmp_path):
    """Delete, Enter, "nothing happens" and a wrong key, each with Z; also after a restart of the server."""
    from selenium.webdriver.common.keys import Keys

    folder = copied(clips, tmp_path)
    (folder / "points.csv").write_text(POINTS)
    marks = {
        "nothing": {"c": {"ann": "2025", "ben": "2025"}},
        "partly": {"b": {"ann": "2025"}},
        "confirmed": {"p1": {"ann": "2025"}},
    }
    record = {"schema": "punctum.labeling/1", "classes": ["open", "close"], **marks}
    (folder / "labeling.json").write_text(json.dumps(record))
    server = serve(folder)
    page = Page(browser)
    page.open(server.address)

    def kept() -> dict[str, object]:
        found = server.record()
        return {name: found.get(name, {}) for name in marks}

    page.show("c")
    page.press("1")
    page.saved()
    until(lambda: kept()["nothing"] == {"c": {"ben": "2025"}})
    page.press("z")
    page.saved()
    until(lambda: kept() == marks)
    page.show("b")
    page.press(Keys.ENTER)
    page.saved()
    until(lambda: kept()["partly"] == {})
    page.press("z")
    page.saved()
    until(lambda: kept() == marks)
    page.show("a")
    browser.run("document.querySelector('#clicks button').click()")
    page.press(Keys.DELETE)
    page.saved()
    until(lambda: kept()["confirmed"] == {})
    server.kill()
    page.press("z")
    browser.wait(f"{SAVED}.startsWith('Not saved')")
    page.open(server.start())
    page.saved()
    row = until(lambda: next((row for row in server.rows() if row["id"] == "p1"), None))
    assert row["camera"] == "left"
    assert kept() == marks
    assert [row["id"] for row in server.rows()] == ["p1", "p2", "p3"]


@pytest.fixture
def asked(clips, serve, browser, tmp_path):
    """A page that asks whether a click of the folder is right."""
    folder = copied(clips, tmp_path)
    (folder / "points.csv").write_text(POINTS)
    write_round(folder, ROUND)
    server = serve(folder, "--train-after", "0")
    page = Page(browser)
    page.open(server.address)
    page.show("b")
    browser.run("document.getElementById('b-outcome').click()")
    browser.wait("return document.querySelectorAll('#mistakes li').length")
    browser.run(
        "return [...document.querySelectorAll('#mistakes button')].find((n) => n.innerText.includes('close clicked'))"
    ).click()
    browser.wait("return !document.getElementById('question').hidden")
    return server, page


def delete_elsewhere(browser, ident: str) -> None:
    """Delete a click as another page does."""
    script = (
        "const [id, done] = arguments;"
        "Promise.all([import('/page/api.js'), import('/page/model.js')]).then(([a, m]) => "
        "a.call('api/change', {method: 'POST', headers: {'content-type': 'application/json', 'x-page': 'other'}, body: "
        "JSON.stringify({op: 'delete', id, was: m.state.clicks.get(id), annotator: 'ann', "
        "folder: a.site.folder})}))"
        ".then((r) => done(r.status))"
    )
    assert browser.driver.execute_async_script(script, ident) == 200


@pytest.mark.parametrize("key", ["y", "1", "2"])
def test_an_answer_about_a_click_that_is_gone_is_none(asked, browser, key):
    server, page = asked
    page.browser.run("document.activeElement.blur()")
    delete_elsewhere(browser, "p2")
    browser.wait(
        "const done = arguments[0]; return ![...document.querySelectorAll('#clicks li')].some((n) => "
        "n.textContent.includes('close'))"
    )
    page.press(key)
    browser.wait("return document.getElementById('say').textContent.includes('is gone')")
    browser.wait("return document.getElementById('question').hidden")
    page.press("z")
    browser.wait("return document.getElementById('say').textContent.includes('Nothing to undo')")
    page.saved()
    assert [row["id"] for row in server.rows()] == ["p1", "p3"]
    assert "confirmed" not in server.record()


def test_no_at_the_only_click_of_a_class_does_not_stop_training(asked, browser):
    from punctum.runtime import Dataset

    server, page = asked
    page.press("n")
    page.saved()
    (span,) = until(server.spans)
    assert span["class"] == "close"
    assert [row["id"] for row in server.rows()] == ["p1", "p3"]
    data = Dataset.open(server.folder, need_features=False)
    assert data.labels == ("open",)
    assert data.background() == {}
    page.press("z")
    page.saved()
    until(lambda: len(server.rows()) == 3 and not server.spans())
    assert [row["camera"] for row in server.rows()] == ["left", "right", "left"]


def test_a_converted_video_that_is_removed_is_made_again(serve, browser, tmp_path):
    import shutil

    from tests.helpers.video_corpus import encode
    from tests.system.label_fixtures import SIZE

    folder = tmp_path / "my-videos"
    folder.mkdir()
    for name in ("v", "w"):
        encode(folder / f"{name}.avi", 60, size=SIZE, codec="mpeg4")
    server = serve(folder, "--classes", "open")
    page = Page(browser)
    page.open(server.address)
    page.show("v")
    page.show("w")
    shutil.rmtree(folder / ".punctum-label")
    page.show("v")
    page.press("1")
    page.saved()
    assert len(server.rows()) == 1
    assert list((folder / ".punctum-label" / "converted").glob("*.mp4"))


def test_a_table_that_is_written_slowly_is_whole_in_the_page(clips, serve, browser, tmp_path):
    folder = copied(clips, tmp_path)
    server = serve(folder, "--classes", "open,close")
    page = Page(browser)
    page.open(server.address)
    page.show("c")

    def write(path: Path) -> None:
        with path.open("w") as stream:
            for line in POINTS.splitlines(keepends=True):
                stream.write(line)
                stream.flush()
                time.sleep(0.06)

    writer = threading.Thread(target=write, args=(folder / "points.csv",))
    writer.start()
    page.press("1")
    writer.join()
    page.saved()
    assert len(until(lambda: len(server.rows()) == 4 and server.rows())) == 4
