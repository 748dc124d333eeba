"""The files of examples/deploy: what they name exists, and what can be checked without a daemon works."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "examples" / "deploy"
PUNCTUM = Path(sys.executable).parent / "punctum"
needs_punctum = pytest.mark.skipif(not PUNCTUM.exists(), reason="punctum is not installed beside this Python")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined."""
    text = re.sub(r"^#.*\n", "", (DEPLOY / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (row.partition(" ") for row in text.splitlines() if row.strip())]


def options_of(command: str) -> set[str]:
    done = subprocess.run(
        [PUNCTUM, command, "--help"], env=os.environ | {"COLUMNS": "200"}, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"--[a-z0-9][a-z0-9-]*", done.stdout))


def options_in(words: list[str]) -> set[str]:
    return {word.partition("=")[0] for word in words if word.startswith("--")}


def unit() -> dict[str, str]:
    text = (DEPLOY / "punctum.service").read_text().replace("\\\n", " ")
    return dict(row.split("=", 1) for row in text.splitlines() if "=" in row and not row.startswith("#"))


def compose() -> dict:
    return yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["punctum"]


def test_the_dockerfile_copies_files_that_exist():
    seen = [word for word, _ in instructions()]
    assert seen[:2] == ["ARG", "FROM"]
    assert set(seen) <= {
        "ARG",
        "FROM",
        "WORKDIR",
        "COPY",
        "RUN",
        "ENV",
        "USER",
        "EXPOSE",
        "STOPSIGNAL",
        "ENTRYPOINT",
        "CMD",
    }
    allowed = {
        row[1:].rstrip("/") for row in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if row[0] == "!"
    }
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from="):
            for source in shlex.split(rest)[:-1]:
                assert (ROOT / source).exists(), source
                assert any(source == name or source.startswith(f"{name}/") for name in allowed), source


def test_every_step_of_the_dockerfile_is_valid_shell():
    for word, rest in instructions():
        if word == "RUN":
            done = subprocess.run(["sh", "-n", "-c", rest], capture_output=True, text=True)
            assert done.returncode == 0, (rest, done.stderr)


def test_the_dockerfile_copies_all_packages_of_the_wheel():
    import tomllib

    folders = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"].values()
    copied = {shlex.split(rest)[0] for word, rest in instructions() if word == "COPY"}
    assert {folder.split("/")[0] for folder in folders} <= copied


@needs_punctum
def test_commands_use_options_that_exist():
    known = options_of("run")
    assert options_in(shlex.split(unit()["ExecStart"])) <= known
    assert compose()["command"][0] == "run"
    assert options_in(compose()["command"]) <= known


def test_compose_and_dockerfile_agree():
    service = compose()
    folder = (DEPLOY / service["build"]["context"]).resolve()
    assert folder == ROOT
    assert (folder / service["build"]["dockerfile"]).resolve() == DEPLOY / "Dockerfile"
    made = " ".join(rest for word, rest in instructions() if word == "RUN")
    for volume in service["volumes"]:
        name, target = volume.split(":")[:2]
        if not name.startswith("."):  # a named volume takes its owner from the folder in the image
            assert target in made
    listens = next(word for word in service["command"] if word.startswith("--metrics="))
    ports = {rest for word, rest in instructions() if word == "EXPOSE"}
    assert {listens.rpartition(":")[2]} == ports
    assert all(port.rpartition(":")[2] in ports for port in service["ports"])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@needs_punctum
def test_systemd_accepts_the_unit(tmp_path):
    text = (DEPLOY / "punctum.service").read_text().replace("/opt/punctum/bin/punctum", str(PUNCTUM))
    (tmp_path / "punctum.service").write_text(text)
    drop_in = tmp_path / "punctum.service.d" / "credentials.conf"
    drop_in.parent.mkdir()
    shutil.copy(DEPLOY / "punctum-credentials.conf", drop_in)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", tmp_path / "punctum.service"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_writes_where_it_may():
    found = unit()
    for word in shlex.split(found["ExecStart"]):
        assert not word.startswith("/var") or word.startswith(f"/var/lib/{found['StateDirectory']}/")
    assert f"/var/cache/{found['CacheDirectory']}/" in found["Environment"]
    assert found["RestartPreventExitStatus"] == "2"


@pytest.mark.skipif(shutil.which("logrotate") is None, reason="logrotate is not installed")
def test_logrotate_rotates_the_event_file(tmp_path):
    events = tmp_path / "events.jsonl"
    events.write_text("{}\n")
    text = (DEPLOY / "punctum.logrotate").read_text()
    assert "/var/lib/punctum/events.jsonl" in unit()["ExecStart"]
    text = text.replace("/var/lib/punctum/events.jsonl", str(events))
    text = text.replace("systemctl reload punctum.service", f"touch {tmp_path}/reloaded")
    (tmp_path / "conf").write_text(text)
    (tmp_path / "conf").chmod(0o644)
    done = subprocess.run(
        ["logrotate", "--force", "--state", tmp_path / "state", tmp_path / "conf"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "events.jsonl.1").read_text() == "{}\n"
    assert (tmp_path / "reloaded").exists()


def test_alerts_use_metrics_that_a_run_exports():
    source = "\n".join(path.read_text() for path in (ROOT / "runtime").rglob("*.py"))
    exported = set(re.findall(r'"(punctum_[a-z_]+)"', source))
    rules = [rule for group in yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
    names = {name for rule in rules for name in re.findall(r"punctum_\w+", rule["expr"])}
    assert names
    assert names <= exported
    for rule in rules:
        assert rule["annotations"]["summary"]
    scrape = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())
    assert {job["job_name"] for job in scrape["scrape_configs"]} == {"punctum"}
    assert all((DEPLOY / name).exists() for name in scrape["rule_files"])


@pytest.mark.documentation
@pytest.mark.slow
@needs_punctum
def test_the_kernels_are_compiled_ahead(tmp_path):
    pytest.importorskip("numba", reason="kernels are compiled by Numba")
    words = re.search(r"^RUN punctum (warm-up .*)$", (DEPLOY / "Dockerfile").read_text(), re.M)[1]
    words = words.replace('"$NUMBA_CACHE_DIR"', str(tmp_path / "numba")).split()
    env = os.environ | {"PUNCTUM_KERNELS": "jit"}
    done = subprocess.run([PUNCTUM, *words], env=env, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert list((tmp_path / "numba").rglob("*.nbc"))
