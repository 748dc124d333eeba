"""Questions, corrections, results and training in the labeling page, in headless Chromium."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("selenium.webdriver", reason="the browser is driven by selenium")
pytest.importorskip("av", reason="PyAV is not installed")

from tests.helpers.labeling import Page, until, write_round
from tests.system import browser as kit
from tests.system.label_fixtures import copied

pytest_plugins = ["tests.system.label_fixtures"]
pytestmark = pytest.mark.slow

QUESTION = (
    "const q = document.getElementById('question'); return q.hidden ? '' : document.getElementById('{}').textContent"
)
NOW = "return document.getElementById('video').currentTime"
# Videos a and b are labeled; nobody has labeled c. Round numbers of seconds tell the events apart.
ROUND = {
    "a": (True, [("open", 0.5, 1.5, 0.9), ("close", 2.4, 3.4, 0.4)]),
    "b": (True, [("close", 0.5, 1.5, 0.9), ("close", 4.0, 5.0, 0.8)]),
    "c": (False, [("open", 1.0, 2.0, 0.5), ("close", 4.0, 5.0, 0.45), ("open", 6.0, 7.0, 0.4)]),
}
POINTS = "class,video_id,time_s,annotator,id\nopen,a,1,ann,p1\nclose,b,1,ann,p2\nopen,b,3,ann,p3\n"


@pytest.fixture
def asked(clips, serve, browser, tmp_path):
    """A page of a folder on which a round of training has been done."""
    folder = copied(clips, tmp_path)
    (folder / "points.csv").write_text(POINTS)
    write_round(folder, ROUND)
    server = serve(folder, "--train-after", "0")
    page = Page(browser)
    page.open(server.address)
    page.show("a")
    browser.wait("return !document.getElementById('b-ask').disabled")
    return server, page


def ask(page: Page) -> str:
    from selenium.webdriver.common.keys import Keys

    page.press(Keys.F2)
    return place(page)


def place(page: Page) -> str:
    """Video and time of the question, once its moment plays."""
    page.browser.wait(QUESTION.format("q-place"))
    page.browser.wait(
        "return !document.getElementById('video').paused && document.getElementById('video').readyState > 1"
    )
    return str(page.browser.run(QUESTION.format("q-place")))


def answer(page: Page, *keys: str) -> None:
    """Press a key, and wait for the next question or the end."""
    before = page.browser.run(QUESTION.format("q-place"))
    page.press(*keys)
    page.browser.wait(
        f"{QUESTION.format('q-place').replace('return', 'const now =')}; return now !== arguments[0]", before
    )


def test_the_moment_plays_in_a_loop(asked, browser):
    _, page = asked
    assert ask(page).startswith("c, 0:01.00")
    page.ready("c")
    seen = []
    end = time.monotonic() + 6
    while time.monotonic() < end:
        seen.append(browser.run(NOW))
        time.sleep(0.05)
    assert min(seen) >= 0.3
    assert max(seen) <= 2.8
    assert sum(b < a - 0.5 for a, b in pairwise(seen)) >= 1
    assert not browser.run("return document.getElementById('video').paused")


def test_one_key_answers(asked, browser):
    from selenium.webdriver.common.keys import Keys

    server, page = asked
    ask(page)
    text = browser.run(QUESTION.format("q-text"))
    assert text == "Is this open?"
    answer(page, "y")
    page.saved()
    row = until(lambda: next((r for r in server.rows() if r["video_id"] == "c"), None))
    assert (row["class"], row["time_s"], row["annotator"]) == ("open", "1.500", "ann")
    assert "c" in server.record()["partly"]
    # no: an excluded class
    first = place(page)
    label = browser.run(QUESTION.format("q-text"))
    answer(page, "n")
    page.saved()
    (span,) = until(server.spans)
    assert f"Is this {span['class']}?" == label
    assert first.startswith(f"{span['video_id']}, 0:0{float(span['start_s']):.2f}")
    # another class
    second = place(page)
    key, other = ("2", "close") if browser.run(QUESTION.format("q-text")) == "Is this open?" else ("1", "open")
    before = len(server.rows())
    answer(page, key)
    page.saved()
    until(lambda: len(server.rows()) == before + 1)
    assert any(r["class"] == other and r["video_id"] == second.partition(",")[0] for r in server.rows())
    # undo brings the question back, and takes the click away
    if browser.run("return document.getElementById('question').hidden"):
        page.press("z")
    else:
        answer(page, "z")
        assert place(page) == second
        page.chord(Keys.SHIFT, "n")
        page.saved()
        until(lambda: any(not s["class"] for s in server.spans()))
    page.saved()
    until(lambda: len(server.rows()) == before)
    assert browser.complaints() == []


def test_unlabeled_videos_are_listed(asked, browser):
    _, page = asked
    browser.wait("return document.querySelector('#unlabeled button')?.textContent === 'c'")
    browser.run("document.querySelector('#unlabeled button').click()")  # the list is drawn again at any time
    page.ready("c")
    page.press("1")
    page.saved()
    browser.wait("return document.getElementById('next').hidden")


def test_questions_are_skipped_and_left(asked, browser):
    from selenium.webdriver.common.keys import Keys

    server, page = asked
    first = ask(page)
    answer(page, " ")
    second = place(page)
    assert second != first
    answer(page, "z")
    assert place(page) == first
    page.press(Keys.ESCAPE)
    browser.wait("return document.getElementById('question').hidden")
    assert browser.run("return document.getElementById('video').paused")
    assert len(server.rows()) == 3
    assert server.spans() == []
    page.show("a")
    page.press("1")  # keys have their usual meaning again
    page.saved()
    until(lambda: len(server.rows()) == 4)


IN_VIEW = (
    "return ['video', 'question', 'say'].every((id) => { const b = document.getElementById(id).getBoundingClientRect();"
    " return b.top >= 0 && b.bottom <= innerHeight; })"
)


def test_a_click_of_the_class_close_by_may_be_the_same_action(asked, browser):
    server, page = asked
    page.show("c")
    page.seek(0.2)
    page.press("2")  # an action of another class: the question about "open" at 1 to 2 s is asked
    page.saved()
    assert ask(page).startswith("c, 0:01.00")
    page.press("2")
    browser.wait("return document.getElementById('q-text').textContent === 'The same action?'")
    assert "close at 0:00.20" in browser.run(QUESTION.format("q-detail"))
    page.press("z")  # back to the question
    browser.wait("return document.getElementById('q-text').textContent === 'Is this open?'")
    page.press("2")
    browser.wait("return document.getElementById('q-text').textContent === 'The same action?'")
    answer(page, "y")
    page.saved()
    until(lambda: server.record().get("confirmed"))
    assert len(server.rows()) == 4
    answer(page, "z")
    page.saved()
    until(lambda: "confirmed" not in server.record())
    page.press("2", "n")
    page.saved()
    rows = until(lambda: len(server.rows()) == 5 and server.rows())
    assert [r["time_s"] for r in rows if (r["video_id"], r["class"]) == ("c", "close")] == ["0.200", "1.500"]
    assert browser.complaints() == []


def test_a_question_brings_the_player_and_the_messages_into_view(asked, browser):
    from selenium.webdriver.common.keys import Keys

    server, page = asked
    try:
        browser.driver.set_window_size(1400, 900)
        outcome(page)
        browser.run("scrollTo(0, 10000)")
        ask(page)
        browser.wait(IN_VIEW)
        page.press(Keys.ESCAPE)
        browser.wait("return document.getElementById('question').hidden")
        mistake(page, "close without a click")
        browser.wait(IN_VIEW)
    finally:
        page.open(server.address)


def test_the_next_mistake_follows_and_answers_are_counted_on(asked, browser):
    from selenium.webdriver.common.keys import Keys

    server, page = asked
    outcome(page)
    mistake(page, "open clicked, not found")
    assert browser.run("return document.querySelectorAll('#mistakes [aria-current=true]').length") == 1
    first = place(page)
    answer(page, "y")
    assert place(page) != first
    assert "1 answer so far, 1 mistake left" in browser.run(QUESTION.format("q-left"))
    page.press(Keys.ESCAPE)
    browser.wait("return document.querySelector('#mistakes li.settled')")
    mistake(page, "close without a click")
    assert "1 answer so far" in browser.run(QUESTION.format("q-left"))
    answer(page, "n")
    page.saved()
    answer(page, " ")
    browser.wait("return document.getElementById('question').hidden")
    assert page.message() == "No further mistakes: 1 skipped"
    # nothing of it is asked again in this round, also on a new page
    until(lambda: len(server.spans()) == 1)
    page.open(server.address)
    page.show("a")
    browser.wait("return !document.getElementById('b-ask').disabled")
    seen = set()
    at = ask(page)
    while at not in seen:
        seen.add(at)
        page.press(" ")
        time.sleep(0.5)
        if browser.run("return document.getElementById('question').hidden"):
            break
        at = place(page)
    assert seen
    assert not any(at.startswith(("b, 0:02", "b, 0:03", "b, 0:04")) for at in seen)


def test_an_entry_of_the_agreement_shows_the_clicks_of_others_in_its_video_only(asked, browser):
    server, page = asked
    (server.folder / "points.csv").write_text(POINTS.replace("ann,p1", "ben,p1") + "close,a,3,ann,p4\n")
    browser.wait("return !document.getElementById('others').hidden")
    page.show("b")
    browser.run("document.getElementById('b-agreement').click()")
    browser.wait("return document.querySelector('#agreement .conflicts button')").click()
    page.ready("a")
    browser.wait("return document.getElementById('b-others').checked")
    browser.wait(f"{NOW} > 0.5")  # at the conflict
    page.show("b")
    browser.wait("return !document.getElementById('b-others').checked")
    assert browser.complaints() == []


def test_the_export_says_its_minimum_score(asked, browser):
    _, page = asked
    outcome(page)
    options = "return [...document.getElementById('o-least').options].map((o) => o.textContent)"
    browser.wait("return document.getElementById('o-least').options[0].textContent.startsWith('0.30')")
    slide = "const s = document.getElementById('least'); s.value = 0.85; s.dispatchEvent(new Event('input'))"
    browser.run(slide)
    assert browser.run(options) == ["0.30, from training", "0.85, of the slider"]
    assert "by chance" in browser.run("return document.getElementById('o-chance').textContent")


def outcome(page: Page) -> list[str]:
    """Open the results. Returns the mistakes."""
    page.browser.run("if (document.getElementById('outcome').hidden) document.getElementById('b-outcome').click()")
    page.browser.wait("return document.querySelectorAll('#mistakes li').length")
    return list(page.browser.run("return [...document.querySelectorAll('#mistakes li')].map((n) => n.innerText)"))


def mistake(page: Page, text: str) -> None:
    """Ask about a mistake. The click is that of a person, without whom the browser plays nothing."""
    script = "return [...document.querySelectorAll('#mistakes button')].find((n) => n.innerText.includes(arguments[0]))"
    from selenium.common.exceptions import StaleElementReferenceException

    try:
        page.browser.run(script, text).click()
    except StaleElementReferenceException:  # the list was drawn anew
        page.browser.run(script, text).click()
    place(page)


def test_the_slider_shows_what_a_minimum_score_gives(asked, browser):
    _, page = asked
    mistakes = outcome(page)
    assert len(mistakes) == 3
    figures = browser.run("return document.getElementById('o-figures').textContent")
    assert "Precision 50 % (2 of 4" in figures
    assert "Recall 67 % (2 of 3" in figures
    slide = (
        "const s = document.getElementById('least'); s.value = arguments[0];"
        "s.dispatchEvent(new Event('input', {bubbles: true}))"
    )
    browser.run(slide, "0.85")
    browser.wait("return document.getElementById('o-figures').textContent.includes('Precision 100 % (2 of 2')")
    assert browser.run("return document.getElementById('least-value').textContent") == "0.85"
    browser.run(slide, "0.99")
    browser.wait("return document.getElementById('o-figures').textContent.includes('Recall 0 %')")
    assert browser.complaints() == []


def test_one_key_turns_a_false_event_into_background(asked, browser):
    server, page = asked
    outcome(page)
    mistake(page, "close without a click")
    page.press("n")
    page.saved()
    (span,) = until(server.spans)
    assert (span["video_id"], span["start_s"], span["end_s"], span["class"]) == ("b", "4.000", "5.000", "close")


def test_one_key_turns_a_missing_click_into_one(asked, browser):
    server, page = asked
    outcome(page)
    mistake(page, "close without a click")
    page.press("y")
    page.saved()
    rows = until(lambda: len(server.rows()) == 4 and server.rows())
    assert ("close", "b", "4.500") in [(r["class"], r["video_id"], r["time_s"]) for r in rows]


def test_one_key_settles_a_click_that_the_networks_do_not_find(asked, browser):
    from selenium.webdriver.common.keys import Keys

    server, page = asked
    outcome(page)
    mistake(page, "open clicked, not found")
    page.press("y")
    page.saved()
    until(lambda: server.record().get("confirmed"))
    assert list(server.record()["confirmed"]) == ["p3"]
    page.press(Keys.ESCAPE)
    browser.wait("return document.querySelector('#mistakes li.settled')")
    page.press("z")
    page.saved()
    until(lambda: "confirmed" not in server.record())
    browser.wait("return !document.querySelector('#mistakes li.settled')")
    mistake(page, "open clicked, not found")
    page.press("n")  # the click is wrong
    page.saved()
    until(lambda: len(server.rows()) == 2 and server.spans())
    assert server.spans()[0]["class"] == "open"
    page.press(Keys.ESCAPE)
    page.press("z")  # both changes are undone together
    page.saved()
    until(lambda: len(server.rows()) == 3 and not server.spans())
    assert "p3" in [r["id"] for r in server.rows()]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("size", kit.SIZES)
def test_questions_and_results_fit_and_can_be_read(asked, browser, size, dark):
    server, page = asked
    page.open(server.address, size, dark=dark)
    page.show("a")
    browser.wait("return !document.getElementById('b-ask').disabled")
    outcome(page)
    ask(page)
    width = kit.SIZES[size][0]
    assert browser.run("return [document.documentElement.scrollWidth, window.innerWidth]") == [width, width]
    seen, bad = browser.run(kit.CONTRAST)
    assert seen > 60
    assert bad == []
    small = (
        "return [...document.querySelectorAll('button, input, select, summary')]"
        ".filter((n) => n.getClientRects().length && n.type !== 'checkbox' && n.getBoundingClientRect().height < 24)"
        ".map((n) => n.outerHTML.slice(0, 80))"
    )
    assert browser.run(small) == []
    nodes = browser.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    controls = {"button", "textbox", "combobox", "slider", "checkbox", "link", "progressbar"}
    nameless = [
        node["role"]["value"]
        for node in nodes
        if not node.get("ignored")
        and node.get("role", {}).get("value") in controls
        and not node.get("name", {}).get("value")
    ]
    assert nameless == []
