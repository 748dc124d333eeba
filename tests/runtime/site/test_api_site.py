"""The site, its cameras, bundles and outputs over HTTP, and what the OpenAPI document says about all this."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the API needs fastapi (extra serve)")
from punctum.runtime.site.api import models

from tests.helpers import site_scenes
from tests.helpers.site_view import event

JSON = {"Content-Type": "application/json"}
ROOT = Path(__file__).resolve().parents[3]


def test_what_is_there_has_the_documented_form(sites):
    site = sites(cameras=())
    empty = {name: site.get(name)[name] for name in ("cameras", "sinks", "events", "gaps") if name != "events"}
    assert empty == {"cameras": [], "sinks": [], "gaps": []}
    for name, (state, why, next_step) in site_scenes.STATES.items():
        stats = {"fps": 9.9, "bad": float("nan"), "stages": {"read_s": 0.1}, "list": [1, 2]}
        site.view.add_camera(name, state, why=why, next_step=next_step, stats=stats)
    site_scenes.sinks(site.view)
    site.view.track_views["gate"] = site_scenes.tracks()
    models.CamerasForm.model_validate(site.get("cameras"))
    models.CameraForm.model_validate(site.get("cameras/hall"))
    models.BundlesForm.model_validate(site.get("bundles"))
    models.SinksForm.model_validate(site.get("sinks"))
    models.TracksForm.model_validate(site.get("cameras/gate/tracks"))
    found = site.get("site")
    models.SiteForm.model_validate(found)
    models.SessionForm.model_validate(site.get("session"))
    assert found["cameras"]["running"] == 2 and found["labels"] == list(site_scenes.LABELS)
    assert site.get("cameras/gate")["stats"]["bad"] is None
    assert site.ask("cameras/hall/tracks").status == 204


def test_cameras_are_added_changed_and_removed(sites):
    site = sites()
    body = {"source": "rtsp://user:secret@10.0.0.9/a", "bundles": ["doors"], "masks": [[[0, 0], [1, 0], [0.5, 1]]]}
    added = site.ask("cameras/new", "PUT", body=json.dumps(body), headers=JSON)
    assert added.status == 201 and b"secret" not in added.data
    assert site.view.views["new"].config.source == body["source"]
    changed = site.ask("cameras/new", "PUT", body=json.dumps({**body, "enabled": False}), headers=JSON)
    assert changed.status == 200 and changed.json()["state"] == "off"
    assert site.ask("cameras/new/enable", "POST").json()["enabled"]
    assert not site.ask("cameras/new/disable", "POST").json()["enabled"]
    assert site.ask("cameras/new/restart", "POST").json()["state"] == "starting"
    assert site.ask("cameras/new", "DELETE").status == 204
    for method, path in (("DELETE", "new"), ("POST", "new/enable"), ("POST", "new/restart"), ("GET", "new")):
        missing = site.ask(f"cameras/{path}", method)
        assert missing.status == 404 and missing.json()["code"] == "site-api-camera"


@pytest.mark.parametrize(
    "body, word",
    [
        ({}, "source"),
        ({"source": 5, "bundles": ["doors"]}, "source"),
        ({"source": "a", "bundles": []}, "bundles"),
        ({"source": "a", "bundles": ["doors"], "more": 1}, "more"),
        ({"source": "a", "bundles": ["other"]}, "other"),
        ({"source": "a", "bundles": ["doors"], "min_score": 7}, "min_score"),
        ({"source": "", "bundles": ["doors"]}, "source"),
        ({"source": "a", "bundles": ["doors"], "masks": [[[0, 0]]]}, "masks"),
        ([], "body"),
        ("x", "body"),
    ],
)
def test_cameras_that_are_refused(sites, body, word):
    site = sites()
    answer = site.ask("cameras/new", "PUT", body=json.dumps(body), headers=JSON)
    assert answer.status == 422 and word in answer.json()["given"], answer.data
    assert "new" not in site.view.views


def test_bundles_are_replaced(sites):
    site = sites()
    answer = site.ask("bundles/doors", "PUT", body=json.dumps({"path": "doors-2"}), headers=JSON)
    assert answer.status == 200 and answer.json()["bundles"][0]["next_id"] == "doors-2"
    assert site.ask("bundles/other", "PUT", body=json.dumps({"path": "x"}), headers=JSON).status == 404
    assert site.ask("bundles/doors", "PUT", body=json.dumps({"path": "x", "threads": 0}), headers=JSON).status == 422
    assert site.ask("site/reload", "POST").status == 204 and site.view.reloads == 1


def test_errors_of_the_service_are_json(sites, monkeypatch):
    from punctum.runtime.errors import PunctumError

    site = sites()

    def fail(name: str) -> None:
        raise PunctumError("site-store", "The disk is full \ud800", next_step="make room")

    monkeypatch.setattr(site.view, "restart_camera", fail)
    answer = site.ask("cameras/gate/restart", "POST")
    assert answer.status == 503 and answer.json()["code"] == "site-store" and answer.json()["next_step"] == "make room"
    for path, method, status in (
        ("nowhere", "GET", 404),
        ("cameras", "POST", 405),
        ("/nowhere", "GET", 404),
        ("/page/x.js", "GET", 404),
    ):
        found = site.ask(path, method)
        assert found.status == status and set(found.json()) == {"code", "given", "allowed", "next_step"}


def test_metrics_and_health(sites):
    site = sites()
    answer = site.ask("/metrics")
    assert (
        answer.status == 200
        and b"punctum_cameras 2.0" in answer.data
        and "text/plain" in answer.headers["Content-Type"]
    )
    assert (site.ask("/healthz").status, site.ask("/readyz").status) == (200, 200)
    site.view.add_camera("slow", "starting")
    assert site.ask("/readyz").status == 503 and b"slow" in site.ask("/readyz").data


def test_the_page_and_its_parts(sites):
    import re

    site = sites()
    page = site.ask("/").data.decode()
    names = set(re.findall(r'(?:href|src)="(page/[^"]+)"', page))
    todo, seen = sorted(names), set()
    while todo:
        name = todo.pop()
        answer = site.ask(f"/{name}")
        assert answer.status == 200, name
        assert site.ask(f"/{name}", headers={"If-None-Match": answer.headers["ETag"]}).status == 304
        seen.add(name)
        if name.endswith(".js"):
            assert answer.headers["Content-Type"].startswith("text/javascript")
            new = {
                f"page/{found}"
                for found in re.findall(r'from "\./([^"]+)"|import "\./([^"]+)"', answer.data.decode())
                for found in found
                if found
            }
            todo += sorted(new - seen - set(todo))
    assert "page/review.js" in seen
    for text in (page, *(site.ask(f"/{name}").data.decode() for name in seen)):
        assert not re.search(r"https?://(?!www\.w3\.org)", text), "no other hosts"
        assert "innerHTML" not in text and "document.write" not in text and "eval(" not in text


def test_the_document_is_checked_in():
    done = subprocess.run(
        [sys.executable, str(ROOT / ".ci" / "site_openapi.py"), "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_document_describes_everything(sites):
    site = sites()
    made: dict[str, Any] = site.get("openapi.json")
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, methods in made["paths"].items():
        assert path.startswith("/api/v1/") or path in ("/metrics", "/healthz", "/readyz")
        for method, route in methods.items():
            assert route["responses"]["422"]["content"] == problem, (method, path)
            assert route["summary"] and route["description"], (method, path)
            for parameter in route.get("parameters", ()):
                assert (
                    parameter.get("description")
                    or parameter["schema"].get("description")
                    or parameter["name"] in ("cursor", "limit", "phase")
                ), (path, parameter)
    text = json.dumps(made)
    import re

    for name in re.findall(r'"#/components/schemas/([^"]+)"', text):
        assert name in made["components"]["schemas"], name
    schemas = made["components"]["schemas"]
    assert "CameraConfig" in schemas and "HTTPValidationError" not in text
    assert made["paths"]["/healthz"]["get"]["security"] == [] and "/metrics" in made["paths"]
    stream = made["paths"]["/api/v1/events/stream"]["get"]
    (messages,) = stream["responses"]["200"]["content"].values()
    assert set(messages["x-messages"]) == {"hello", "report"}
    assert ("header", "last-event-id") in {(p["in"], p["name"]) for p in stream["parameters"]}
    assert schemas["ReportForm"]["properties"]["event"]["$ref"].endswith("/SentEvent")
    assert schemas["CameraForm"]["properties"]["stats"]["$ref"].endswith("/CameraStats")
    assert schemas["CameraForm"]["properties"]["losses"]["additionalProperties"] == {"type": "integer"}


def test_where_reviews_are_is_told_to_operators(sites):
    site = sites(read_token="r" * 24, operate_token="o" * 24)
    for token, told in (("o" * 24, True), ("r" * 24, False)):
        found = site.ask("site", headers={"Authorization": f"Bearer {token}"}).json()
        assert bool(found["reviews"]) is told
        assert not told or Path(found["reviews"]) == site.view.store.folder / "reviews"


def test_reports_have_the_documented_form(sites):
    site = sites()
    site.view.report(event("gate", 1, at=time.time() - 60))
    models.ReportsForm.model_validate(site.get("events/wait?after=0"))


def test_the_start_is_quick(sites):
    begun = time.monotonic()
    site = sites()
    assert site.get("site") and time.monotonic() - begun < 20
