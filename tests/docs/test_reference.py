"""Tables in the reference that repeat what the code knows: nothing is missing, nothing is left over."""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import Any, get_args

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "docs" / "_ext"))
import c_pages
import cli_pages
import site_fields

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"


def section(page: str, heading: str) -> str:
    """Text of a page below a heading, up to the next heading."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    found = re.search(rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", text, re.M | re.S)
    assert found, f"{page} has no section {heading!r}"
    return found[1]


def rows(text: str) -> list[list[str]]:
    """Cells of all tables; backticks are dropped."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    table = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    heads = {k - 1 for k, row in enumerate(table) if "---" in row[0]}
    return [row for k, row in enumerate(table) if k not in heads and k - 1 not in heads]


# --- commands -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def commands() -> dict[str, Any]:
    return cli_pages.commands()


def test_every_command_has_a_page_with_all_options_and_an_example(commands):
    assert {"run", "score", "data check"} <= set(commands)
    for name, command in commands.items():
        page = cli_pages.page(name, command)
        assert "## Examples" in page, f"punctum {name} --help shows no example"
        assert f"punctum {name} " in page.split("## Examples")[1].split("```{program}")[0]
        for parameter in command.params:
            assert parameter.help, f"punctum {name}: {parameter.name} has no help"
            for option in parameter.opts:
                shown = option if parameter.param_type_name == "option" else option.upper()
                assert shown in page, f"{shown} is not on the page of punctum {name}"


def test_commands_of_entry_points_are_there(commands):
    assert {"train", "train-backbone", "export", "export-backbone", "backbones compose", "quantize"} <= set(commands)


def test_pages_of_commands_are_written_once_and_removed_with_the_command(commands, tmp_path):
    (tmp_path / "gone.md").write_text("")
    (tmp_path / "index.md").write_text("")
    cli_pages.write_pages(tmp_path)
    written = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert set(written) == {"index.md", *(f"{cli_pages.page_name(name)}.md" for name in commands)}
    cli_pages.write_pages(tmp_path)
    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == written


def test_help_becomes_markdown():
    prose, examples = cli_pages.split_help("Does it.\n\nExample: punctum run a b\n--more\n\nLive: x | punctum run - c")
    assert prose == ["Does it."]
    assert examples == [("Example", "punctum run a b --more"), ("Live", "x | punctum run - c")]
    assert cli_pages.escape("a_b <c> `d_e` [f]") == r"a\_b \<c\> `d_e` \[f\]"


# --- metrics --------------------------------------------------------------------------------------------------------


def test_metrics_are_those_of_the_code():
    made = re.compile(r'\.(Counter|Gauge|Histogram)\(\s*"(punctum_\w+)"')
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "runtime").rglob("*.py"))
    known = {name: kind.lower() for text in sources for kind, name in made.findall(text)}
    assert len(known) > 10
    runs = (REFERENCE / "metrics.md").read_text(encoding="utf-8").split("## Metrics of a site")[0]
    text = runs.split("## Suggested alerts")
    assert {row[0]: row[1] for row in rows(text[0])} == known
    assert set(re.findall(r"punctum_[a-z_]+", text[1])) <= set(known)


def test_metrics_of_a_site_are_those_of_the_code():
    source = (ROOT / "runtime" / "site" / "metrics.py").read_text(encoding="utf-8")
    known = set(re.findall(r'"(punctum_\w+)"', source))
    table = {row[0]: row[1] for row in rows(section("metrics.md", "Metrics of a site"))}
    assert {name.removesuffix("_total") for name in table} == known
    assert all(name.endswith("_total") == (kind == "counter") for name, kind in table.items())


# --- configuration of a site ----------------------------------------------------------------------------------------


def test_fields_of_a_site_are_those_of_its_schema():
    """Run docs/_ext/site_fields.py after a change of the schema."""
    text = site_fields.PAGE.read_text(encoding="utf-8")
    assert site_fields.page(text) == text
    names = {row[0] for row in rows(text)}
    schema = json.loads(site_fields.SCHEMA.read_text(encoding="utf-8"))
    parts = [schema, *schema["$defs"].values()]
    assert {name for part in parts for name in part["properties"]} - {"type"} <= names


# --- bundles --------------------------------------------------------------------------------------------------------

SECTIONS = {
    "manifest.json": (),
    "features": ("features",),
    "features.fingerprint": ("features", "fingerprint"),
    "locator and center": ("locator",),
    "backbone": ("backbone",),
    "backbone.fingerprint": ("backbone", "fingerprint"),
    "backbone.parts": ("backbone", "parts"),
    "post": ("post",),
    "post.fusion": ("post", "fusion"),
    "files": ("files",),
    "precision": ("precision",),
    "precision accuracy": ("precision", "accuracy"),
}


def model(path: tuple[str, ...]) -> Any:
    """The pydantic model behind a part of the manifest."""
    from punctum.runtime import Bundle

    found: Any = type(Bundle.load("default").manifest)
    for name in path:
        found = next(iter(models(found.model_fields[name].annotation)))
    return found


def models(annotation: Any) -> list[Any]:
    if hasattr(annotation, "model_fields"):
        return [annotation]
    return [found for argument in get_args(annotation) for found in models(argument)]


@pytest.mark.parametrize("heading", SECTIONS)
def test_keys_and_defaults_of_the_manifest(heading):
    from pydantic_core import PydanticUndefined

    fields = model(SECTIONS[heading]).model_fields
    table = {row[0]: row[2] for row in rows(section("manifest.md", heading))}
    assert list(table) == [field.alias or name for name, field in fields.items()]
    for name, field in fields.items():
        shown, default = table[field.alias or name], field.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            assert shown == "required", name
        elif hasattr(type(default), "model_fields"):
            assert shown == "contrast only" and default == type(default)(), name
        elif name == "class_thresholds":
            assert shown == f"{default[0]:g} to {default[-1]:g} in steps of {default[1] - default[0]:g}"
        else:
            assert json.loads(shown) == json.loads(json.dumps(default)), name


def test_the_shipped_bundles_have_the_tensors_of_the_page():
    onnxruntime = pytest.importorskip("onnxruntime")
    kinds = {"tensor(float)": "float32", "tensor(int64)": "int64"}
    assets = Path(str(resources.files("punctum.runtime") / "assets"))
    pages = {"locator": "Locator", "center": "Center scorer", "backbone": "Backbone"}
    ranks = {"[N, clip]": 5}
    seen = set()
    for file in assets.glob("*/*.onnx"):
        graph = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
        table = {(row[0], row[1]): (row[2], row[3]) for row in rows(section("graphs.md", pages[file.stem]))}
        for direction, values in (("input", graph.get_inputs()), ("output", graph.get_outputs())):
            assert [v.name for v in values] == [name for name, way in table if way == direction]
            for value in values:
                kind, shape = table[value.name, direction]
                assert kinds[value.type] == kind
                rank = ranks.get(shape, shape.count(",") + 1)
                unbatched = file.stem == "locator" and len(graph.get_inputs()[0].shape) == 2
                assert len(value.shape) == rank - unbatched, value.name
        seen.add(file.stem)
    assert seen == set(pages)


# --- events and results ---------------------------------------------------------------------------------------------


def test_keys_of_an_event():
    from punctum.runtime import Event

    line = Event("s", "e", 0, "final", "l", 0.5, 0.0, 1.0, 2.0, 1.0, "b").to_json()
    table = {row[0]: row[1] for row in rows(section("file-formats.md", "Events: JSON Lines"))}
    assert set(table) == set(json.loads(line))
    assert len(table) == len(dataclasses.fields(Event)) + 1
    names = {"text": str, "integer": int, "number": float, "true or false": bool}
    names |= {"text or null": None, "number or null": None}
    for key, value in json.loads(line).items():
        if names[table[key]] is not None:
            assert type(value) is names[table[key]], key


def test_columns_of_an_archive_run(materials, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    command = [str(Path(sys.executable).parent / "punctum"), "score", str(materials.path("sensor-bundle/"))]
    command += [str(materials.path("features.npy")), "--out", str(tmp_path / "results"), "--workers", "1"]
    subprocess.run(command, check=True, capture_output=True, timeout=400)
    files = {
        "Events": next((tmp_path / "results").glob("events/*/*.parquet")),
        "Items": tmp_path / "results" / "items.parquet",
    }
    for what, file in files.items():
        schema = parquet.read_schema(file)
        heading = f"{what}, schema {schema.metadata[b'punctum.schema'].decode()}"
        shown = {row[0]: row[1] for row in rows(section("file-formats.md", heading))}
        plain = {field.name: str(getattr(field.type, "value_type", field.type)) for field in schema}
        assert shown == plain


# --- C --------------------------------------------------------------------------------------------------------------


def test_the_page_of_c_has_every_function_of_the_header():
    header = (ROOT / "kernels" / "native" / "include" / "punctum.h").read_text(encoding="utf-8")
    page = c_pages.page(header)
    functions = re.findall(r"PUNCTUM_API [^;]*?\b(punctum_\w+)\(", header.split("typedef enum punctum_status")[1])
    assert len(functions) > 30
    assert re.findall(r"\{c:function\} [^(]*\b(punctum_\w+)\(", page) == functions
    for name in re.findall(r"^\} (punctum_\w+);", header, re.M):
        assert f"}} {name};" in page
