"""Wrong types and values in the public Python functions: an error that names the argument."""

from __future__ import annotations

import math
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime import Bundle, Localizer, PostProcess, evaluate
from punctum.runtime.archive import ArchiveOptions
from punctum.runtime.backends import open_backend
from punctum.runtime.backends.options import EngineOptions, EngineSpec
from punctum.runtime.bundle.config import Fusion
from punctum.runtime.errors import InputError
from punctum.runtime.live import LiveOptions
from punctum.runtime.session import PoolOptions
from punctum.runtime.sources import open_source
from punctum.runtime.video import VideoOptions

STRANGE = [b"x", -1.5, math.nan, math.inf, 10**400, [], {}, object(), 2 + 1j, np.zeros(3), "\x1b[31m" * 500]
PARTS = {"labels": ["a", "b"], "dim": 3, "stride_s": 0.2, "post": PostProcess(), "receptive_field": (1, 1)}


class Engine:
    requested = actual = "python"

    def locate(self, features):
        return np.zeros((len(features), 2), np.float32), np.zeros(len(features), np.float32)

    def score(self, features, tracks, segments, labels):
        one = np.ones(len(labels), np.float32)
        return np.ones((len(labels), 2), np.float32), one, one


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return Bundle.load("default")


@pytest.fixture(scope="module")
def rows(bundle, tmp_path_factory) -> tuple[np.ndarray, Path]:
    features = np.zeros((4, bundle.manifest.features.dim), np.float32)
    path = tmp_path_factory.mktemp("rows") / "features.npy"
    np.save(path, features)
    return features, path


def refused(call, *arguments, **named) -> InputError:
    with pytest.raises(InputError) as caught:
        call(*arguments, **named)
    message = str(caught.value)
    assert len(message) < 1000
    assert message.isprintable()
    assert caught.value.given
    assert caught.value.allowed or caught.value.required
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize("value", STRANGE, ids=lambda value: type(value).__name__)
def test_no_value_reaches_a_library(value, bundle, rows):
    features, path = rows
    localizer = Localizer(bundle)
    refused(Localizer, value)
    refused(localizer.stream(value).__next__) if not isinstance(value, list | dict | np.ndarray) else None
    for name in ("stream", "live"):
        refused(localizer.session, **{name: value}) if not isinstance(value, str) or name == "live" else None
    refused(localizer.localize, features, start_utc=value)
    for name in ("device", "precision", "options", "threads"):
        refused(open_backend, bundle, **{name: value})
        refused(Localizer, bundle, **{name: value})
    for name in ("spinning", "arena", "mem_pattern", "gpu_mem_limit"):
        refused(EngineOptions, **{name: value})
    for name in ("dim", "fps", "bundle", "frames", "spec", "overflow", "follow"):
        refused(open_source, str(path), **({"bundle": bundle} | {name: value}))
    refused(evaluate, value, value)
    for name in ("labels", "dim", "post", "receptive_field"):
        refused(Localizer.from_parts, Engine(), **(PARTS | {name: value}))
    refused(Localizer.from_parts, value, **PARTS)
    if not isinstance(value, float):  # -1.5 is a media time, NaN and infinity have errors of their own
        for name in ("max_delay_s", "report_score", "open_score", "tick_s"):
            refused(LiveOptions, **{name: value})
        refused(localizer.session, start_s=value)
        refused(localizer.session().push, features, at=value)
        for name in ("start_s", "idle_s", "reconnect_s", "stride_s"):
            refused(open_source, str(path), **({"bundle": bundle} | {name: value}))


def test_values_that_are_almost_right(bundle, rows):
    features, path = rows
    refused(Bundle.load, None)
    refused(Bundle.load, 7)
    refused(open_source, "", bundle=bundle)
    refused(open_source, path, bundle=bundle)
    refused(EngineSpec, threads=2**31)
    refused(EngineSpec, threads=True)
    refused(EngineOptions, buckets="64")
    refused(EngineOptions, buckets=(64, "128"))
    refused(Localizer(bundle).localize, features, start_utc=datetime(2026, 1, 1))
    refused(Localizer(bundle).session().push, features, lost=3)
    refused(evaluate, None, None)
    assert EngineOptions(engines="engines").engines == Path("engines")
    assert LiveOptions(max_delay_s=np.float32(1)).max_delay_s == 1
    assert Localizer(bundle).session().push(features, lost=[]) == []


OPTIONS = {
    VideoOptions: (
        *("max_hold_s", "threads", "decoder", "open_timeout_s", "reconnect_s", "backoff_s", "policy", "buffer_s"),
        *("retry_start", "rate", "align_s", "transport", "camera_rate"),
    ),
    PoolOptions: ("policy", "max_queue_s", "deadline_s", "max_streams", "turn_s", "live", "run_id", "workers"),
    ArchiveOptions: (
        *("device", "min_score", "threads", "engine_options", "engine", "workers", "gpus", "formats", "kind"),
        *("group_items", "retry_failed", "replace", "rehash", "fps", "decoder"),
    ),
}


@pytest.mark.parametrize("kind", OPTIONS, ids=lambda kind: kind.__name__)
def test_options_refuse_other_types(kind):
    for name in OPTIONS[kind]:
        for value in (b"x", 10**400, {}, object(), 2 + 1j, np.zeros(3)):
            refused(kind, **{name: value})


@pytest.mark.parametrize(
    "change",
    [
        {"labels": "ab"},
        {"labels": ["a", "a"]},
        {"labels": ["a", 3]},
        {"labels": [" "]},
        {"dim": 0},
        {"dim": True},
        {"stride_s": 0.0},
        {"stride_s": 1e9},
        {"receptive_field": (1,)},
        {"receptive_field": (1, -1)},
        {"receptive_field": (1, 2.5)},
        {"receptive_field": 3},
        {"post": {"sigma": 0.3}},
        {"bundle_id": None},
        {"overhang_s": -1.0},
        {"overhang_s": math.nan},
    ],
    ids=str,
)
def test_parts_that_no_bundle_could_have(change):
    error = refused(Localizer.from_parts, Engine(), **(PARTS | change))
    assert f"`{next(iter(change))}`" in error.given


def test_parts_that_fit():
    numpy = {"dim": np.int64(3), "stride_s": np.float32(0.25), "receptive_field": [np.int32(1), 2]}
    localizer = Localizer.from_parts(Engine(), **(PARTS | numpy | {"labels": iter("ab")}))
    assert (localizer.plan.labels, localizer.plan.left, localizer.plan.right) == (("a", "b"), 1, 2)
    assert list(localizer.localize(np.zeros((5, 3), np.float32))) == []


@pytest.mark.parametrize(
    ("update", "code"),
    [
        ({"sigmaa": 0.3}, "setting-unknown"),
        ({"sigma": "much"}, "setting-invalid"),
        ({"sigma": math.nan}, "setting-invalid"),
        ({"suppression": "best"}, "setting-invalid"),
        ({"class_thresholds": ()}, "setting-invalid"),
        ({"fusion": {"centre": 1.0}}, "setting-unknown"),
        ({"max_proposals": 0}, "setting-invalid"),
    ],
    ids=str,
)
def test_a_copy_is_checked_like_a_new_object(update, code):
    assert refused_code(PostProcess().model_copy, update=update) == code
    assert refused_code(PostProcess, **update) == code


def refused_code(call, **named) -> str:
    with pytest.raises(InputError) as caught:
        call(**named)
    return caught.value.code


def test_a_copy_with_settings_that_exist():
    base = PostProcess(sigma=0.2)
    changed = base.model_copy(update={"adapt": False, "fusion": {"center": 1.0}})
    assert (changed.sigma, changed.adapt, changed.fusion) == (0.2, False, Fusion(center=1.0))
    assert changed.model_fields_set == {"sigma", "adapt", "fusion"}
    assert base.model_copy() == base
    assert Fusion().model_copy(update={"base": 1}).base == 1.0
