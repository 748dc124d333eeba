"""What a bundle from elsewhere may do: be refused with one clear error, or run within bounds."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import zipfile
from importlib import resources
from pathlib import Path

import pytest
from punctum.runtime import Bundle, InputError
from punctum.runtime.bundle import limits
from punctum.runtime.bundle.manifest import Manifest, content_id, identified
from punctum.runtime.bundle.writer import save_bundle, seal_bundle

DEMO = Path(str(resources.files("punctum.runtime") / "assets" / "demo"))


@pytest.fixture
def folder(tmp_path) -> Path:
    shutil.copytree(DEMO, tmp_path / "b")
    return tmp_path / "b"


def reseal(folder: Path, change, files: dict[str, bytes] | None = None) -> None:
    """Change a manifest as someone would who knows how the id is made."""
    record = json.loads((folder / "manifest.json").read_text())
    for name, data in (files or {}).items():
        (folder / name).write_bytes(data)
        record["files"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
    change(record)
    try:
        read = Manifest.model_validate(record)
        record["id"] = content_id(read.name, read.version, read.files, identified(read))
    except ValueError:
        pass
    (folder / "manifest.json").write_text(json.dumps(record))


def code(path: Path, **given) -> str:
    try:
        Bundle.load(path, **given)
    except InputError as error:
        text = str(error)
        assert text.isprintable(), text
        assert len(text) < 2000
        assert error.next_step
        return error.code
    return ""


def at(path: str, value):
    def change(record):
        *parents, last = path.split(".")
        for key in parents:
            record = record[key]
        record[last] = value

    return change


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("features.stride_s", 5e-324),
        ("features.stride_s", 1e-300),
        ("features.stride_s", 1e300),
        ("features.stride_s", "0.1"),
        ("features.stride_s", True),
        ("features.dim", 10**18),
        ("features.dim", "8"),
        ("features.fingerprint", {"mean": 0, "std": 1, "quantiles": [0.0] * 1000}),
        ("locator.left", 10**18),
        ("locator.right", 10**30),
        ("locator.left", True),
        ("post.right_context_s", 1e300),
        ("post.max_island_s", 1e308),
        ("post.class_thresholds", [k / 10001 for k in range(1, 10001)]),
        ("post.max_proposals", 10**30),
        ("post.sigma", 1e-300),
        ("post.contrast_margin", 1e308),
        ("post.context", 1e308),
        ("post.min_score", 1e308),
        ("post.fusion", {"contrast": 1e308}),
        ("labels", ["x" * 10**6, *"bcdef"]),
        ("labels", [str(k) for k in range(20_000)]),
        ("labels", ["\x1b[31m", *"bcdef"]),
        ("labels", ["\ud800", *"bcdef"]),
        ("labels", ["a\x9b31mb", *"bcdef"]),
        ("labels", ["a\u2028b", *"bcdef"]),
        ("labels", ["a\u202eb", *"bcdef"]),
        ("name", "../../x"),
        ("name", "\x1b[2J"),
        ("name", "x" * 1000),
        ("version", "\ud800"),
        ("version", ""),
        ("files", {f"f{k}": {"sha256": "0" * 64, "size": 1} for k in range(2000)}),
        ("files", {"a\0b": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"\ud800": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"a" * 5000: {"sha256": "0" * 64, "size": 1}}),
        ("files", {"ü" * 200: {"sha256": "0" * 64, "size": 1}}),
        ("files", {"": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"./manifest.json": {"sha256": "0" * 64, "size": 1}}),
        ("files", {"x": {"sha256": "zz", "size": 1}}),
        ("files", {"x": {"sha256": "0" * 64, "size": 10**15}}),
        ("precision", {f"p{k}": {"files": {"locator": "locator.onnx"}, "targets": ["cpu"]} for k in range(100)}),
    ],
)
def test_manifests_that_ask_for_too_much(folder, path, value):
    reseal(folder, at(path, value))
    assert code(folder) == "bundle-manifest-invalid"


@pytest.mark.parametrize(
    ("changes", "fits"),
    [
        ({"post.max_island_s": 80_000.0, "post.right_context_s": 3_000.0, "features.stride_s": 1.0}, True),
        ({"post.max_island_s": 80_000.0, "features.stride_s": 0.01}, False),  # eight million snippets
        ({"post.max_island_s": 50_000.0, "features.stride_s": 0.1, "features.dim": 2048}, False),  # 4 GiB
    ],
)
def test_bounds_that_multiply(folder, changes, fits):
    def change(record):
        for path, value in changes.items():
            at(path, value)(record)

    reseal(folder, change)
    assert code(folder) == ("" if fits else "bundle-manifest-invalid")


@pytest.mark.parametrize(
    "spec",
    [
        {"fps": 1e300},
        {"clip_frames": 10**9},
        {"snippet_frames": 10**9},
        {"height": 10**6},
        {"height": 16_000, "width": 16_000, "clip_frames": 4_000},
        {"std": [1e-320, 1.0, 1.0]},
        {"mean": [1e300, 0.0, 0.0]},
        {"file": "a\0b"},
        {"fingerprint": {"seed": 10**30, "mean": 0, "std": 1, "quantiles": [], "projection": []}},
        {"fingerprint": {"seed": 1, "mean": 0, "std": 1, "quantiles": [0.0] * 1000, "projection": []}},
    ],
)
def test_backbones_that_ask_for_too_much(folder, spec):
    plain = {"fps": 10.0, "clip_frames": 4, "snippet_frames": 1, "height": 16, "width": 16}
    reseal(folder, at("backbone", plain | spec))
    assert code(folder) == "bundle-manifest-invalid"


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a": ' * 100 + b"1" + b"}" * 100,
        b'{"schema": "1.0", "x": ' + b"9" * 5000 + b"}",
        b'{"schema": "1.0", "x": NaN}',
        b'{"schema": "1.0", "x": 1e999}',
        b'{"schema": "1.0", "schema": "1.0"}',
        b"\xff\xfe{\0}\0",
        b"\xef\xbb\xbf{}",
        '{"schema": "²"}'.encode(),
        '{"schema": "١.0"}'.encode(),
        b'{"schema": "' + b"1" * 5000 + b'"}',
        b'{"schema": 1}',
        bytes(range(256)),
    ],
)
def test_manifests_that_are_no_manifests(folder, text):
    (folder / "manifest.json").write_bytes(text)
    assert code(folder) in ("bundle-manifest-unreadable", "bundle-schema")


def test_a_manifest_is_read_to_a_bound(folder, monkeypatch):
    record = json.loads((folder / "manifest.json").read_text())
    record["provenance"]["x"] = "a" * limits.MANIFEST_BYTES
    (folder / "manifest.json").write_text(json.dumps(record))
    assert code(folder) == "bundle-file-changed"


def zipped(path: Path, folder: Path, change=lambda info: None, extra=()) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            info = zipfile.ZipInfo(file.name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            change(info)
            archive.writestr(info, file.read_bytes())
        for name, data in extra:
            archive.writestr(name, data)
    return path


def patched(path: Path, central: int, local: int, value: int) -> None:
    """Set two bytes of every header of a zip: at an offset of the central one and of the local one."""
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x01\x02", central), (b"PK\x03\x04", local)):
        place = data.find(mark)
        while place >= 0:
            data[place + offset : place + offset + 2] = value.to_bytes(2, "little")
            place = data.find(mark, place + 4)
    path.write_bytes(data)


def test_zips_that_are_encrypted_or_packed_otherwise(folder, tmp_path):
    assert code(zipped(tmp_path / "whole.zip", folder)) == ""
    encrypted = zipped(tmp_path / "encrypted.zip", folder)
    patched(encrypted, 8, 6, 1)
    assert code(encrypted) == "bundle-unreadable"
    other = zipped(tmp_path / "other.zip", folder)
    patched(other, 10, 8, 97)
    assert code(other) == "bundle-unreadable"


def test_zips_with_names_twice_or_links(folder, tmp_path):
    with pytest.warns(UserWarning, match="Duplicate"):
        twice = zipped(tmp_path / "twice.zip", folder, extra=[("locator.onnx", b"x")])
    assert code(twice) == "bundle-unreadable"

    def link(info):
        if info.filename == "parity.json":
            info.external_attr = (stat.S_IFLNK | 0o777) << 16

    assert code(zipped(tmp_path / "link.zip", folder, link)) == "bundle-unreadable"
    outside = zipped(tmp_path / "outside.zip", folder, extra=[("../evil", b"x"), ("/etc/evil", b"x")])
    assert code(outside) == ""  # never read, never unpacked
    many = zipped(tmp_path / "many.zip", folder, extra=[(f"f{k}", b"") for k in range(limits.ENTRIES)])
    assert code(many) == "bundle-too-large"


@pytest.mark.slow
def test_zips_that_are_damaged_anywhere(folder, tmp_path):
    whole = zipped(tmp_path / "whole.zip", folder).read_bytes()
    for k in range(60):
        data = bytearray(whole)
        place = (k * 7919) % len(data)
        data[place] ^= 0x55
        (tmp_path / "z.zip").write_bytes(data)
        code(tmp_path / "z.zip")
        (tmp_path / "z.zip").write_bytes(whole[:place])
        assert code(tmp_path / "z.zip")
    for k in range(max(len(whole) - 400, 0), len(whole)):  # the central directory
        data = bytearray(whole)
        data[k] ^= 0xFF
        (tmp_path / "z.zip").write_bytes(data)
        code(tmp_path / "z.zip")


def test_a_zip_whose_directory_understates_a_size(folder, tmp_path):
    path = zipped(tmp_path / "z.zip", folder)
    size = (folder / "locator.onnx").stat().st_size
    data = path.read_bytes().replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    path.write_bytes(data)
    assert code(path) in ("bundle-unreadable", "bundle-file-changed")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no FIFOs")
def test_folders_with_links_out_and_pipes(folder):
    (folder / "parity.json").unlink()
    (folder / "parity.json").symlink_to("/etc/hostname")
    assert code(folder) == "bundle-path"
    (folder / "parity.json").unlink()
    os.mkfifo(folder / "parity.json")
    assert code(folder) == "bundle-file-missing"


def test_paths_that_no_file_can_have():
    for path in ("a\0b", "x" * 5000, "\ud800"):
        assert code(Path(path)) in ("bundle-missing", "bundle-unreadable")


def test_graphs_that_read_other_files_are_refused_at_load(folder, tmp_path):
    onnx = pytest.importorskip("onnx")
    model = onnx.load(str(folder / "locator.onnx"))
    tensor = max(model.graph.initializer, key=lambda t: len(t.raw_data))
    size = len(tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "weights.bin"), ("length", str(size))):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    harmful = model.SerializeToString()
    reseal(folder, lambda record: None, {"locator.onnx": harmful})
    assert code(folder) == "graph-external-data"
    assert code(zipped(tmp_path / "z.zip", folder)) == "graph-external-data"
    # As a precision variant, and in a bundle that is only put together.
    shutil.rmtree(folder)
    shutil.copytree(DEMO, folder)
    variant = {"fp16": {"files": {"locator": "half.onnx"}, "targets": ["cpu"]}}
    reseal(folder, at("precision", variant), {"half.onnx": harmful})
    assert code(folder) == "graph-external-data"
    demo = Bundle.load(DEMO)
    with pytest.raises(InputError, match="external data"):
        seal_bundle(demo.manifest, {**demo.content, "locator.onnx": harmful})
    from punctum.runtime.backends.onnxruntime.session import open_session

    with pytest.raises(InputError, match="external data"):
        open_session(harmful, "the locator")


def test_the_digest_covers_everything_and_the_id_does_not(folder, tmp_path):
    bundle = Bundle.load(folder)
    assert bundle.sha256 == hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert code(folder, expect_sha256=bundle.sha256) == ""
    assert code(folder, expect_sha256="SHA256:" + bundle.sha256.upper()) == ""
    assert code(zipped(tmp_path / "z.zip", folder), expect_sha256=bundle.sha256) == ""
    assert code(folder, expect_sha256="0" * 64) == "bundle-digest-differs"
    assert code(folder, expect_sha256=bundle.sha256[:63]) == "bundle-digest"
    assert code(folder, expect_sha256="") == "bundle-digest"
    reseal(folder, at("provenance", {"trained_by": "somebody else"}))
    forged = Bundle.load(folder)
    assert forged.id == bundle.id
    assert code(folder, expect_sha256=bundle.sha256) == "bundle-digest-differs"


def test_the_digest_is_checked_before_anything_is_parsed(folder):
    (folder / "manifest.json").write_bytes(b"[" * 1000)
    assert code(folder, expect_sha256="0" * 64) == "bundle-digest-differs"


def test_a_bundle_in_memory_has_the_digest_of_the_one_that_is_written(tmp_path):
    demo = Bundle.load(DEMO)
    made = seal_bundle(demo.manifest.model_copy(update={"version": "9"}), demo.content)
    save_bundle(made, tmp_path / "b")
    assert Bundle.load(tmp_path / "b").sha256 == made.sha256


def test_a_bundle_prints_on_one_line():
    assert len(repr(Bundle.load(DEMO))) < 300


@pytest.mark.parametrize(
    ("part", "harm"),
    [
        ("locator", "another input"),
        ("locator", "sequences"),
        ("locator", "scalars"),
        ("center", "another input"),
        ("center", "sequences"),
    ],
)
def test_graphs_that_take_or_return_something_else(folder, part, harm):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime", reason="graphs are opened")
    from punctum.runtime.backends.open import open_backend

    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    model = onnx.load(str(folder / f"{part}.onnx"))
    graph = model.graph
    if harm == "another input":
        graph.input.append(helper.make_tensor_value_info("more", float32, [1]))
    else:
        names = [value.name for value in graph.output]
        del graph.node[:], graph.output[:], graph.initializer[:], graph.value_info[:]
        for name in names:
            if harm == "sequences":
                graph.node.append(helper.make_node("SequenceConstruct", ["features"], [name]))
                kind = helper.make_sequence_type_proto(helper.make_tensor_type_proto(float32, None))
                graph.output.append(helper.make_value_info(name, kind))
            else:
                graph.node.append(helper.make_node("ReduceSum", ["features"], [name], keepdims=0))
                graph.output.append(helper.make_tensor_value_info(name, float32, []))
    reseal(folder, lambda record: None, {f"{part}.onnx": model.SerializeToString()})
    with pytest.raises(InputError) as caught:
        open_backend(Bundle.load(folder))
    assert caught.value.code == "graph-mismatch"
