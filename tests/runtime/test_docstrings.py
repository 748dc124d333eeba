"""Examples in the docstrings of the most used names are run."""

from __future__ import annotations

import doctest
import importlib

import pytest

pytest.importorskip("onnxruntime", reason="the examples open a bundle")

MODULES = [
    "backends.open",
    "backends.options",
    "bundle.reader",
    "evaluation.average_precision",
    "events.event",
    "events.run_id",
    "features.features",
    "live",
    "localizer",
    "session.pool_options",
    "session.session",
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    results = doctest.testmod(importlib.import_module(f"punctum.runtime.{name}"))
    assert results.attempted > 0
    assert results.failed == 0
