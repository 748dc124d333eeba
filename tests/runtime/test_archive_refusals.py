"""Archives: a command that cannot run changes nothing of earlier results."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("pyarrow", reason="archives need pyarrow (the extra `archive`)")
pytest.importorskip("onnxruntime", reason="scoring needs onnxruntime")
from punctum.runtime import Bundle
from punctum.runtime.errors import InputError

from tests.helpers import archives
from tests.helpers.archives import score


@pytest.fixture(scope="module")
def bundle():
    return Bundle.load(archives.DEMO)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    return archives.make_archive(tmp_path_factory.mktemp("recordings"), 3)


@pytest.fixture(scope="module")
def scored(bundle, recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("scored") / "out"
    score(bundle, [recordings], out)
    return out


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"target_precision": 0.9999, "min_score": None}, "target-out-of-reach"),
        ({"device": "cuda", "precision": "fp32"}, None),
    ],
)
def test_a_command_that_cannot_run_discards_nothing(bundle, scored, recordings, tmp_path, monkeypatch, options, code):
    from punctum.runtime.archive import _scorer

    def fail(*given, **more):
        raise InputError("device-unavailable", "no such device", required="one", next_step="use another")

    out = tmp_path / "out"
    shutil.copytree(scored, out)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    if code is None:
        monkeypatch.setattr(_scorer.Localizer, "open", fail)
    with pytest.raises(InputError) as caught:
        score(bundle, [recordings], out, replace=True, **options)
    assert caught.value.code == (code or "device-unavailable")
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_a_target_that_the_bundle_cannot_reach_makes_no_folder(bundle, recordings, tmp_path):
    with pytest.raises(InputError):
        score(bundle, [recordings], tmp_path / "new", target_precision=0.9999, min_score=None)
    assert not (tmp_path / "new").exists()
