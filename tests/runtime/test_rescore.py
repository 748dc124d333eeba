"""`punctum rescore` and `Localizer.rescore`: the proposals of any locator."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from punctum import kernels
from punctum.runtime import Bundle, InputError, Localizer
from punctum.runtime.bundle.config import Fusion, PostProcess
from punctum.runtime.cli import invoke
from punctum.runtime.datasets.proposals import read_proposals, read_results
from punctum.runtime.features.features import Features
from punctum.runtime.session.post import propose
from punctum.runtime.session.rescore import ScoredSegments, fit_to_recording, score_segments, settle, tracks_of

from tests.helpers import fakes

BASE = PostProcess(fusion=Fusion(contrast=0.0, base=1.0))


def own_proposals(localizer: Localizer, rows: np.ndarray, start_s: float = 0.0) -> ScoredSegments:
    """What the locator itself proposes, over the whole recording."""
    plan = localizer.plan
    tracks = tracks_of(plan, localizer.backend, rows)
    found = propose(tracks[:, :-1], tracks[:, -1], plan.post, stride_s=plan.stride_s)
    return ScoredSegments(start_s + (found.segments + 0.5) * plan.stride_s, found.label, np.ones(len(found.label)))


def test_the_proposals_of_a_bundle_become_its_events():
    localizer = fakes.localizer()
    post = localizer.plan.post.model_copy(update={"max_island_s": 600.0, "actionness_thresholds": ()})
    localizer = Localizer._of(localizer.backend, replace(localizer.plan, post=post))  # no island is cut
    rows = fakes.recording(3, 300)
    events = sorted((e.label, e.start, e.end, e.score) for e in localizer.localize(rows))
    made = localizer.rescore(rows, own_proposals(localizer, rows))
    found = sorted(
        (localizer.labels[c], *s, x)
        for c, s, x in zip(made.label, made.segments.tolist(), made.score.tolist(), strict=True)
    )
    assert len(found) == len(events) > 20
    assert [row[0] for row in found] == [row[0] for row in events]
    np.testing.assert_allclose([row[1:] for row in found], [row[1:] for row in events], rtol=0, atol=1e-4)


def test_times_are_on_the_media_clock():
    localizer = fakes.localizer()
    rows = fakes.recording(3, 120)
    stride = localizer.plan.stride_s
    at_0 = localizer.rescore(rows, own_proposals(localizer, rows))
    late = localizer.rescore(Features(rows, stride, start_s=50.0), own_proposals(localizer, rows, 50.0))
    np.testing.assert_allclose(late.segments, at_0.segments + 50.0, atol=1e-9)
    np.testing.assert_allclose(late.score, at_0.score, atol=1e-6)


def test_many_and_long_proposals_are_scored_in_runs_of_bounded_size():
    localizer = fakes.localizer()
    plan, backend = localizer.plan, localizer.backend
    rows = fakes.recording(5, 4000)
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 3900, 900)
    positions = np.stack([start, np.minimum(start + rng.choice([1.0, 20.0, 3000.0], 900), 3999.4)], axis=1)
    labels = rng.integers(0, len(plan.labels), 900)
    tracks = tracks_of(plan, backend, rows)
    fusion = Fusion(class_probability=1.0, center=1.0)
    calls = []

    class Counting:
        requested = actual = "fake"
        locate = staticmethod(backend.locate)

        def score(self, features, tracks, segments, labels):
            calls.append((len(features), len(segments)))
            return backend.score(features, tracks, segments, labels)

    probability, _, center = score_segments(plan, Counting(), rows, tracks, positions, labels, fusion)
    assert len(calls) > 1
    assert max(count for _, count in calls) <= 512
    whole = backend.score(rows, tracks, positions.astype(np.float32), labels)
    np.testing.assert_allclose(center, whole[2], atol=2e-3)
    np.testing.assert_allclose(probability, whole[0], atol=2e-3)


def test_without_a_scorer_aba_and_suppression_run_per_class():
    segments = np.array([[0.0, 10.0], [1.0, 11.0], [0.5, 10.5], [0.0, 10.0]])
    given = ScoredSegments(segments, np.array([0, 0, 0, 1]), np.array([0.9, 0.8, 0.3, 0.5]))
    made = settle(given, BASE)
    adapted = kernels.adapt_boundaries(segments[:3], given.score[:3], iou_threshold=0.4)
    kept, scores = kernels.soft_nms(adapted, given.score[:3], sigma=0.3, min_score=0.001)
    assert made.label.tolist().count(0) == len(kept)
    np.testing.assert_allclose(made.segments[made.label == 0], adapted[kept])
    np.testing.assert_allclose(made.score[made.label == 0], scores)
    assert made.segments[made.label == 1].tolist() == [[0.0, 10.0]]
    assert (np.diff(made.score) <= 0).all()


def test_proposals_are_clipped_to_their_recording():
    rows = [[-1.0, 2.0], [1.0, 2.0], [9.0, 14.0], [10.5, 12.0], [3.0, 3.0], [-3.0, -1.0], [10.0, 12.0]]
    given = ScoredSegments(np.array(rows), np.zeros(7, np.int64), np.ones(7))
    fitted = fit_to_recording(given, 0.0, 10.0, least_s=0.001)
    assert fitted.proposals.segments.tolist() == [[0.0, 2.0], [1.0, 2.0], [9.0, 10.0]]
    assert (fitted.clipped, fitted.short, fitted.outside) == (2, 2, (3, 5))


def test_the_own_score_is_a_term_and_a_proposal_without_one_is_refused():
    localizer = fakes.localizer()
    rows = fakes.recording(3, 120)
    given = own_proposals(localizer, rows)
    post = localizer.plan.post.model_copy(update={"adapt": False, "suppression": "none", "min_score": 0.0})
    with_base = post.model_copy(update={"fusion": post.fusion.model_copy(update={"base": 2.0})})
    halved = ScoredSegments(given.segments, given.label, np.full(len(given), 0.5))
    plain = localizer.rescore(rows, given, post=post)
    scored = localizer.rescore(rows, halved, post=with_base)
    np.testing.assert_allclose(scored.score, plain.score / 4)
    missing = ScoredSegments(given.segments, given.label, np.where(np.arange(len(given)) == 1, np.nan, 0.5))
    with pytest.raises(InputError) as caught:
        localizer.rescore(rows, missing, post=with_base)
    assert caught.value.code == "proposal-unscored"
    assert len(localizer.rescore(rows, missing, post=post)) == len(plain)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> dict[str, Path]:
    pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
    from punctum.runtime.datasets.dataset import Dataset
    from punctum.runtime.synthetic.sensors import write_demo_dataset

    folder = tmp_path_factory.mktemp("rescore")
    write_demo_dataset(folder / "data", videos=6, seed=3)
    bundle = Path(str(resources.files("punctum.runtime") / "assets" / "demo"))
    localizer, data = Localizer(Bundle.load(bundle)), Dataset.open(folder / "data")
    results = {}
    for video in (*data.train, *data.test):
        found = own_proposals(localizer, data.features(video).data)
        results[video] = [
            {"label": data.labels[c], "segment": s, "score": 0.5}
            for c, s in zip(found.label, found.segments.tolist(), strict=True)
        ]
    file = folder / "proposals.json"
    file.write_text(json.dumps({"version": "base", "results": results}))
    return {"bundle": bundle, "data": folder / "data", "file": file}


def written(folder: Path, results: Any) -> str:
    path = folder / "p.json"
    path.write_text(results if isinstance(results, str) else json.dumps({"results": results}))
    return str(path)


def test_the_command_writes_what_eval_reads(place, tmp_path, capsys):
    words = [str(place["bundle"]), str(place["data"])]
    out = str(tmp_path / "r.json")
    assert invoke(["rescore", *words, str(place["file"]), "--out", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["left_out"]["videos_of_the_other_subset"] > 0
    assert told["videos_without_proposals"] == 0 < told["events"] < told["proposals"]
    record = json.loads(Path(out).read_text())
    assert record["external_data"]["bundle"] == Bundle.load(place["bundle"]).id
    assert invoke(["eval", str(place["data"]), "--detections", out, "--json"]) == 0
    rescored = json.loads(capsys.readouterr().out)["map"]["average"]
    assert invoke(["eval", *words, "--json"]) == 0
    assert rescored == pytest.approx(json.loads(capsys.readouterr().out)["map"]["average"], abs=0.01)
    assert invoke(["rescore", *words, str(place["file"]), "--out", out]) == 0  # its own output is replaced
    assert "videos of the other subset were left out" in capsys.readouterr().out


def test_without_a_bundle_the_scores_of_the_file_are_used(place, tmp_path, capsys):
    out = str(tmp_path / "r.json")
    assert invoke(["rescore", str(place["data"]), str(place["file"]), "--out", out, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["bundle"] is None
    assert told["rules"]["fusion"]["base"] == 1
    assert told["rules"]["min_score"] == 0


def test_without_a_bundle_features_state_the_length_of_a_recording(place, tmp_path, capsys):
    from punctum.runtime.datasets.dataset import Dataset

    video = Dataset.open(place["data"]).test[0]
    outside = written(tmp_path, {video: [GOOD | {"segment": [1e6, 2e6]}]})
    assert invoke(["rescore", str(place["data"]), outside, "--out", str(tmp_path / "r.json")]) == 2
    told = capsys.readouterr().err
    assert "[proposal-outside]" in told and "where its features end" in told
    long = written(tmp_path, {video: [GOOD | {"segment": [1.0, 3000.0]}]})
    assert invoke(["rescore", str(place["data"]), long, "--out", str(tmp_path / "r.json"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["clipped"] == 1


GOOD = {"label": "wave", "segment": [1.0, 2.0], "score": 0.5}


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ("{", "json-unreadable"),
        ('{"results": {"VIDEO": [], "VIDEO": []}}', "json-unreadable"),
        ("[]", "proposals-form"),
        ({"VIDEO": 3}, "proposals-form"),
        ({"VIDEO": [{"segment": [1.0]}]}, "proposals-form"),
        ({"VIDEO": ["x"]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"score": "high"}]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"segment": "35"}]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"segment": {"1": 0, "2": 0}}]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"segment": ["1", "2"]}]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"segment": [True, 2.0]}]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"segment": [0.0, 1.0, 2.0]}]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"label": None}]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"score": True}]}, "proposals-form"),
        ({"VIDEO": [GOOD | {"score": float("nan")}]}, "proposal-invalid"),
        ({"VIDEO": [GOOD | {"segment": [float("nan"), 2.0]}]}, "proposal-invalid"),
        ({"VIDEO": [GOOD | {"segment": [1.0, 1e300]}]}, "proposal-invalid"),
        ({"VIDEO": [GOOD | {"segment": [2.0, 1.0]}]}, "proposal-invalid"),
        ({"VIDEO": [GOOD | {"segment": [1e6, 2e6]}]}, "proposal-outside"),
        ({"VIDEO": [GOOD | {"label": "fly"}]}, "label-unknown"),
        ({"VIDEO": [GOOD], "nobody": [GOOD]}, "video-unknown"),
        ({"VIDEO": [GOOD], "VIDEO.mp4": [GOOD]}, "video-alike"),
        ({"VIDEO": []}, "proposals-empty"),
        ({}, "proposals-empty"),
    ],
)
def test_wrong_files_are_refused_and_nothing_is_written(place, tmp_path, capsys, results, code):
    from punctum.runtime.datasets.dataset import Dataset

    video = Dataset.open(place["data"]).test[0]
    text = (results if isinstance(results, str) else json.dumps({"results": results})).replace("VIDEO", video)
    out = tmp_path / "r.json"
    words = ["rescore", str(place["bundle"]), str(place["data"]), written(tmp_path, text), "--out", str(out)]
    assert invoke(words) == 2
    told = capsys.readouterr().err
    assert f"[{code}]" in told
    assert "p.json" in told
    assert not out.exists()


@pytest.mark.parametrize("own", [True, False])
def test_a_score_too_large_for_its_exponent_names_the_proposal(place, tmp_path, capsys, own):
    from punctum.runtime.datasets.dataset import Dataset

    video = Dataset.open(place["data"]).test[0]
    file = written(tmp_path, {video: [GOOD, GOOD | {"segment": [3.0, 4.0], "score": 1e300}]})
    words = [str(place["data"]), file, "--out", str(tmp_path / "r.json"), "--fusion", "base=2"]
    assert invoke(["rescore", *([] if own else [str(place["bundle"])]), *words]) == 2
    told = capsys.readouterr().err
    assert "[proposal-score]" in told and f"p.json: results.{video}" in told and "[3.0, 4.0]" in told
    assert "warning" not in told and not (tmp_path / "r.json").exists()


def test_what_does_not_fit_is_left_out_on_request_and_counted(place, tmp_path, capsys):
    from punctum.runtime.datasets.dataset import Dataset

    video = Dataset.open(place["data"]).test[0]
    rows = [GOOD, GOOD | {"label": "fly"}, GOOD | {"segment": [1e6, 2e6]}, GOOD | {"segment": [2.0, 2.0]}]
    file = written(tmp_path, {video: rows, "nobody": [GOOD]})
    out = str(tmp_path / "r.json")
    words = ["rescore", str(place["bundle"]), str(place["data"]), file, "--out", out, "--skip-unfit"]
    assert invoke(words) == 0
    told = capsys.readouterr().out
    for text in ("unknown classes were left out (fly): 1", "unknown videos were left out (nobody): 1"):
        assert text in told
    assert "outside of their recording were left out: 1" in told
    assert "without length were left out: 1" in told


def test_a_file_that_is_missing_is_named(tmp_path):
    with pytest.raises(InputError, match="a file of proposals") as caught:
        read_results(tmp_path / "none.json")
    assert caught.value.code == "file-missing"


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        ("--fusion nonsense", "fusion", "is not a term"),
        ("--fusion center=1,center=2", "fusion", "is not a term"),
        ("--fusion center=0", "fusion", "no exponent above 0"),
        ("--fusion center=-1", "setting-invalid", "center"),
        ("--fusion attention=1", "fusion", "Attention has no effect"),
        ("--adapt-iou 2", "setting-invalid", "--adapt-iou is 2.0"),
        ("--sigma 0", "setting-invalid", "--sigma is 0.0"),
        ("--min-score nan", "setting-invalid", "--min-score is nan"),
        ("--subset all", "subset", "all"),
        ("--suppression gentle", "setting-invalid", "gentle"),
    ],
)
def test_rules_that_make_no_sense(place, tmp_path, capsys, options, code, words):
    line = ["rescore", str(place["bundle"]), str(place["data"]), str(place["file"]), "--out", str(tmp_path / "r")]
    assert invoke([*line, *options.split()]) == 2
    told = capsys.readouterr().err
    assert f"[{code}]" in told
    assert words in told
    assert not (tmp_path / "r").exists()


def test_a_file_beyond_the_limit_is_not_read(tmp_path, monkeypatch):
    from punctum.runtime.datasets import proposals

    monkeypatch.setattr(proposals, "MOST_BYTES", 10)
    path = Path(written(tmp_path, {"v": [GOOD]}))
    with pytest.raises(InputError) as caught:
        read_proposals(path, ("wave",), wanted=("v",), listed=("v",))
    assert caught.value.code == "proposals-many"


def test_too_many_proposals_of_one_class_are_refused(tmp_path, monkeypatch):
    from punctum.runtime.bundle import limits

    monkeypatch.setattr(limits, "PROPOSALS", 3)
    path = Path(written(tmp_path, {"v": [GOOD] * 4}))
    with pytest.raises(InputError) as caught:
        read_proposals(path, ("wave",), wanted=("v",), listed=("v",))
    assert caught.value.code == "proposals-many"
