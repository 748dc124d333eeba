"""`punctum serve --check`: the configuration against its bundles."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Bundle
from punctum.runtime.site.config.check import check_site
from punctum.runtime.site.config.load import site_of
from punctum.runtime.site.config.problems import SiteConfigError

DEMO = Path(str(resources.files("punctum.runtime"))) / "assets" / "demo"
BUNDLES = {"default": {"path": "default"}, "sensor": {"path": str(DEMO)}}


def problems(folder: Path, cameras: dict, bundles: dict | None = None) -> list[str]:
    site = site_of({"bundles": bundles or BUNDLES, "cameras": cameras}, folder)
    try:
        check_site(site)
    except SiteConfigError as error:
        return [str(one) for one in error.problems]
    return []


def test_a_site_that_fits(tmp_path):
    demo = Bundle.load(DEMO)
    np.save(tmp_path / "rows.npy", np.zeros((5, demo.manifest.features.dim), np.float32))
    cameras = {
        "hall": {"source": "rtsp://h/", "bundles": ["default"]},
        "machine": {"source": "rows.npy", "bundles": ["sensor"], "labels": [demo.labels[0]]},
    }
    site = site_of({"bundles": BUNDLES, "cameras": cameras}, tmp_path)
    facts = {one.name: one for one in check_site(site)}
    assert facts["sensor"].labels == demo.labels
    assert (facts["default"].video, facts["sensor"].video) == (True, False)
    assert facts["default"].cameras == ("hall",)


def test_what_does_not_fit(tmp_path):
    demo = Bundle.load(DEMO)
    label = demo.labels[0]
    np.save(tmp_path / "rows.npy", np.zeros((5, 3), np.float32))
    found = problems(
        tmp_path,
        {
            "a": {"source": "rtsp://h/", "bundles": ["sensor"]},
            "b": {"source": "rows.npy", "bundles": ["sensor"], "labels": [label, label + "x"]},
            "c": {"source": "tcp://127.0.0.1:1", "bundles": ["sensor", "default"]},
            "d": {"source": "rtsp://g/", "bundles": ["default"], "min_score": {"nope": 0.5}},
        },
    )
    assert any(f.startswith("cameras.a.source is video, and the bundle sensor takes features") for f in found)
    assert any(f.startswith("cameras.b.source has features of 3 columns") for f in found)
    assert any(f.startswith("cameras.b.labels[1] is ") and f"did you mean {label}?" in f for f in found)
    assert any(f.startswith("cameras.c.bundles take different features") for f in found)
    assert any(f.startswith("cameras.d.min_score.nope is 'nope'") for f in found)


def test_sources_that_are_no_video(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "hall.jpg").write_bytes(b"\xff\xd8\xff\xe0")
    (tmp_path / "hall.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    (tmp_path / "notes").write_text("text")
    names = ("folder", "hall.jpg", "hall.wav", "notes")
    found = problems(tmp_path, {f"c{n}": {"source": name, "bundles": ["default"]} for n, name in enumerate(names)})
    kinds = ("is a folder", "is a picture", "is a sound file", "is not recognized as a video")
    for n, kind in enumerate(kinds):
        assert any(f.startswith(f"cameras.c{n}.source {kind}, and the bundle default takes video") for f in found)


def test_bundles_that_cannot_be_opened(tmp_path):
    (tmp_path / "broken").mkdir()
    found = problems(
        tmp_path,
        {"a": {"source": "rtsp://h/", "bundles": ["broken", "gone", "eight"], "labels": ["x"]}},
        {"broken": {"path": "broken"}, "gone": {"path": "gone.zip"}, "eight": {"path": "default", "precision": "int8"}},
    )
    assert any(f.startswith("bundles.broken.path") for f in found)
    assert any(f.startswith("bundles.gone.path") and "does not exist" in f for f in found)
    if "int8" not in Bundle.load("default").manifest.precisions:
        assert any(f.startswith("bundles.eight.precision") for f in found)
    assert not any("labels" in f for f in found)


def test_a_file_that_is_not_there_is_a_finding_and_no_reason_to_refuse_the_site(tmp_path):
    found = problems(tmp_path, {"a": {"source": "nope.mp4", "bundles": ["default"]}})
    assert len(found) == 1 and found[0].startswith("cameras.a.source") and "nope.mp4 does not exist" in found[0]


def test_classes_of_the_retention(tmp_path):
    cameras = {"a": {"source": "rtsp://h/", "bundles": ["default"]}}
    labels = Bundle.load("default").labels
    kept = {labels[0]: {"days": 5}, labels[0][:-1]: {"days": 5}, "of an earlier bundle": {"days": 5}}
    site = site_of({"bundles": BUNDLES, "cameras": cameras, "retention": {"labels": kept}}, tmp_path)
    said: list[str] = []
    with pytest.raises(SiteConfigError) as caught:
        check_site(site, said.append)
    (problem,) = map(str, caught.value.problems)
    assert problem.startswith(f"retention.labels.{labels[0][:-1]} is no class of default")
    assert f"did you mean {labels[0]}?" in problem
    assert [text for text in said if "of an earlier bundle" in text] == said and len(said) == 1
