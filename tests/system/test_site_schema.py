"""The published JSON Schema of the configuration is that of the models, is valid, and says what they say."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
jsonschema = pytest.importorskip("jsonschema", reason="the schema is checked with jsonschema")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("site_schema", ROOT / ".ci" / "site_schema.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_file_is_current(script, tmp_path, monkeypatch):
    assert script.main(["--check"]) == 0
    monkeypatch.setattr(script, "FILE", tmp_path / "site.schema.json")
    assert script.main(["--check"]) == 1
    assert script.main([]) == 0
    assert script.main(["--check"]) == 0


def test_it_is_a_schema_with_descriptions(script):
    schema = json.loads(script.FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$defs"]["CameraConfig"]["properties"]["masks"]["description"]
    validator = jsonschema.Draft202012Validator(schema)
    good = {
        "bundles": {"default": {"path": "default"}},
        "cameras": {"hall": {"source": "rtsp://h/", "bundles": ["default"], "min_score": {"open": 0.5}}},
        "sinks": {"file": {"type": "jsonl", "path": "e.jsonl"}},
    }
    assert list(validator.iter_errors(good)) == []
    for wrong in (
        {**good, "bundels": {}},
        {"cameras": {}},
        {**good, "cameras": {"ha ll": good["cameras"]["hall"]}},
        {**good, "sinks": {"file": {"type": "jsonl"}}},
        {**good, "cameras": {"hall": {"source": "rtsp://h/", "bundles": []}}},
    ):
        assert list(validator.iter_errors(wrong))
