"""Records of the parts of a composed backbone: in the spec, in bundles, and for readers that do not know them."""

from __future__ import annotations

import json

import pytest
from punctum.runtime import Bundle, InputError
from punctum.runtime.backbone.folder import parse_spec
from punctum.runtime.bundle.backbone_part import BackbonePart
from punctum.runtime.bundle.backbone_spec import BackboneSpec
from punctum.runtime.cli import invoke

pytest.importorskip("onnx", reason="the helper writes a graph")
pytest.importorskip("onnxruntime", reason="a backbone runs")

from tests.helpers.backbones import DIM, spec, write_bundle


def part(name: str, first: int, end: int, **changes: object) -> BackbonePart:
    record = {
        "name": name,
        "columns": (first, end),
        "source_sha256": "ab" * 32,
        "license": "MIT",
        "publisher": "A shop",
    }
    return BackbonePart.model_validate(record | changes)


def with_parts(*parts: BackbonePart) -> BackboneSpec:
    return spec().model_copy(update={"parts": parts})


def test_a_spec_without_parts_is_written_as_before():
    assert "parts" not in json.loads(spec().model_dump_json())
    assert "parts" not in spec().model_dump(mode="json")
    assert BackboneSpec.model_validate_json(spec().model_dump_json()) == spec()


def test_records_survive_and_are_no_part_of_the_identity():
    of = with_parts(part("one", 0, 3, ms_per_frame=1.5), part("two", 3, 4, settings="frames=last"))
    again = BackboneSpec.model_validate_json(of.model_dump_json())
    assert again == of
    assert again.parts[1].dim == 1
    assert of.digest("ab" * 32) == spec().digest("ab" * 32)


@pytest.mark.parametrize(
    "parts",
    [
        [{"columns": [0, 2]}, {"columns": [3, 4], "name": "b"}],
        [{"columns": [1, 4]}],
        [{"columns": [0, 2]}, {"columns": [2, 4]}],
        [{"columns": [0, 0]}],
        [{"columns": [0, 1 << 20]}],
        [{"columns": [0, 4], "source_sha256": "x"}],
        [{"columns": [0, 4], "license": "MIT\x1b[31m"}],
        [{"columns": [0, 4], "name": ""}],
        [{"columns": [0, 4], "ms_per_frame": -1}],
        [{"columns": [k, k + 1], "name": f"p{k}"} for k in range(65)],
        "motion",
    ],
)
def test_wrong_records_are_refused(parts):
    base = {"name": "a", "source_sha256": "ab" * 32}
    record = json.loads(spec().model_dump_json())
    record["parts"] = [base | each for each in parts] if isinstance(parts, list) else parts
    with pytest.raises(InputError) as caught:
        parse_spec(record, "backbone.json")
    assert caught.value.code == "backbone-spec"


def test_a_bundle_keeps_them_and_the_doctor_prints_them(tmp_path, capsys):
    plain = write_bundle(tmp_path / "plain", spec())
    identity = write_bundle(tmp_path / "made", with_parts(part("one", 0, 1), part("two", 1, DIM, ms_per_frame=2.25)))
    assert identity == plain
    bundle = Bundle.load(tmp_path / "made")
    assert [p.name for p in bundle.manifest.backbone.parts] == ["one", "two"]
    assert bundle.sha256 != Bundle.load(tmp_path / "plain").sha256
    invoke(["doctor", str(tmp_path / "made")])
    told = " ".join(capsys.readouterr().out.split())
    assert "part one" in told
    assert "columns 1 to 3" in told
    assert "2.25 ms per frame" in told


def test_an_older_reader_finds_the_same_id(tmp_path):
    """A reader that ignores the field computes the id from the other fields, as from this manifest."""
    identity = write_bundle(tmp_path / "made", with_parts(part("one", 0, DIM)))
    manifest = tmp_path / "made" / "manifest.json"
    record = json.loads(manifest.read_text())
    del record["backbone"]["parts"]
    manifest.write_text(json.dumps(record))
    assert Bundle.load(tmp_path / "made").id == identity


def test_parts_that_do_not_fit_the_graph(tmp_path):
    from punctum.runtime.backbone.backbone import VideoBackbone

    write_bundle(tmp_path / "made", with_parts(part("one", 0, DIM)))
    manifest = tmp_path / "made" / "manifest.json"
    record = json.loads(manifest.read_text())
    record["backbone"]["parts"][0]["columns"] = [0, DIM + 1]
    manifest.write_text(json.dumps(record))
    with pytest.raises(InputError) as caught:
        VideoBackbone.open(Bundle.load(tmp_path / "made"))
    assert caught.value.code == "graph-mismatch"
