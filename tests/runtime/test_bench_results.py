"""Results of benchmarks: one form, read with care, and compared without claiming more than they show."""

from __future__ import annotations

import copy
import json
import math
import os

import pytest
from punctum.runtime.bench import Row, compare_results, read_result, result_of, row_of, write_result
from punctum.runtime.cli import invoke
from punctum.runtime.errors import InputError


@pytest.fixture
def result() -> dict:
    rows = [row_of("sorting", [3.0, 1.0, 2.0], "ms", ratio=4.0, baseline="NumPy"), Row("growth", 11.0, "x")]
    return result_of("kernels", rows, command="python benchmarks/kernels.py", revision="abc", details={"a": math.nan})


def slower(result: dict) -> dict:
    other = copy.deepcopy(result)
    other["rows"][0] |= {"value": 4.0, "ratio": 5.0}
    other["rows"].append({"name": "new", "unit": "s", "value": 1.0, "ratio": None})
    return other


def test_what_a_result_says(result, tmp_path):
    write_result(tmp_path / "a.json", result)
    found = read_result(tmp_path / "a.json")
    assert found["schema"] == "punctum.benchmark/1"
    assert found["rows"][0] == {
        "name": "sorting", "value": 2.0, "unit": "ms", "spread": [1.0, 3.0], "ratio": 4.0, "baseline": "NumPy",
    }  # fmt: skip
    assert set(found["machine"]) == {"cpu", "vectors", "cores", "load", "system"}
    assert {"punctum", "python", "numpy", "kernels", "git"} <= set(found["versions"])
    assert found["details"] == {"a": None}


def test_two_results_of_one_machine(result):
    found = compare_results(result, slower(result))
    assert [(row.name, row.change, row.before_ratio, row.after_ratio) for row in found.rows] == [
        ("sorting", 2.0, 4.0, 5.0),
        ("growth", 1.0, None, None),
    ]
    assert found.only_after == ("new",)
    assert (found.machines, found.versions) == ((), ())


def test_results_that_do_not_say_which_vectors_a_machine_has(result):
    """Those of earlier versions; two that say so differ."""
    other, older = copy.deepcopy(result), copy.deepcopy(result)
    result["machine"]["vectors"] = "AVX2"
    other["machine"]["vectors"] = "AVX-512"
    del older["machine"]["vectors"]
    assert compare_results(result, other).machines == ("vectors: AVX2, then AVX-512",)
    assert compare_results(result, older).machines == compare_results(older, result).machines == ()


def test_overlapping_spreads_decide_nothing(result, tmp_path, capsys):
    other, third = copy.deepcopy(result), copy.deepcopy(result)
    other["rows"][0] |= {"value": 3.0, "spread": [2.5, 5.0]}
    third["rows"][0] |= {"value": 4.0, "spread": [3.5, 5.0]}
    found = compare_results(result, other).to_record()["rows"]
    assert [(row["undecided"], row["before_spread"], row["after_spread"]) for row in found] == [
        (True, (1.0, 3.0), (2.5, 5.0)),
        (False, None, None),
    ]
    assert not compare_results(result, third).rows[0].undecided
    for name, content in (("a", result), ("b", other), ("c", third)):
        write_result(tmp_path / f"{name}.json", content)
    for name, change in (("b", "~x1.5"), ("c", "x2")):
        assert (
            invoke(["bench", "--compare", str(tmp_path / "a.json"), "--compare", str(tmp_path / f"{name}.json")]) == 0
        )
        out = capsys.readouterr().out
        assert "1-3" in out  # the spread, below the median
        assert change in out.split()
        assert ("~: undecided" in out) == (name == "b")


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ("punctum bench b --rounds 3 --json", "punctum bench b --rounds 3 --compare before.json", True),
        ("punctum bench --json b", "punctum bench --compare=a.json b", True),
        ("punctum bench b --rounds 3 --json", "punctum bench b --rounds 5 --json", False),
        ("punctum bench --json a", "punctum bench --json b", False),
        ("python benchmarks/kernels.py --json a.json --quick", "python benchmarks/kernels.py --quick", True),
        ("python benchmarks/kernels.py --quick", "python benchmarks/kernels.py", False),
        ("punctum bench 'b", "punctum bench 'b", True),
        ("punctum bench 'b", "punctum bench 'c", False),
    ],
)
def test_where_a_result_goes_is_no_difference_of_commands(result, before, after, same):
    found = compare_results(result | {"command": before}, result | {"command": after})
    assert (not any("commands differ" in line for line in found.notes)) == same


def test_a_comparison_fits_a_terminal(result, tmp_path, capsys, monkeypatch):
    """The rows of `punctum bench` need no line breaks within words at 80 columns."""
    names = [f"cpu fp32: {what}" for what in ("locator", "backbone", "all", "memory after_a_run")]
    rows = [
        row_of(name, [101.234, 105.678, 109.123], "ms/s of media", ratio=1.0, baseline="cpu fp32") for name in names
    ]
    write_result(tmp_path / "a.json", result_of("bench", rows, command="punctum bench default --json"))
    monkeypatch.setenv("COLUMNS", "80")
    assert invoke(["bench", *["--compare", str(tmp_path / "a.json")] * 2]) == 0
    out = capsys.readouterr().out
    assert all(f" {name}, ms/s " in out for name in names)
    assert "without decoding" in out


def test_differences_are_named(result):
    other = slower(result)
    other["machine"] |= {"cpu": "another", "load": 9.0, "cores": 2}
    other["versions"]["numpy"] = "1.0"
    other["command"] += " --quick"
    found = compare_results(result, other)
    assert any("then another" in line for line in found.machines)
    assert any(line.startswith("numpy: ") for line in found.versions)
    assert any("commands differ" in line for line in found.notes)
    assert any("busy: load 9 on 2 cores" in line for line in found.notes)
    assert not found.to_record()["absolute_times_comparable"]


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "punctum.bench/1"},
        {"rows": None},
        {"rows": [{"name": "a", "unit": "s", "value": None}]},
        {"rows": [{"name": "a", "unit": "s", "value": True}]},
        {"rows": [{"name": "a", "value": 1.0}]},
        {"rows": [{"name": "a", "unit": "s", "value": 1.0, "ratio": "4"}]},
        {"rows": [{"name": "a", "unit": "s", "value": 1.0}] * 2},
        {"rows": ["a"]},
        {"rows": [{"name": "a", "unit": "s", "value": 1.0, "spread": [1.0]}]},
        {"rows": [{"name": "a", "unit": "s", "value": 1.0, "spread": [1.0, "2"]}]},
        {"rows": [{"name": "a", "unit": "s", "value": 1.0, "spread": 2.0}]},
        {"rows": [{"name": "a", "unit": "s", "value": 10**400}]},
        {"rows": [{"name": "a", "unit": "s", "value": 1.0, "ratio": 10**400}]},
        {"machine": []},
        {"machine": {"cores": 10**400}},
        {"machine": {"load": "high"}},
    ],
)
def test_other_files_are_refused(result, change, tmp_path):
    file = tmp_path / "a.json"
    file.write_text(json.dumps(result | change))
    with pytest.raises(InputError, match="benchmark") as caught:
        read_result(file)
    assert caught.value.code == "benchmark-result"


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b"[" * 100_000, b'{"rows": NaN}'])
def test_any_bytes_are_refused(content, tmp_path):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError):
        read_result(tmp_path / "a.json")
    with pytest.raises(InputError):
        read_result(tmp_path / "absent.json")
    with pytest.raises(InputError):
        read_result(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        with pytest.raises(InputError, match=r"it is a (named pipe|device)"):
            read_result(path)


def test_a_quotient_beyond_float64_is_none(result, tmp_path):
    tiny, large = (result | {"rows": [{"name": "a", "unit": "s", "value": value}]} for value in (5e-324, 1e308))
    compared = compare_results(tiny, large)
    assert compared.rows[0].change is None
    json.dumps(compared.to_record(), allow_nan=False)


def test_the_command_compares_two_files(result, tmp_path, capsys):
    first, second = str(tmp_path / "a.json"), str(tmp_path / "b.json")
    other = slower(result)
    other["machine"]["cpu"] = "another"
    write_result(first, result)
    write_result(second, other)
    assert invoke(["bench", "--compare", first, "--compare", second]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "sorting" in out
    assert "absolute times are not comparable" in out
    assert "only in the second result: new" in out
    assert invoke(["bench", "--compare", first, "--compare", second, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"][0]["change"] == 2.0


def test_the_command_refuses(result, tmp_path, capsys):
    file = str(tmp_path / "a.json")
    write_result(file, result)
    for given in (["bench"], ["bench", "--compare", file], ["bench", "demo", "--compare", file, "--compare", file]):
        assert invoke(given) == 2
        assert "error [bench-compare]" in capsys.readouterr().err
    assert invoke(["bench", "--compare", file, "--compare", file, "--rounds", "3"]) == 2
    assert "--rounds has no effect when two files are compared" in capsys.readouterr().err
    assert invoke(["bench", "demo", "--compare", __file__]) == 2
    assert "error [benchmark-result]" in capsys.readouterr().err
