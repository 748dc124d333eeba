"""Bundles that were tampered with, damaged or made for another version are refused by name."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest
from punctum.runtime import Bundle, FeatureSpec, InputError, PostProcess
from punctum.runtime.bundle.config import Graph
from punctum.runtime.bundle.precision import PrecisionRecord
from punctum.runtime.bundle.writer import seal_bundle, write_bundle

ASSETS = Path(__file__).parents[2] / "runtime" / "assets"
PARTS = ("locator", "center", "backbone")


@pytest.fixture
def folder(tmp_path) -> Path:
    write_bundle(
        tmp_path / "b",
        name="test",
        version="1.0",
        labels=("x", "y"),
        features=FeatureSpec(dim=3, stride_s=0.5),
        locator=Graph(file="locator.onnx", left=2, right=1),
        center=None,
        post=PostProcess(),
        files={"locator.onnx": b"graph", "notes/parity.json": b"{}"},
        precision={},
        provenance={},
    )
    return tmp_path / "b"


def edit(folder: Path, change) -> None:
    file = folder / "manifest.json"
    record = json.loads(file.read_text())
    change(record)
    file.write_text(json.dumps(record))


def refused(path: Path, code: str) -> None:
    with pytest.raises(InputError) as error:
        Bundle.load(path)
    assert error.value.code == code
    assert error.value.next_step


def test_round_trip_folder_and_zip(folder, tmp_path):
    bundle = Bundle.load(folder)
    assert bundle.labels == ("x", "y")
    assert bundle.id.startswith("test-1.0-")
    assert bundle.read("locator.onnx") == b"graph"
    archive = shutil.make_archive(str(tmp_path / "z"), "zip", folder)
    assert Bundle.load(archive).id == bundle.id


def test_unlisted_files_are_never_read(folder):
    (folder / "extra.py").write_text("raise SystemExit")
    with pytest.raises(InputError, match="lists no file"):
        Bundle.load(folder).read("extra.py")


def test_missing_things(folder, tmp_path):
    refused(tmp_path / "nowhere", "bundle-missing")
    (folder / "locator.onnx").unlink()
    refused(folder, "bundle-file-missing")
    (folder / "manifest.json").unlink()
    refused(folder, "bundle-file-missing")
    with pytest.raises(InputError, match=r"is not a bundle: it has no manifest\.json"):
        Bundle.load(folder)


def test_the_folder_of_a_training_run_names_its_bundle(folder):
    folder.rename(folder.with_name("bundle"))
    with pytest.raises(InputError, match=r"is not a bundle.*Next: use .*bundle\."):
        Bundle.load(folder.parent)


def test_changed_file(folder):
    (folder / "locator.onnx").write_bytes(b"GRAPH")
    refused(folder, "bundle-file-changed")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda r: r.update(schema="2.0"), "bundle-schema"),
        (lambda r: r.pop("schema"), "bundle-schema"),
        (lambda r: r.update(labels=["x", "z"]), "bundle-id-differs"),
        (lambda r: r["post"].update(min_score=0.5), "bundle-id-differs"),
        (lambda r: r.update(labels=["x", "x"]), "bundle-manifest-invalid"),
        (lambda r: r["features"].update(dim="many"), "bundle-manifest-invalid"),
        (lambda r: r["files"].update({"../outside": {"sha256": "0", "size": 1}}), "bundle-manifest-invalid"),
        (lambda r: r["files"].update({"/etc/hosts": {"sha256": "0", "size": 1}}), "bundle-manifest-invalid"),
        (lambda r: r["locator"].update(file="other.onnx"), "bundle-file-unlisted"),
        (lambda r: r["post"].update(class_thresholds=[0.5, 0.1]), "bundle-manifest-invalid"),
    ],
)
def test_edited_manifest(folder, change, code):
    edit(folder, change)
    refused(folder, code)


def test_a_newer_minor_schema_with_unknown_keys_loads(folder):
    edit(folder, lambda r: r.update(schema="1.7", novelty={"a": 1}))
    assert Bundle.load(folder).labels == ("x", "y")


def test_not_json_and_damaged_zip(folder, tmp_path):
    archive = tmp_path / "z.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:
        for name in ("manifest.json", "locator.onnx", "notes/parity.json"):
            packed.write(folder / name, name)
    assert Bundle.load(archive).labels == ("x", "y")
    data = bytearray(archive.read_bytes())
    place = data.find(b"graph", data.find(b"locator.onnxgraph"))
    assert place > 0
    data[place : place + 5] = b"GRAPH"
    archive.write_bytes(data)
    with pytest.raises(InputError):
        Bundle.load(archive)
    (folder / "manifest.json").write_text("{")
    refused(folder, "bundle-manifest-unreadable")


def test_a_link_out_of_the_folder_is_refused(folder, tmp_path):
    outside = tmp_path / "outside"
    outside.write_bytes(b"graph")
    (folder / "locator.onnx").unlink()
    (folder / "locator.onnx").symlink_to(outside)
    refused(folder, "bundle-path")


def test_an_existing_folder_is_not_overwritten(folder):
    with pytest.raises(InputError, match="exists"):
        write_bundle(
            folder,
            name="test",
            version="1.0",
            labels=("x",),
            features=FeatureSpec(dim=3, stride_s=0.5),
            locator=Graph(file="l"),
            center=None,
            post=PostProcess(),
            files={"l": b""},
            precision={},
            provenance={},
        )
    assert Bundle.load(folder).labels == ("x", "y")


def test_zip_with_an_absurd_size_is_refused(tmp_path, monkeypatch):
    from punctum.runtime.bundle import reader as bundle

    monkeypatch.setattr(bundle, "MAX_ZIP_BYTES", 10)
    path = tmp_path / "big.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", "x" * 100)
    refused(path, "bundle-too-large")


def test_graphs_of_a_precision():
    """A part that the variant does not contain is the fp32 one; the backbone has the variant's fingerprint."""
    default = Bundle.load("default")
    spec = default.manifest.backbone
    variant = PrecisionRecord(
        files={"locator": "locator.int8.onnx", "backbone": "backbone.int8.onnx"},
        targets=("cpu",),
        fingerprint=spec.fingerprint.model_copy(update={"mean": 7.0}),
    )
    content = {**default.content, "locator.int8.onnx": b"", "backbone.int8.onnx": b"\x08\x07"}
    bundle = seal_bundle(default.manifest.model_copy(update={"precision": {"int8": variant}}), content)
    full, small = bundle.graphs(), bundle.graphs("int8")
    assert [graph.part for graph in full] == ["locator", "center", "backbone"]
    assert {graph.part: graph.data for graph in full} == {part: default.graph(part) for part in PARTS}
    assert [graph.precision for graph in small] == ["int8", "fp32", "int8"]
    assert [graph.name for graph in small] == ["locator.onnx in int8", "center.onnx", "backbone.onnx in int8"]
    assert [graph.data for graph in small] == [b"", default.graph("center"), b"\x08\x07"]
    assert full.backbone_spec == spec
    assert small.backbone_spec.fingerprint.mean == 7.0
    assert (full.classes, full.dim) == (len(bundle.labels), bundle.manifest.features.dim)
    assert full.locator.sha256 == bundle.manifest.files["locator.onnx"].sha256
    assert len(repr(full)) < 1000  # sizes instead of graphs
    with pytest.raises(InputError, match="no precision 'int4'"):
        bundle.graphs("int4")


def test_a_part_that_is_not_there():
    bundle = Bundle.load(ASSETS / "demo")
    assert bundle.graphs().backbone is None
    with pytest.raises(InputError, match="has no backbone") as caught:
        bundle.graph("backbone")
    assert (caught.value.code, caught.value.allowed) == ("bundle-part", "locator, center")
