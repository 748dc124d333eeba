"""Clips, pictures, captions and live pictures over HTTP."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="the API needs fastapi (extra serve)")
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.site.api.captions import webvtt
from punctum.runtime.site.api.files import span_of
from punctum.runtime.site.store.rows import MediaRow

from tests.helpers import site_client
from tests.helpers.site_view import event

pytestmark = pytest.mark.slow

DAY = 1_790_000_000.0 // 86400 * 86400
DATA = bytes(range(256)) * 4096  # 1 MiB


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory):
    made = site_client.start(tmp_path_factory.mktemp("media"))
    one = event("gate", 1, at=DAY + 100)
    made.view.report(one)
    (made.media / "gate").mkdir()
    (made.media / "gate" / "clip.mp4").write_bytes(DATA)
    (made.media / "gate" / "picture.jpg").write_bytes(b"\xff\xd8picture")
    made.view.store.add_media("gate", one.id, "clip", "gate/clip.mp4", len(DATA), 99.0, 104.0)
    made.view.store.add_media("gate", one.id, "picture", str(made.media / "gate" / "picture.jpg"), 9, 101.0, 101.0)
    yield made
    made.stop()


def listed(site: site_client.Site) -> dict:
    return site.get("events")["events"][0]


def test_whole_file_and_tags(site):
    one = listed(site)
    answer = site.ask(one["clip"]["url"])
    assert (answer.status, answer.data) == (200, DATA)
    assert answer.headers["Content-Type"] == "video/mp4" and answer.headers["Accept-Ranges"] == "bytes"
    assert "immutable" in answer.headers["Cache-Control"]
    plain = site.ask(one["url"] + "/clip")
    assert "immutable" not in plain.headers["Cache-Control"] and plain.headers["ETag"] == answer.headers["ETag"]
    again = site.ask(one["clip"]["url"], headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status, again.data) == (304, b"")
    assert site.ask(one["clip"]["url"] + "0").headers["Cache-Control"] == "private, no-cache"
    head = site.ask(one["clip"]["url"], "HEAD")
    assert (head.status, head.data, head.headers["Content-Length"]) == (200, b"", str(len(DATA)))
    picture = site.ask(one["picture"]["url"])
    assert picture.headers["Content-Type"] == "image/jpeg" and picture.data == b"\xff\xd8picture"


@pytest.mark.parametrize(
    "header, first, last",
    [
        ("bytes=0-", 0, len(DATA) - 1),
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=-5", len(DATA) - 5, len(DATA) - 1),
        ("bytes=1000-99999999", 1000, len(DATA) - 1),
        ("bytes=-99999999", 0, len(DATA) - 1),
    ],
)
def test_ranges(site, header, first, last):
    answer = site.ask(listed(site)["clip"]["url"], headers={"Range": header})
    assert answer.status == 206 and answer.data == DATA[first : last + 1]
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(DATA)}"


@pytest.mark.parametrize(
    "header", ["bytes=5-1", "bytes=-", "bytes=x-", "items=0-1", "bytes=0-1,5-6", "bytes=" + "9" * 30 + "-"]
)
def test_ranges_that_are_ignored(site, header):
    answer = site.ask(listed(site)["clip"]["url"], headers={"Range": header})
    assert answer.status == 200 and len(answer.data) == len(DATA)


def test_ranges_that_cannot_be_met(site):
    url = listed(site)["clip"]["url"]
    for header in (f"bytes={len(DATA)}-", "bytes=-0"):
        answer = site.ask(url, headers={"Range": header})
        assert answer.status == 416 and answer.headers["Content-Range"] == f"bytes */{len(DATA)}"
    changed = site.ask(url, headers={"Range": "bytes=0-1", "If-Range": '"other"'})
    assert changed.status == 200 and len(changed.data) == len(DATA)


@given(st.text(max_size=40), st.integers(0, 2**62))
def test_any_range_header(header, size):
    try:
        span = span_of("bytes=" + header, size)
    except ValueError:
        return
    assert span is None or 0 <= span[0] < span[1] <= size


def test_nothing_outside_of_the_folder_is_sent(site, tmp_path: Path):
    secret = site.media.parent / "secret.mp4"
    secret.write_bytes(b"secret")
    (site.media / "link.mp4").symlink_to(secret)
    (site.media / "folder.mp4").mkdir(exist_ok=True)
    (site.media / "outside").symlink_to(site.media.parent)
    os.mkfifo(site.media / "fifo.mp4")
    paths = [
        "../secret.mp4",
        str(secret),
        "/etc/passwd",
        "link.mp4",
        "outside/secret.mp4",
        "folder.mp4",
        "fifo.mp4",
        "",
        ".",
        "gate/../../secret.mp4",
        "missing.mp4",
        "a\0b",
        "x" * 5000,
        "/dev/zero",
        "/proc/self/environ",
    ]
    for k, path in enumerate(paths):
        one = event("yard", 100 + k, at=DAY + k)
        site.view.report(one)
        site.view.store.add_media("yard", one.id, "clip", path, 6, 0.0, 1.0)
        url = next(e for e in site.get("events?camera=yard")["events"] if e["id"] == one.id)["url"]
        answer = site.ask(url + "/clip")
        assert answer.status == 404 and answer.json()["code"] == "site-api-media" and b"secret" not in answer.data, path


def test_no_media_yet_and_deleted_media(sites):
    site = sites()
    one, other = event("gate", 1, at=DAY), event("gate", 2, at=DAY + 1)
    site.view.report(one, other)
    site.view.store.add_media("gate", one.id, "clip", None, 0, 0.0, 0.0, "clips are off")
    by_id = {e["id"]: e for e in site.get("events")["events"]}
    assert by_id[one.id]["clip"]["url"] is None and by_id[other.id]["clip"] is None
    answer = site.ask(by_id[one.id]["url"] + "/clip")
    assert answer.status == 404 and "clips are off" in answer.json()["given"]
    assert site.ask(by_id[other.id]["url"] + "/picture").status == 404
    assert site.ask(by_id[other.id]["url"] + "/clip.vtt").status == 404


def test_a_file_that_is_deleted_while_it_is_sent(site):
    one = event("gate", 50, at=DAY + 200)
    site.view.report(one)
    file = site.media / "gone.mp4"
    file.write_bytes(DATA * 8)
    site.view.store.add_media("gate", one.id, "clip", "gone.mp4", len(DATA) * 8, 0.0, 1.0)
    answer = site.ask(listed(site)["url"] + "/clip", preload_content=False)
    begin = answer.read(1000)
    file.unlink()
    assert begin + answer.read() == DATA * 8
    assert site.ask(listed(site)["url"] + "/clip").status == 404


def test_captions(site):
    one = next(e for e in site.get("events?camera=gate")["events"] if e["clip"] and "gone" not in str(e))
    answer = site.ask(one["url"] + "/clip.vtt")
    assert answer.headers["Content-Type"].startswith("text/vtt")
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert site.ask(one["url"] + "/clip.vtt", headers=tag).status == 304
    clip = MediaRow("gate", "x", "clip", "a", 1, 100.0, 106.0, "", 0.0)
    text = webvtt(event("gate", 1, at=DAY + 102.5, label="a<b> --> c&d\n\nNOTE"), clip)
    assert text == "WEBVTT\n\n00:00:02.500 --> 00:00:05.500\na&lt;b&gt; --&gt; c&amp;d NOTE 0.80\n"
    outside = webvtt(event("gate", 1, at=DAY + 50), clip)
    assert "00:00:00.000 --> 00:00:00.001" in outside


def test_a_camera_is_asked_once_for_many_clients(sites):
    site = sites(cameras=("gate", "off"), picture_s=30.0)
    site.view.add_camera("gate", picture=True)
    site.view.pictures["gate"] = b"\xff\xd8live"
    site.view.slow_s = 0.3
    found: list[tuple[int, bytes]] = []

    def ask() -> None:
        answer = site.ask("cameras/gate/picture")
        found.append((answer.status, answer.data))

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [(200, b"\xff\xd8live")] * 20 and site.view.asked == ["gate"]
    answer = site.ask("cameras/gate/picture")
    tag = {"If-None-Match": answer.headers["ETag"]}
    assert site.ask("cameras/gate/picture", headers=tag).status == 304 and site.view.asked == ["gate"]
    assert site.ask("cameras/off/picture").status == 204
    assert site.ask("cameras/nowhere/picture").status == 404


def test_a_camera_that_does_not_answer_holds_up_nothing(sites):
    site = sites()
    for k in range(12):
        site.view.add_camera(f"slow{k}", picture=True)
    site.view.slow_s = 6.0
    late = {"timeout": 60}
    threads = [threading.Thread(target=site.ask, args=(f"cameras/slow{k}/picture",), kwargs=late) for k in range(12)]
    for thread in threads:
        thread.start()
    begun = time.monotonic()
    assert site.get("cameras")["cameras"]
    assert time.monotonic() - begun < 5.5
    for thread in threads:
        thread.join()
