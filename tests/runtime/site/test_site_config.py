"""The configuration of a site: what is accepted as people write it, and errors with file, line and field."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

pytest.importorskip("yaml", reason="configurations are YAML")

from hypothesis import given, settings
from hypothesis import strategies as st
from punctum.runtime import InputError
from punctum.runtime.site.bundles import shipped
from punctum.runtime.site.config.load import load_site, site_of
from punctum.runtime.site.config.models import Secret, SiteConfig
from punctum.runtime.site.config.problems import SiteConfigError
from punctum.runtime.site.config.yaml_text import MOST_BYTES, Values, parse_yaml

HEAD = "bundles:\n  default: {path: default}\n"
CAMERA = HEAD + "cameras:\n  hall:\n    source: rtsp://10.0.0.5/stream\n    bundles: [default]\n"


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "site.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def load(folder: Path, text: str | bytes, **environment: str):
    return load_site(write(folder, text), environment=environment.get)


def problems(folder: Path, text: str, **environment: str) -> list[str]:
    with pytest.raises(SiteConfigError) as caught:
        load(folder, text, **environment)
    prefix = f"{folder / 'site.yaml'}:"
    found = [str(error) for error in caught.value.problems]
    assert all(error.startswith(prefix) for error in found)
    assert len(found) == 1 or f"{len(found) - 1} more problem" in str(caught.value)
    return [error.removeprefix(prefix) for error in found]


def test_a_configuration_as_people_write_it(tmp_path):
    site = load(
        tmp_path,
        """
name: shop
state: /var/lib/punctum
bundles:
  default: {path: default}
  own: {path: ~/models/own.zip, device: cpu, threads: 2}
cameras:
  hall: &camera
    source: rtsp://10.0.0.5/stream
    bundles: [default]
    labels: [7, on, 2026-05-01, 1:30, null-like]
    enabled: on
    user: 007
    password: {env: HALL}
    schedule: [{days: [mon, tue], start: 08:00, end: 18:30}]
    min_score: {7: 0.5, on: 1}
  yard: {<<: *camera, source: "http://10.0.0.6/stream", enabled: no, max_delay_s: 2}
""",
        HALL="secret",
    )
    hall, yard = site.config.cameras["hall"], site.config.cameras["yard"]
    assert hall.labels == ("7", "on", "2026-05-01", "1:30", "null-like")
    assert (hall.enabled, hall.user, hall.schedule[0].start) == (True, "007", "08:00")
    assert hall.min_score == {"7": 0.5, "on": 1}
    assert (yard.enabled, yard.source, yard.max_delay_s, yard.user) == (False, "http://10.0.0.6/stream", 2, "007")
    assert site.secret(hall.password) == "secret"
    assert "secret" not in repr(site)
    assert site.state == Path("/var/lib/punctum")
    assert site.bundle_path("default") == Path(shipped("default"))
    assert site.bundle_path("own") == Path("~/models/own.zip").expanduser()


def test_relative_paths_are_below_the_file(tmp_path):
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypisom")
    site = load(tmp_path, HEAD + "cameras:\n  a: {source: clip.mp4, bundles: [default], loop: true}\n")
    assert site.source("a") == str(tmp_path / "clip.mp4")
    assert site.state == tmp_path / "state"


def test_every_problem_has_line_field_and_advice(tmp_path):
    found = problems(
        tmp_path,
        """bundels: {}
bundles:
  default: {path: default, threads: 1.5, device: cuda0}
cameras:
  hall:
    sourc: rtsp://10.0.0.5/stream
    bundles: []
    enabled: maybe
    password: hunter2
    schedule:
      - {days: [mon, tuesday], start: 8:00, end: 18:30}
    min_score: {open: 1.5}
    masks: [[[0,0],[1,1]], [[0,0],[1,1],[2, .nan]]]
  "ha ll": {source: tcp://127.0.0.1:1, bundles: [default]}
sinks:
  one: {type: jsonl, pth: events.jsonl}
  two: {type: josnl}
  three: {path: x}
  four: 5
retention:
""",
    )
    assert found[0].startswith("1: bundels is not a field here. Allowed: version, name,")
    assert found[0].endswith("Next: did you mean bundles?")
    assert "3: bundles.default.threads is 1.5. Allowed: a whole number. Next: correct it." in found
    assert any("3: bundles.default.device is cuda0" in f and "did you mean cuda?" in f for f in found)
    assert "5: cameras.hall.source is missing. Next: add it." in found
    assert any(f.startswith("6: cameras.hall.sourc is not a field") and "did you mean source?" in f for f in found)
    assert "7: cameras.hall.bundles is a list of 0 values. Allowed: at least 1 value. Next: correct it." in found
    assert "8: cameras.hall.enabled is maybe. Allowed: true or false. Next: correct it." in found
    assert any(f.startswith("9: cameras.hall.password is a value that is not shown here.") for f in found)
    assert any(f.startswith("11: cameras.hall.schedule[0].days[1] is tuesday.") and "mean tue?" in f for f in found)
    assert any("11: cameras.hall.schedule[0].start is 8:00. Allowed: a time of day such as 08:00" in f for f in found)
    assert "12: cameras.hall.min_score.open is 1.5. Allowed: 1 or less. Next: correct it." in found
    assert "13: cameras.hall.masks[1][2][1] is .nan. Allowed: a finite number. Next: correct it." in found
    assert any(f.startswith("14: cameras.ha ll cannot be a name.") for f in found)
    assert "16: sinks.one.path is missing. Next: add it." in found
    assert any(f.startswith("17: sinks.two.type is 'josnl'.") and "did you mean jsonl?" in f for f in found)
    assert any(f.startswith("18: sinks.three.type is missing.") for f in found)
    assert any(f.startswith("19: sinks.four is 5.") for f in found)
    assert any(f.startswith("20: retention is empty.") for f in found)
    assert not any("hunter2" in f for f in found)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("    sinks: [fiel]\nsinks: {file: {type: jsonl, path: e}}", "7: cameras.hall.sinks[0] is 'fiel'|mean file?"),
        ("    target_precision: 0.9\n    min_score: 0.5", "target_precision cannot be combined with min_score"),
        ("    token: {env: T}", "cameras.hall.token has no effect: it is for sources tcp:// and unix://"),
        ("    loop: true", "cameras.hall.loop has no effect: it is for files"),
        ("    region: {left: 0.5, width: 0.6}", "cameras.hall.region reaches beyond the picture"),
        ("    password: {env: T}", "cameras.hall.password is given without user"),
        ("    user: a\n    password: {env: MISSING}", "The environment variable MISSING is not set"),
        ("    user: a\n    password: {env: EMPTY}", "The environment variable EMPTY is empty"),
        ("    user: a\n    password: {env: T, file: t}", "A secret has both env and file"),
        ("    user: a\n    password: {}", "A secret has neither env nor file"),
        ("    user: a\n    password: {file: nope}", "nope cannot be read"),
        ("    schedule: [{start: 08:00, end: 08:00}]", "starts and ends at the same time"),
        ("    labels: [a]\n    min_score: {b: 0.5}", "min_score.b has no effect: the class is not in labels"),
        ("    bundles: [default]", "cannot be given|"),
        (
            "  b: {source: tcp://127.0.0.1:5, bundles: [default], masks: [[[0,0],[0,1],[1,1]]]}",
            "cameras.b.masks has no eff",
        ),
        ("  b: {source: tcp://0.0.0.0:5, bundles: [default]}", "accepts features from other machines without a token"),
        (
            "  b: {source: tcp://127.0.0.1:5, bundles: [default]}\n"
            "  c: {source: tcp://127.0.0.1:5/, bundles: [default]}",
            "8: cameras.c.source is also the source of camera b",
        ),
        ("  b: {source: '-', bundles: [default]}", "standard input"),
        ("  b: {source: 'ftp://x', bundles: [default]}", "7: cameras.b.source"),
        ("    decoder: nvdec\n    allow_hosts: [a]", "cameras.hall.allow_hosts"),
        ("http: {listen: 0.0.0.0:80}", "http.listen accepts requests from other machines (0.0.0.0) without tokens"),
        ("http: {listen: localhost}", "http.listen is 'localhost'. Allowed: HOST:PORT"),
        ("http: {listen: 'localhost:99999'}", "http.listen"),
        ("sinks: {a: {type: jsonl, path: e}, b: {type: jsonl, path: ./e}}", "sinks.b.path is also that of sink a"),
        ("sinks: {a: {type: mqtt, url: mqtt://h}}", "sinks.a.url"),
        (
            "  status: {source: rtsp://10.0.0.9/, bundles: [default]}\nsinks: {a: {type: mqtt, url: mqtt://h/t}}",
            "cameras.status cannot be the name of a camera with a sink of type mqtt",
        ),
        ("sinks: {a: {type: mqtt, url: 'mqtt://h/t', tls: {ca: x}}}", "the connection is not encrypted"),
        ("sinks: {a: {type: webhook, url: 'ftp://x:pw@h/'}}", "sinks.a.url is 'ftp://***@h/'"),
        ("sinks: {a: {type: webhook, url: 'https://h/', tls: {certificate: x}}}", "only one of certificate and key"),
        ("sinks: {a: {type: kafka, brokers: [h], topic: 'a b'}}", "sinks.a.brokers[0] is 'h'"),
        ("sinks: {a: {type: kafka, brokers: ['h:1'], topic: t, user: u}}", "has only one of user and password"),
    ],
)
def test_fields_that_do_not_fit_together(tmp_path, more, words):
    text = CAMERA + more
    if words.startswith("cannot be given"):
        with pytest.raises(InputError, match=r"site\.yaml:7: bundles is given a second time, after line 6"):
            load(tmp_path, text)
        return
    found = problems(tmp_path, text, T="hushhush", EMPTY="")
    assert any(all(word in line for word in words.split("|")) for line in found), found
    assert not any("pw" in line.split("***")[-1] or "hushhush" in line for line in found)


def test_warnings(tmp_path):
    text = CAMERA + "  yard: {source: rtsp://10.0.0.5/stream, bundles: [default]}\n"
    warnings = load(tmp_path, text.replace("bundles:\n", "bundles:\n  spare: {path: default}\n", 1)).warnings
    assert len(warnings) == 2
    text = text.replace("rtsp://10.0.0.5/stream, bun", "'rtsp://viewer:hushhush@10.0.0.7/stream', bun")
    site = load(tmp_path, text)
    assert "cameras.yard.source contains what looks like a password" in site.warnings[0]
    assert "hushhush" not in repr(site) + str(site.config) + str(site.warnings)
    assert "site.yaml:8: cameras.yard.source is also the source of camera hall; one camera" in warnings[0]
    assert warnings[1].endswith("site.yaml:2: bundles.spare is used by no camera")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"# nothing\n", "the file is empty"),
        (b"null", "the file is empty"),
        (b"- a\n- b\n", "the file contains a list"),
        (b"just text", "a single value"),
        (b"\x00\x01\x02", "no text"),
        (b"PK\x03\x04\x00\x00", "no text"),
        (b"name: caf\xe9\n", ":1: the text is not UTF-8"),
        (b"a: 1\nb: \xff\xfe\n", ":2: the text is not UTF-8"),
        ("name: x\n".encode("utf-16"), "not UTF-8"),
        (b"name: x\n\tstate: y\n", ":2:"),
        (b"name: [1, 2\nstate: y\n", "not YAML"),
        (b"name: 'x\n", "not YAML"),
        (b"name: x\nname: y\n", ":2: name is given a second time, after line 1"),
        (b"? [a, b]\n: c\n", "a name is a list or mapping"),
        (b"name: !!python/object/apply:os.system ['id']\n", ":1: the tag"),
        (b"name: !!binary aGk=\n", ":1: the tag"),
        (b"name: x\n---\nname: y\n", "a second document begins"),
        (b"name: *a\n", "not YAML|no anchor"),
        (b"a: &a {b: *a}\n", "contains itself"),
        (b"a: &a\n  <<: *a\n", "contains itself|takes the fields"),
        (b"a: &a [1]\nb: {<<: *a}\n", "takes the fields of a mapping"),
        (BOMB.encode(), "aliases expand to more than 200000 values"),
        (b"a: " + b"[" * 100_000, "nested more than 16 deep"),
        (b"{a: " * 50_000, "nested more than 16 deep"),
        (b"a: " + b"- " * 100_000, "not YAML|nested"),
        (b"a: x\x07y\n", "the character 0x07 is not allowed"),
        (b"a: " + b"x" * (MOST_BYTES + 1), "more than 1 MB"),
        (b"version: 99999999999999999999999\n", "version"),
        (b"version: 2\n", "version"),
    ],
)
def test_files_that_are_no_configuration(tmp_path, content, words):
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        load(tmp_path, content)
    assert any(word in str(caught.value) for word in words.split("|")), str(caught.value)
    assert str(tmp_path / "site.yaml") in str(caught.value)
    assert time.monotonic() - start < 30  # of what multiplies itself, hours


def test_a_folder_and_a_missing_file(tmp_path):
    with pytest.raises(InputError, match="this is a folder"):
        load_site(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        load_site(tmp_path / "no.yaml")
    with pytest.raises(InputError, match="cannot be read"):
        load_site("a\0b")


def test_chains_of_aliases_and_merges_are_limited():
    chain = "a0: &a0 [1]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(3000))
    with pytest.raises(InputError, match="more than 16 levels"):
        Values(Path("x")).of(parse_yaml(chain, Path("x")))
    many = "a: &a {" + ", ".join(f"k{n}: 1" for n in range(3000)) + "}\n"
    many += "".join(f"b{n}: {{<<: *a}}\n" for n in range(3000))
    with pytest.raises(InputError, match="<< adds more than"):
        parse_yaml(many, Path("x"))


def test_values_by_the_rules_of_yaml_1_2():
    text = "a: [on, no, 08:00, 1:30:00, 2026-05-01, 0123, 1e3, .5, -1., ~, true, '1', 0x10, 1_000, .inf, +5, 1.2.3]"
    read = Values(Path("x")).of(parse_yaml(text, Path("x")))["a"]
    assert read == (
        *("on", "no", "08:00", "1:30:00", "2026-05-01", 123, 1000.0, 0.5, -1.0, None, True, "1", "0x10", "1_000"),
        *(float("inf"), 5, "1.2.3"),
    )


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=" \n\t-:[]{}&*<!'\"#|>ab1?,%@\\", max_size=60))
def test_any_text_is_read_or_refused(text):
    try:
        root = parse_yaml(text, Path("x"))
        Values(Path("x")).of(root)
    except InputError:
        return


@settings(max_examples=30, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["bundles", "cameras", "sinks", "path", "source", "type", "http", "a", "min_score"]),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_any_values_are_accepted_or_refused(tmp_path_factory, values):
    fields = values if isinstance(values, dict) else {"cameras": values}
    try:
        site_of(fields, tmp_path_factory.getbasetemp())
    except SiteConfigError as error:
        assert error.problems
        assert all(str(one) for one in error.problems)


def test_fields_from_json_are_checked_alike(tmp_path):
    fields = {"bundles": {"default": {"path": "default"}}, "cameras": {"a": {"source": "rtsp://h/", "bundles": ["x"]}}}
    with pytest.raises(SiteConfigError, match=r"^cameras.a.bundles\[0\] is 'x'"):
        site_of(fields, tmp_path)
    fields["cameras"]["a"]["bundles"] = ["default"]
    site = site_of(fields, tmp_path)
    assert isinstance(site.config, SiteConfig)
    assert site_of(site.config, tmp_path).config == site.config


def test_secret_files(tmp_path):
    site = load(tmp_path, HEAD)
    (tmp_path / "key").write_text("s3cret\n")
    assert site.secret(Secret(file="key")) == "s3cret"
    assert site.secret(None) is None
    for content, words in [(b"", "is empty"), (b"a\nb\n", "several lines"), (b"\xff", "not UTF-8"), (b"a\0", "NUL")]:
        (tmp_path / "key").write_bytes(content)
        with pytest.raises(InputError, match=words) as caught:
            site.secret(Secret(file="key"))
        assert caught.value.code == "site-secret"


def test_a_thousand_cameras_are_read_in_a_few_seconds(tmp_path):
    text = CAMERA + "".join(
        f"  c{n}: {{source: 'rtsp://10.1.{n // 250}.{n % 250}/', bundles: [default]}}\n" for n in range(1000)
    )
    start = time.monotonic()
    assert len(load(tmp_path, text).config.cameras) == 1001
    assert time.monotonic() - start < 40


def test_unknown_names_come_with_the_problems_of_fields(tmp_path):
    found = problems(
        tmp_path,
        """bundles: {default: {path: default}}
cameras:
  b: {source: rtsp://h/1, bundles: [defalt], sinks: [fil, 5]}
  a: {source: rtsp://h/2, bundles: [default], enabled: 7}
  c: 5
sinks: {file: {type: jsonl, path: e}}
retention: {day: 3}
""",
    )
    assert [line.partition(" ")[2].partition(" is ")[0] for line in found] == [
        "cameras.b.bundles[0]",
        "cameras.b.sinks[0]",
        "cameras.b.sinks[1]",
        "cameras.a.enabled",
        "cameras.c",
        "retention.day",
    ], found
    assert "did you mean default?" in found[0] and "did you mean file?" in found[1]


def test_the_command_prints_problems_in_the_order_of_the_file(tmp_path, capsys):
    for module in ("fastapi", "uvicorn", "prometheus_client"):
        pytest.importorskip(module, reason="the service needs its extra")
    from punctum.runtime.cli.serve import serve

    text = """retention: {day: 3}
bundles: {default: {path: default}}
cameras:
  a: {source: rtsp://h/2, bundles: [defalt], enabled: 7}
"""
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        serve(path, check=True)
    printed = capsys.readouterr()
    lines = [line for line in (printed.err + printed.out).replace("\n ", " ").splitlines() if "problem: " in line]
    assert [line.partition("site.yaml:")[2].partition(":")[0] for line in lines] == ["1", "4", "4"], lines
    assert "has 3 problems" in caught.value.given and not isinstance(caught.value, SiteConfigError)
    path.write_text(text.replace("retention: {day: 3}", "").replace("[defalt], enabled: 7", "[default]"))
    serve(path, check=True)
    assert "not checked: whether sources, brokers and webhooks can be reached" in capsys.readouterr().out
