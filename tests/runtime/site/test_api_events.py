"""Events over HTTP: pages, filters, tags, reviews, gaps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the API needs fastapi (extra serve)")
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from punctum.runtime.site.api.models import EventForm, EventsForm, GapsForm
from punctum.runtime.site.api.records import id_of, key_of

from tests.helpers import site_client
from tests.helpers.site_view import event

DAY = 1_790_000_000.0 // 86400 * 86400
JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory):
    made = site_client.start(tmp_path_factory.mktemp("site"))
    labels = ("open", "close", "<b>&\"'", "überfall 走", "a/b?c#d%2F")
    events = [
        event(
            ("gate", "yard")[k % 2],
            k,
            at=DAY + 60.0 * (k // 3),
            label=labels[k % len(labels)],
            score=(k % 10) / 10,
            phase=("final", "open", "retracted")[k % 7 % 3] if k % 7 < 3 else "final",
        )
        for k in range(60)
    ]
    made.view.report(*events, received=DAY)
    yield made
    made.stop()


def everything(site: site_client.Site, query: str, limit: int) -> list[dict[str, Any]]:
    found, cursor = [], ""
    for _ in range(200):
        page = site.get(f"events?{query}&limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        EventsForm.model_validate(page)
        assert len(page["events"]) <= limit
        found += page["events"]
        if page["next"] is None:
            return found
        assert page["events"], "a page that has a next one has events"
        cursor = page["next"]
    raise AssertionError("the pages have no end")


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    limit=st.integers(3, 25),
    cameras=st.sets(st.sampled_from(["gate", "yard", "nowhere"]), max_size=2),
    labels=st.sets(st.sampled_from(["open", "close", "a%2Fb%3Fc%23d%252F"]), max_size=2),
    least=st.sampled_from([0.0, 0.3, 0.85]),
    start=st.one_of(st.none(), st.integers(-100, 1500)),
    end=st.one_of(st.none(), st.integers(-100, 1500)),
)
def test_pages_joined_are_all_events_once(site, limit, cameras, labels, least, start, end):
    from urllib.parse import unquote

    parts = [f"camera={c}" for c in cameras] + [f"label={x}" for x in labels] + [f"min_score={least}"]
    parts += [] if start is None else [f"start={DAY + start}"]
    parts += [] if end is None else [f"end={DAY + end}"]
    found = everything(site, "&".join(parts), limit)
    keys = [(e["camera"], e["id"]) for e in found]
    assert len(set(keys)) == len(keys)
    times = [e["start_unix"] for e in found]
    assert times == sorted(times, reverse=True)
    wanted_labels = {unquote(x) for x in labels}

    def wanted(e: dict[str, Any]) -> bool:
        at = e["start_unix"]
        return (
            (not cameras or e["camera"] in cameras)
            and (not labels or e["label"] in wanted_labels)
            and e["score"] >= least
            and (start is None or at >= DAY + start)
            and (end is None or at < DAY + end)
        )

    whole = everything(site, "", 1000)
    assert sorted(keys) == sorted((e["camera"], e["id"]) for e in whole if wanted(e))


def test_pages_while_events_come(sites):
    site = sites()
    site.view.report(*[event("gate", k, at=DAY + k) for k in range(20)])
    first = site.get("events?limit=8")
    site.view.report(*[event("gate", 100 + k, at=DAY + 1000 + k) for k in range(5)])
    rest, cursor = [], first["next"]
    while cursor:
        page = site.get(f"events?limit=8&cursor={cursor}")
        rest += page["events"]
        cursor = page["next"]
    ids = [e["id"] for e in first["events"] + rest]
    assert ids == [f"gate/open/{k}/0" for k in reversed(range(20))]


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=-1",
        "limit=x",
        "limit=1e3",
        "min_score=2",
        "min_score=nan",
        "start=yesterday",
        "start=2026-01-01",
        "start=2026-01-01T00:00:00",
        "end=1e99",
        "end=nan",
        "phase=other",
        "cursor=%00",
        "cursor=" + "A" * 199,
        "cursor=" + "A" * 300,
        "reviewed=perhaps",
        "start=" + "9" * 30,
    ],
)
def test_wrong_queries_are_refused_with_a_reason(site, query):
    answer = site.ask(f"events?{query}")
    assert answer.status == 422, answer.data
    body = answer.json()
    assert body["code"].startswith("site-") and body["given"] and body["next_step"]
    assert set(body) == {"code", "given", "allowed", "next_step"}


def test_times_are_unix_or_iso(site):
    iso = "2026-09-21T00:10:00Z"
    unix = 1789949400
    assert site.get(f"events?start={iso}")["events"] == site.get(f"events?start={unix}")["events"]
    assert site.get("events?start=2026-09-21T02:10:00%2B02:00") == site.get(f"events?start={unix}")


def test_tags(site):
    first = site.ask("events?limit=5")
    tag = first.headers["ETag"]
    again = site.ask("events?limit=5", headers={"If-None-Match": tag})
    assert (again.status, again.data) == (304, b"") and again.headers["ETag"] == tag
    for header in (f'"other", {tag}', f"W/{tag}", "*"):
        assert site.ask("events?limit=5", headers={"If-None-Match": header}).status == 304
    assert site.ask("events?limit=6", headers={"If-None-Match": tag}).status == 200
    assert site.ask("events?limit=5", headers={"If-None-Match": '"' + "x" * 5000}).status == 200


@given(st.text(max_size=200))
def test_keys_are_ids_that_are_safe_in_addresses(text):
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    key = key_of(text)
    assert not set(key) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
    assert id_of(key) == text


def test_one_event(site):
    for listed in site.get("events?limit=20")["events"]:
        found = site.get(listed["url"])
        EventForm.model_validate(found)
        assert found == listed


@pytest.mark.parametrize(
    "path",
    [
        "events/gate/AAAA",
        "events/nowhere/Z2F0ZQ",
        "events/gate/..%2F..%2Fetc",
        "events/gate/%00",
        "events/gate/Z2F0ZQ==",
        "events/gate/" + "A" * 2049,
        "events/gate/Z2F0ZR",
        "events/gate/é",
        "events/" + "x" * 200 + "/Z2F0ZQ",
    ],
)
def test_events_that_do_not_exist(site, path):
    answer = site.ask(path)
    assert answer.status in (404, 422) and answer.json()["code"].startswith("site-api-")


def test_reviews(sites, tmp_path: Path):
    site = sites()
    site.view.report(event("gate", 1, at=DAY + 100))
    path = site.get("events")["events"][0]["url"] + "/review"

    def say(body: Any, status: int = 200) -> Any:
        answer = site.ask(path, "POST", body=json.dumps(body), headers=JSON)
        assert answer.status == status, answer.data
        return answer.json()

    assert say({"verdict": "right", "by": "ann"})["review"]["by"] == "ann"
    assert site.get("events?reviewed=true")["events"][0]["review"]["verdict"] == "right"
    assert say({"verdict": "class", "label": "close"})["review"]["label"] == "close"
    for label in ("throw a ball", "C++", "öffnen", "打开"):
        assert say({"verdict": "class", "label": label})["review"]["label"] == label, "a class for the next training"
    start = site.get("events")["events"][0]["start"]
    edges = say({"verdict": "edges", "start": start - 0.5})["review"]
    assert (edges["start"], edges["end"]) == (start - 0.5, start + 3.0)
    assert site.ask(path, "DELETE").json()["review"] is None
    assert site.get("events?reviewed=false")["events"]
    wrong = [
        {},
        [],
        None,
        5,
        "right",
        {"verdict": "perhaps"},
        {"verdict": "class"},
        {"verdict": "right", "label": "x"},
        {"verdict": "edges"},
        {"verdict": "edges", "start": 1e9},
        {"verdict": "edges", "end": -5},
        {"verdict": "edges", "start": "1"},
        {"verdict": "right", "more": 1},
        {"verdict": "right", "by": "x" * 101},
        {"verdict": "right", "note": "x" * 1001},
        {"verdict": "class", "label": ""},
        {"verdict": "class", "label": "a\nb\0"},
        {"verdict": "class", "label": "x" * 201},
        *(
            {"verdict": "class", "label": label}
            for label in ("Close", "CLO-SE", " close", "a  b", "\u200b", "...", "\u202ex")
        ),
    ]
    for body in wrong:
        assert say(body, 422)["code"].startswith("site-"), body
    raw: list[tuple[bytes, dict[str, str], int]] = [
        (b"{", JSON, 422),
        (b'{"verdict":"right","verdict":"wrong"}', JSON, 422),
        (b"\xff", JSON, 422),
        (b"", JSON, 422),
        (b'{"verdict":"edges","start":NaN}', JSON, 422),
        (b"[" * 100_000, JSON, 422),
        (b'{"verdict":"right"}', {}, 415),
        (b'{"verdict":"right"}', {"Content-Type": "text/plain"}, 415),
        (b" " * 300_000, JSON, 413),
    ]
    for data, headers, status in raw:
        answer = site.ask(path, "POST", body=data, headers=headers)
        assert answer.status == status and answer.json()["given"], (data[:20], answer.status)
    assert site.get("events")["events"][0]["review"] is None, "nothing of this was stored"


def test_edges_that_the_event_or_its_clip_does_not_have_are_refused(sites, tmp_path: Path):
    """They were clamped, which made a click at another place."""
    site = sites()
    site.view.report(event("gate", 1, at=DAY + 319), event("gate", 2, at=DAY + 619))
    events = {e["start"]: e for e in site.get("events")["events"]}
    (clip, first), (none, second) = ((e, events[e]) for e in sorted(events))
    (tmp_path / "clip.mp4").write_bytes(b"clip")
    site.view.store.add_media("gate", first["id"], "clip", str(tmp_path / "clip.mp4"), 4, clip - 4.0, clip + 6.0)

    def say(path: str, status: int, **edges: float) -> Any:
        body = json.dumps({"verdict": "edges", **edges})
        answer = site.ask(f"{path}/review", "POST", body=body, headers=JSON)
        assert answer.status == status, (edges, answer.data)
        return answer.json()

    for wrong, word in (
        ({"start": 5.0}, "clip"),
        ({"end": clip + 60}, "clip"),
        ({"start": clip + 3.5, "end": clip + 5}, "do not touch"),
        ({"start": clip - 3, "end": clip - 1}, "do not touch"),
    ):
        problem = say(first["url"], 422, **wrong)
        assert word in problem["given"] and f"{clip:.0f}"[:2] in problem["allowed"] and problem["next_step"], problem
    assert "no clip" in say(second["url"], 422, start=5.0)["given"]
    assert site.get(first["url"])["review"] is None, "nothing of this was stored"
    assert say(first["url"], 200, start=clip - 4.1, end=clip + 6.0)["review"]["end"] == clip + 6.0
    assert say(second["url"], 200, start=none - 20)["review"]["start"] == none - 20


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("events?limti=1", "did you mean limit?"),
        ("events?cameras=gate", "did you mean camera?"),
        ("events/wait?after=0&labels=open", "did you mean label?"),
        ("events/stream?min-score=0.5", "did you mean min_score?"),
        ("gaps?limit_=1", "There is no parameter"),
        ("cameras?x=1", "There is no parameter"),
    ],
)
def test_unknown_parameters_are_refused_with_a_suggestion(site, path, word):
    """They were left out, so that a mistyped filter returned everything."""
    answer = site.ask(path)
    assert answer.status == 422, answer.data
    body = answer.json()
    assert body["code"] == "site-api-parameter" and word in body["given"] and body["next_step"]


def test_gaps(sites):
    site = sites()
    site.view.store.add_gap("gate", 10.0, 20.0, DAY + 10, DAY + 20, 20, "camera-absent")
    site.view.store.add_gap("yard", 10.0, 20.0, DAY + 5000, DAY + 5010, 20, "<overload>")
    GapsForm.model_validate(site.get("gaps"))
    assert [g["camera"] for g in site.get("gaps")["gaps"]] == ["yard", "gate"]
    first = site.get("gaps?limit=1")
    second = site.get(f"gaps?limit=1&cursor={first['next']}")
    assert [page["gaps"][0]["camera"] for page in (first, second)] == ["yard", "gate"] and second["next"] is None
    assert site.ask("gaps?cursor=x").status == site.ask("gaps?limit=0").status == 422
    assert [g["camera"] for g in site.get(f"gaps?start={DAY + 15}&end={DAY + 100}")["gaps"]] == ["gate"]
    assert [g["reason"] for g in site.get("gaps?camera=gate")["gaps"]] == ["camera-absent"]
    assert [g["reason"] for g in site.get("gaps?camera=yard")["gaps"]] == ["missing"], "of another version"
