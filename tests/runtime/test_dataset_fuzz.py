"""Whatever JSON or CSV stands in the files: an answer or an InputError, and the check reports instead of raising."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from punctum.runtime import Dataset, InputError
from punctum.runtime.datasets.check import check_dataset
from punctum.runtime.evaluation.average_precision import evaluate, read_detections

from tests.helpers import datasets as make

FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.floats(),
    st.just(10**400),
    st.sampled_from(["wave", "v4", "", "3"]),
)
keys = st.sampled_from(["label", "segment", "score", "annotations", "duration", "v4", "v0", "fps"])
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=8,
)
# Half of the entries are nearly right, so that the fuzz gets past the first check.
numbers = st.one_of(st.floats(0, 9), scalars)
entry = st.fixed_dictionaries(
    {
        "label": st.one_of(st.sampled_from(make.LABELS), scalars),
        "segment": st.one_of(st.lists(numbers, max_size=3), values),
    },
    optional={"score": numbers},
)
entries = st.one_of(st.lists(st.one_of(entry, values), max_size=3), values)
videos = st.dictionaries(st.sampled_from(["v4", "v5", "v6", "other"]), entries, max_size=4)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return make.make_ours(tmp_path_factory.mktemp("fuzz") / "d")


@FUZZ
@given(st.one_of(videos.map(lambda v: {"results": v}), values))
def test_detections(folder, tmp_path, record):
    (tmp_path / "d.json").write_text(json.dumps(record))
    truth = Dataset.open(folder).truth()
    try:
        found = read_detections(tmp_path / "d.json", truth)
    except InputError as error:
        assert error.expected and error.next_step
        return
    assert 0.0 <= evaluate(truth, found).average <= 1.0


@FUZZ
@given(st.one_of(videos, videos.map(lambda v: {k: {"annotations": a} for k, a in v.items()}), values))
def test_truth(folder, tmp_path, database):
    for name in ("features", "train.txt", "test.txt", "points.csv", "dataset.json"):
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "gt.json").write_text(json.dumps({"database": database}))
    try:
        Dataset.open(tmp_path).truth()
        sound = True
    except InputError as error:
        assert error.expected and error.next_step
        sound = False
    report = check_dataset(tmp_path)
    json.dumps(report.to_record(), allow_nan=False)
    # What evaluation refuses, the check has found before.
    assert sound or any(f.file.endswith("gt.json") for f in report.errors)


@FUZZ
@given(st.binary(max_size=60), st.booleans())
def test_points(folder, tmp_path, tail, header):
    for name in ("features", "train.txt", "test.txt", "gt.json", "dataset.json"):
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "points.csv").write_bytes((b"class,video_id,point\n" if header else b"") + tail)
    try:
        Dataset.open(tmp_path).points()
        sound = True
    except InputError as error:
        assert error.expected and error.next_step
        sound = False
    report = check_dataset(tmp_path)
    assert sound or any(f.file.endswith("points.csv") for f in report.errors)


@FUZZ
@given(
    st.one_of(
        values,
        st.fixed_dictionaries(
            {"classes": values, "fps": scalars, "snippet_frames": scalars, "feature_dim": scalars},
            optional={"name": values},
        ),
    )
)
def test_dataset_json(folder, tmp_path, record):
    for name in ("features", "train.txt", "test.txt", "gt.json", "points.csv"):
        if not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(folder / name)
    (tmp_path / "dataset.json").write_text(json.dumps(record))
    try:
        data = Dataset.open(tmp_path)
    except InputError as error:
        assert error.expected and error.next_step
        return
    assert data.labels and data.stride_s > 0
    assert check_dataset(tmp_path).summary["data set"] == data.name
