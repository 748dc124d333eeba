"""Changes over the API survive a restart, until the file says something else."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from punctum.runtime.site.changes import FILE, ApiChanges
from punctum.runtime.site.config.models import BundleConfig, CameraConfig, SiteConfig


def camera(source: str) -> CameraConfig:
    return CameraConfig(source=source, bundles=("a",))


def site(**cameras: CameraConfig) -> SiteConfig:
    return SiteConfig(bundles={"a": BundleConfig(path="default")}, cameras=cameras)


def changed(folder: Path, file: SiteConfig, after: SiteConfig) -> ApiChanges:
    changes = ApiChanges.load(folder)
    changes.record("cameras", file.cameras, after.cameras, file.cameras)
    changes.record("bundles", file.bundles, after.bundles, file.bundles)
    changes.save()
    return ApiChanges.load(folder)


def test_added_changed_and_removed_cameras_are_there_again(tmp_path: Path):
    file = site(hall=camera("rtsp://1"), yard=camera("rtsp://2"))
    after = site(hall=camera("rtsp://9"), dock=camera("rtsp://3"))
    assert changed(tmp_path, file, after).applied(file) == after


def test_a_bundle_likewise(tmp_path: Path):
    file = site()
    after = file.model_copy(update={"bundles": {"a": BundleConfig(path="other")}})
    assert changed(tmp_path, file, after).applied(file).bundles["a"].path == "other"


def test_the_file_wins_once_it_says_something_else(tmp_path: Path):
    file = site(hall=camera("rtsp://1"))
    changes = changed(tmp_path, file, site(hall=camera("rtsp://9"), dock=camera("rtsp://3")))
    edited = site(hall=camera("rtsp://5"))
    assert changes.applied(edited) == site(hall=camera("rtsp://5"), dock=camera("rtsp://3"))
    changes.forget(edited)
    assert changes.applied(file) == site(hall=camera("rtsp://1"), dock=camera("rtsp://3"))  # forgotten for good


def test_a_change_back_to_the_file_is_no_change(tmp_path: Path):
    file = site(hall=camera("rtsp://1"))
    changes = changed(tmp_path, file, site(hall=camera("rtsp://9")))
    changes.record("cameras", {"hall": camera("rtsp://9")}, file.cameras, file.cameras)
    assert changes.entries["cameras"] == {}


def test_a_damaged_record_is_moved_aside_and_said(tmp_path: Path, caplog):
    (tmp_path / FILE).write_text('{"cameras": [')
    assert ApiChanges.load(tmp_path).applied(site(hall=camera("rtsp://1"))) == site(hall=camera("rtsp://1"))
    assert "cannot be read" in caplog.text and not (tmp_path / FILE).exists()


def test_a_change_that_no_version_understands_is_left_out(tmp_path: Path, caplog):
    (tmp_path / FILE).write_text('{"cameras": {"hall": {"is": {"nonsense": 1}, "was": null}}}')
    assert ApiChanges.load(tmp_path).applied(site()) == site()
    assert "cannot be used" in caplog.text


def test_changes_that_could_not_be_written_are_written_later(tmp_path: Path, caplog):
    file, after = site(hall=camera("rtsp://1")), site(hall=camera("rtsp://9"))
    (tmp_path / FILE / "x").mkdir(parents=True)  # in the place of the file
    changes = ApiChanges(tmp_path / FILE)
    changes.record("cameras", file.cameras, after.cameras, file.cameras)
    for _ in range(2):
        changes.save()
        assert changes.unsaved
    assert caplog.text.count("are not kept yet") == 1
    (tmp_path / FILE / "x").rmdir()
    (tmp_path / FILE).rmdir()
    changes.save()
    assert not changes.unsaved
    assert ApiChanges.load(tmp_path).applied(file) == after


def test_what_differs_from_the_file_is_said(tmp_path: Path):
    file = site(hall=camera("rtsp://1"), door=camera("rtsp://2"))
    changes = changed(tmp_path, file, site(hall=camera("rtsp://9"), dock=camera("rtsp://3")))
    assert changes.differences(file) == [
        "camera dock is not in the file, and was added over the API",
        "camera door is in the file, and was removed over the API",
        "camera hall differs from the file: it was changed over the API",
    ]
    assert changes.removed(file) == ["door"]
    edited = site(hall=camera("rtsp://1"), door=camera("rtsp://7"))  # the file counts again
    assert len(changes.differences(edited)) == 2 and changes.removed(edited) == []


def test_a_running_site_says_it_in_the_log_and_to_the_api(tmp_path: Path, caplog):
    pytest.importorskip("prometheus_client", reason="the service needs prometheus_client (extra serve)")
    from punctum.runtime.site.config.load import load_site
    from punctum.runtime.site.running import RunningSite

    caplog.set_level(logging.INFO, "punctum.runtime.site.running")
    path = tmp_path / "site.yaml"
    text = (
        "bundles: {a: {path: default}}\ncameras:\n  door: {source: rtsp://127.0.0.1:1/, bundles: [a], enabled: false}\n"
    )
    path.write_text(text)
    running = RunningSite(load_site(path))
    running.supervisor._thread.start()  # without the processes of bundles
    try:
        running.change(lambda cameras: {})
        path.write_text(text + "retention: {gb: 3}\nsinks: {file: {type: jsonl, path: e.jsonl}}\n")
        running.reload()
        site = running.view.site()
        assert site.changed_over_api == ("camera door is in the file, and was removed over the API",)
        assert running.view.removed_cameras() == ["door"]
        assert not running.view.cameras()
    finally:
        running.supervisor._stopping.set()
        running.close()
    lines = [one.getMessage() for one in caplog.records]
    assert "configuration read: outputs added: file; retention changed: gb" in lines
    assert any(line.startswith("camera door is in the file, and was removed over the API") for line in lines)
    caplog.clear()
    again = RunningSite(load_site(path))
    again.close()
    assert any("camera door is in the file" in one.getMessage() for one in caplog.records)
