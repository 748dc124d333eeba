"""The server of `punctum label`: who may ask, ranges, hostile names and paths, bounds, and what the page may load."""

from __future__ import annotations

import json
import re
import signal
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the labeling page needs starlette (extra label)")
pytest.importorskip("uvicorn", reason="the labeling page needs uvicorn (extra label)")
pytest.importorskip("av", reason="PyAV is not installed")
from punctum.runtime.cli import invoke
from punctum.runtime.labeling.folder import open_folder
from punctum.runtime.labeling.guard import MAX_BODY, Guard
from punctum.runtime.labeling.learner import Learner
from punctum.runtime.labeling.library import Library
from punctum.runtime.labeling.media import video_id
from punctum.runtime.labeling.server import PAGE, Label

from tests.helpers.asgi import Answer, ask
from tests.helpers.labeling import LabelServer
from tests.helpers.video_corpus import encode

PORT, TOKEN = 8600, "a-token-of-this-run"
HOST = f"127.0.0.1:{PORT}"
NASTY = "<img src=x onerror=alert(1)>&\"';`$(id)"


class Site:
    def __init__(self, folder: Path) -> None:
        self.opened = open_folder(folder, classes=["open", "close"])
        self.library = Library(self.opened.videos, folder / "work", notify=lambda event: None)
        self.learner = Learner(self.opened.store, folder, folder / "work", after=0)
        label = Label(self.opened.store, self.library, self.learner, annotator="ann", title=folder.name)
        self.app: Guard = label.app(port=PORT, token=TOKEN)

    def get(self, path: str, **headers: str) -> Answer:
        given = {"host": HOST, "cookie": f"{self.app.cookie}={TOKEN}"}
        return ask(self.app, path, headers=given | {k.replace("_", "-"): v for k, v in headers.items()})

    def post(self, path: str, body: Any = b"", **headers: str) -> Answer:
        given = {"host": HOST, "cookie": f"{self.app.cookie}={TOKEN}", "origin": f"http://{HOST}"}
        if path == "/api/change" and isinstance(body, dict):
            body = {"folder": self.opened.store.identity, **body}
        data = body if isinstance(body, bytes | list) else json.dumps(body).encode()
        return ask(self.app, path, method="POST", headers=given | headers, body=data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("label") / "my-videos"
    place.mkdir()
    encode(place / "plain.mp4", 50)
    encode(place / f"{NASTY}.mp4", 10)
    (place / "secret.txt").write_text("secret")
    return place


@pytest.fixture
def site(folder: Path):
    made = Site(folder)
    yield made
    made.opened.store.close()
    (folder / "points.csv").unlink(missing_ok=True)


def test_the_address_gives_a_cookie_and_leaves_the_token_out_of_the_history(site):
    answer = ask(site.app, f"/?token={TOKEN}", headers={"host": HOST})
    assert answer.status == 303
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert site.get("/").status == 200


@pytest.mark.parametrize("path", ["/", "/api/state", "/api/events", "/page/main.js", "/api/agreement"])
def test_nothing_without_the_token(site, path):
    for headers in ({}, {"cookie": f"{site.app.cookie}=wrong"}, {"cookie": f"other={TOKEN}"}):
        answer = ask(site.app, path, headers={"host": HOST, **headers})
        assert answer.status == 403
        assert b"punctum label" in answer.body
    assert ask(site.app, f"{path}?token=wrong", headers={"host": HOST}).status == 403
    if path != "/":  # only the first page takes it from the address
        assert ask(site.app, f"{path}?token={TOKEN}", headers={"host": HOST}).status == 403


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", "", f"{HOST}.evil.example"]
)
def test_host_names_that_lead_here_are_refused(site, host):
    assert site.get("/api/state", host=host).status == 421


def test_two_host_headers_are_refused(site):
    cookie = (b"cookie", f"{site.app.cookie}={TOKEN}".encode())
    raw = [(b"host", HOST.encode()), (b"host", b"evil.example"), cookie]
    assert ask(site.app, "/api/state", raw=raw).status == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"origin": f"https://{HOST}"},
        {"origin": "http://127.0.0.1:9"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_requests_of_other_sites_are_refused(site, headers):
    change = {"op": "class", "annotator": "ann", "label": "evil"}
    assert site.post("/api/change", change, **headers).status == 403
    assert (
        ask(site.app, "/api/state", headers={"host": HOST, "cookie": f"{site.app.cookie}={TOKEN}", **headers}).status
        == 403
    )
    assert "evil" not in site.opened.store.classes


def test_a_change_needs_an_origin(site):
    headers = {"host": HOST, "cookie": f"{site.app.cookie}={TOKEN}"}
    assert ask(site.app, "/api/change", method="POST", headers=headers, body=b"{}").status == 403
    assert ask(site.app, "/api/change", method="PUT", headers=headers, body=b"{}").status == 405


def test_bodies_are_bounded(site):
    assert site.post("/api/skip", b"x" * (MAX_BODY + 1), **{"content-length": str(MAX_BODY + 1)}).status == 413
    assert site.post("/api/change", b"x", **{"content-length": "-1"}).status == 413
    assert site.post("/api/change", b"x", **{"content-length": "9" * 5000}).status == 413
    endless = [b"x" * 4096] * (2 * MAX_BODY // 4096)  # without a length
    assert site.post("/api/change", endless).status in (400, 413)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[" * 20000, b"\xff", b'{"op": "add"}', b'{"op": "class", "op": "class"}', b"NaN"]
)
def test_bad_changes_are_answered(site, body):
    answer = site.post("/api/change", body)
    assert answer.status == 400
    assert json.loads(answer.body)["code"] == "label-change"


def test_a_change_a_conflict_and_a_refusal(site):
    click = {"op": "add", "annotator": "ann", "id": "c1", "label": "open", "video": "plain", "time_s": 1.0}
    answer = site.post("/api/change", click)
    assert answer.status == 200
    assert json.loads(answer.body)["click"]["rev"] == 1
    was = {"label": "open", "time_s": 2.0, "note": ""}
    edit = {"op": "edit", "annotator": "ann", "id": "c1", "was": was, "time_s": 1.5}
    answer = site.post("/api/change", edit)
    assert (answer.status, json.loads(answer.body)["click"]["time_s"]) == (409, 1.0)
    assert site.post("/api/change", {**click, "id": "c2", "label": "=unknown"}).status == 400
    assert [c["id"] for c in json.loads(site.get("/api/state").body)["clicks"]] == ["c1"]


PATHS = [
    "/page/../server.py",
    "/page/..%2fserver.py",
    "/page/%2e%2e/guard.py",
    "/page//etc/passwd",
    "/page/theme.css/../../secret.txt",
    "/media/../secret.txt/video",
    "/media/..%2fsecret.txt/video",
    "/media/secret.txt/video",
    "/media/0000000000000000/video",
    "/media/0000000000000000/thumbnail/0",
    "/media//video",
    "/secret.txt",
    "/points.csv",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_path_leads_to_other_files(site, path):
    answer = site.get(path)
    assert answer.status in (404, 405)
    assert b"secret" not in answer.body


def test_videos_are_served_in_ranges(site, folder):
    ident = video_id(folder / "plain.mp4")
    assert site.get(f"/media/{ident}/video").status == 404  # not examined yet
    assert json.loads(site.post(f"/api/videos/{ident}/open").body)["state"] == "direct"
    data = (folder / "plain.mp4").read_bytes()
    whole = site.get(f"/media/{ident}/video")
    assert (whole.status, whole.body, whole.headers["accept-ranges"]) == (200, data, "bytes")
    assert whole.headers["content-type"] == "video/mp4"
    part = site.get(f"/media/{ident}/video", range="bytes=100-199")
    assert (part.status, part.body) == (206, data[100:200])
    assert part.headers["content-range"] == f"bytes 100-199/{len(data)}"
    last = site.get(f"/media/{ident}/video", range="bytes=-50")
    assert (last.status, last.body) == (206, data[-50:])
    assert site.get(f"/media/{ident}/video", range=f"bytes={len(data)}-").status == 416


def test_answers_restrict_what_the_page_may_do(site):
    for path in ("/", "/api/state", "/page/main.js", "/nowhere"):
        headers = site.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert not re.search(r"https?:|\*|unsafe", policy)
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_the_page_is_complete_and_loads_nothing_from_elsewhere(site):
    files = resources.files("punctum.runtime.labeling") / "page"
    assert sorted(PAGE) == sorted(path.name for path in files.iterdir())
    for name in (*PAGE, "theme.css", "elements.js"):
        answer = site.get(f"/page/{name}")
        assert answer.status == 200, name
        text = answer.body.decode()
        assert not re.search(r"https?://|//cdn|innerHTML|insertAdjacentHTML|eval\(|document\.write", text), name
        for other in re.findall(r"from \"\./([a-z.]+)\"", text):
            assert other in (*PAGE, "elements.js"), (name, other)


def test_hostile_names_are_data(site, folder):
    state = json.loads(site.get("/api/state").body)
    assert NASTY in [video["name"] for video in state["videos"]]
    assert NASTY not in site.get("/").body.decode()
    ident = video_id(folder / f"{NASTY}.mp4")
    assert re.fullmatch(r"[0-9a-f]{16}", ident)
    site.post(f"/api/videos/{ident}/open")
    assert site.get(f"/media/{ident}/video").status == 200


def test_the_command_serves_until_ctrl_c(folder):
    server = LabelServer(folder, "--annotator", "ann", port=0)
    server.start()
    assert server.stop() == 0
    (folder / "points.csv").write_text(f"class,video_id,time_s\nopen,{NASTY},0.1\n", encoding="utf-8")
    server.start()
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    said = server.process.communicate(timeout=30)[1]
    assert server.process.returncode == 0
    assert f"1 click in 1 video. Next: punctum train {folder} --out runs/{folder.name}" in said


def test_the_port_of_a_folder_stays_the_same(folder, tmp_path):
    server, ports = LabelServer(folder), []
    for _ in range(2):
        server.port = None
        server.start()
        ports.append(server.port)
        server.stop()
    assert ports[0] == ports[1]


def test_a_second_server_of_a_folder_is_refused(folder, capsys):
    server = LabelServer(folder, port=0)
    server.start()
    try:
        assert invoke(["label", str(folder), "--no-browser"]) == 2
        assert "label-running" in capsys.readouterr().err
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["{none}"], "dataset-missing"),
        (["{empty}"], "video-folder-empty"),
        (["{folder}", "--annotator", " "], "label-annotator"),
        (["{folder}", "--classes", "a,A"], "label-alike"),
        (["{folder}", "--annotator", "J\udcf6rg"], "label-annotator"),
        (["{folder}", "--points", ""], "path"),
    ],
)
def test_command_line_refusals(folder, tmp_path, capsys, arguments, code):
    (tmp_path / "empty").mkdir()
    places = {"none": tmp_path / "none", "empty": tmp_path / "empty", "folder": folder}
    assert invoke(["label", *(one.format(**places) for one in arguments), "--no-browser"]) == 2
    told = capsys.readouterr().err
    assert f"[{code}]" in told
    assert "Next: " in told
    assert not list((tmp_path / "empty").iterdir())


def test_a_port_that_is_taken_is_an_error(folder, capsys):
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert invoke(["label", str(folder), "--no-browser", "--port", str(taken.getsockname()[1])]) == 2
    assert "label-port" in capsys.readouterr().err


# --- training


GUIDE = ["/api/learning", "/api/questions", "/api/found", "/api/results"]


@pytest.mark.parametrize("path", GUIDE)
def test_what_training_found_needs_the_token(site, path):
    assert ask(site.app, path, headers={"host": HOST}).status == 403
    assert site.get(path).status == 200


@pytest.mark.parametrize("path", ["/api/train", "/api/export", "/api/skip", "/api/answer"])
def test_other_sites_cannot_start_training(site, path):
    assert site.post(path, {}, origin="http://evil.example").status == 403
    assert site.get(path).status == 405


@pytest.mark.parametrize("value", ["nan", "2", "-1", "x", "1e999"])
def test_a_minimum_score_that_cannot_be_is_refused(site, value):
    assert site.get(f"/api/results?min_score={value}").status == 400


@pytest.mark.parametrize("body", [b"{", b"[]", b"3", {"key": 3}, {"key": "k", "value": "x"}, {"key": "k" * 2000}])
def test_a_question_that_cannot_be_skipped_is_refused(site, body):
    assert site.post("/api/skip", body).status == 400
    assert site.post("/api/skip", {"key": "k"}).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{",
        {"key": "k"},
        {"key": 3, "moment": None},
        {"key": "k", "moment": {"video": "a", "start_s": 1, "end_s": "x"}},
        {"key": "k", "moment": {"video": "a", "start_s": -1, "end_s": 2}},
        {"key": "k", "moment": {"video": ["a"], "start_s": 1, "end_s": 2}},
        {"key": "k" * 2000, "moment": None},
        {"key": "k", "moment": 3},
        {"key": "k", "moment": "x"},
        {"key": "k", "moment": []},
    ],
)
def test_an_answer_that_cannot_be_is_refused(site, body):
    assert site.post("/api/answer", body).status == 400
    moment = {"video": "a", "start_s": 1, "end_s": 2, "click": None}
    assert site.post("/api/answer", {"key": "k", "moment": moment}).status == 200
    assert site.post("/api/answer", {"key": "k", "moment": None}).status == 200


def test_nothing_is_exported_before_training(site):
    answer = site.post("/api/export", {})
    assert answer.status == 400
    assert "before the first round" in json.loads(answer.body)["error"]
