"""The files of examples/site: valid by the schema of the configuration, and they name what exists."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from punctum.runtime.site.config.models import SiteConfig

ROOT = Path(__file__).resolve().parents[2]
SITE = ROOT / "examples" / "site"


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile as (instruction, arguments), continued lines joined."""
    text = re.sub(r"^#.*\n", "", (SITE / "Dockerfile").read_text(), flags=re.M).replace("\\\n", " ")
    return [(word, rest.strip()) for word, _, rest in (row.partition(" ") for row in text.splitlines() if row.strip())]


def site(text: str) -> SiteConfig:
    return SiteConfig.model_validate_json(json.dumps(yaml.safe_load(text)))


def manifests() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((SITE / "kubernetes.yaml").read_text()))


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((SITE / "compose.yaml").read_text())
    return loaded


def test_configurations_are_valid() -> None:
    own = site((SITE / "site.yaml").read_text())
    assert own.cameras and own.sinks and own.http.tokens.operate is not None
    assert site(manifests()[0]["data"]["site.yaml"]).cameras
    pages = [*sorted((ROOT / "docs" / "how-to").glob("serve*.md")), ROOT / "docs" / "reference" / "site.md"]
    guide = "\n".join(page.read_text() for page in pages)
    first = guide.partition("cat > site.yaml <<'END'\n")[2].partition("END\n")[0]
    assert site(first).cameras["demo"].loop
    for block in re.findall(r"```yaml\n(.*?)```", guide, re.S):  # parts of a configuration
        part = yaml.safe_load(block)
        SiteConfig.model_validate_json(json.dumps({"bundles": {"actions": {"path": "default"}}, **part}))


def test_the_dockerfile() -> None:
    copied = set()
    allowed = {
        row[1:].rstrip("/") for row in (SITE / "Dockerfile.dockerignore").read_text().splitlines() if row[0] == "!"
    }
    for word, rest in instructions():
        if word == "COPY" and not rest.startswith("--from="):
            for source in shlex.split(rest)[:-1]:
                copied.add(source)
                assert (ROOT / source).exists(), source
                assert any(source == name or source.startswith(f"{name}/") for name in allowed), source
        elif word == "RUN":
            assert subprocess.run(["sh", "-n", "-c", rest], capture_output=True).returncode == 0, rest
    assert {"kernels", "runtime", "training", "export"} <= copied
    words = dict(instructions())
    assert words["USER"] == "10001" and words["EXPOSE"] == "8700" and "/healthz" in words["HEALTHCHECK"]


def test_the_dockerfile_pins_what_the_service_needs(tmp_path: Path) -> None:
    """The command that makes the constraints gives exact versions without hashes."""
    command = next(rest for word, rest in instructions() if word == "RUN" and "constraints.txt" in rest)
    made = command.partition(">")[0].replace("locks/tests.txt", str(ROOT / "locks" / "tests.txt"))
    lines = subprocess.run(["sh", "-c", made], capture_output=True, text=True, check=True).stdout.split("\n")
    assert all(re.fullmatch(r"(#.*|[A-Za-z0-9._-]+==[^\\ ]+( ;.*)?|)", line) for line in lines)
    pinned = {line.partition("==")[0] for line in lines}
    assert {"av", "fastapi", "onnxruntime", "paho-mqtt", "prometheus-client", "starlette", "uvicorn"} <= pinned


def test_compose_agrees_with_its_parts() -> None:
    file = compose()
    service = file["services"]["punctum"]
    assert (SITE / service["build"]["context"]).resolve() == ROOT
    assert (ROOT / service["build"]["dockerfile"]) == SITE / "Dockerfile"
    own = site((SITE / "site.yaml").read_text())
    tokens = {Path(secret.file or "").name for secret in (own.http.tokens.read, own.http.tokens.operate) if secret}
    assert tokens == set(service["secrets"]) == set(file["secrets"])
    mounts = [volume.split(":")[1] for volume in service["volumes"]]
    assert own.state in mounts and "/etc/punctum/site.yaml" in mounts
    assert own.cameras["demo"].source.startswith("/scenes/")
    assert all(service["read_only"] and service["cap_drop"] == ["ALL"] for service in file["services"].values())
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    for volume in service["volumes"] + file["services"]["broker"]["volumes"]:
        if volume.startswith("./"):
            assert (SITE / volume.split(":")[0]).is_file()


def test_kubernetes() -> None:
    by_kind = {one["kind"]: one for one in manifests()}
    pod = by_kind["StatefulSet"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    assert by_kind["StatefulSet"]["spec"]["replicas"] == 1, "the state folder belongs to one process"
    assert pod["securityContext"]["runAsNonRoot"] and container["securityContext"]["readOnlyRootFilesystem"]
    assert {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")} == {
        "/readyz",
        "/healthz",
    }
    config = site(by_kind["ConfigMap"]["data"]["site.yaml"])
    mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
    assert {config.state, "/etc/punctum", "/run/tokens"} <= mounts
    labels = by_kind["StatefulSet"]["spec"]["template"]["metadata"]["labels"]
    assert by_kind["Service"]["spec"]["selector"] == labels


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = (SITE / "punctum-serve.service").read_text()
    program = Path(sys.executable).parent / "punctum"
    if not program.exists():
        pytest.skip("punctum is not installed beside this Python")
    unit = tmp_path / "punctum-serve.service"
    unit.write_text(text.replace("/opt/punctum/bin/punctum", str(program)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr.strip(), done.stderr
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", unit], capture_output=True, text=True)
    level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    if level is not None:  # older versions cannot do this offline
        assert float(level[1]) < 2.0


@pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed (Debian package nginx-light)")
def test_nginx_accepts_its_file(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=site.example.org -keyout k.pem -out c.pem"
    made = subprocess.run(command.split(), cwd=tmp_path, capture_output=True)
    if made.returncode:
        pytest.skip("no openssl")
    text = (SITE / "nginx.conf").read_text()
    text = text.replace("/etc/ssl/certs/site.example.org.pem", str(tmp_path / "c.pem"))
    text = text.replace("/etc/ssl/private/site.example.org.key", str(tmp_path / "k.pem"))
    (tmp_path / "nginx.conf").write_text(
        f"events {{}}\npid {tmp_path}/pid;\nerror_log {tmp_path}/log;\nhttp {{ access_log off;\n{text}\n}}\n"
    )
    done = subprocess.run(["nginx", "-t", "-c", str(tmp_path / "nginx.conf")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("caddy") is None, reason="caddy is not installed (Debian package caddy)")
def test_caddy_accepts_its_file(tmp_path: Path) -> None:
    command = ["caddy", "validate", "--adapter", "caddyfile", "--config", str(SITE / "Caddyfile")]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed (Debian package prometheus)")
def test_prometheus_accepts_its_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("secret")
    text = (SITE / "prometheus.yml").read_text()
    (tmp_path / "prometheus.yml").write_text(
        text.replace("/etc/prometheus/punctum_read_token", str(tmp_path / "token"))
    )
    shutil.copy(SITE / "alerts.yml", tmp_path)
    done = subprocess.run(["promtool", "check", "config", tmp_path / "prometheus.yml"], capture_output=True, text=True)
    assert done.returncode == 0 and "6 rules found" in done.stdout, done.stdout + done.stderr


def test_dashboard_and_alerts_name_metrics_that_exist() -> None:
    source = (ROOT / "runtime" / "site" / "metrics.py").read_text()
    declared = set(re.findall(r'"(punctum_[a-z_]+)"', source))
    texts = [
        rule["expr"] for group in yaml.safe_load((SITE / "alerts.yml").read_text())["groups"] for rule in group["rules"]
    ]
    board = json.loads((SITE / "grafana.json").read_text())
    texts += [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    named = {name for text in texts for name in re.findall(r"\bpunctum_[a-z_]+", text)}
    assert named and {name.removesuffix("_total") for name in named} <= declared
    labels = {label for text in texts for label in re.findall(r"[{,]\s*([a-z_]+)\s*=~?\"", text)}
    assert labels <= {"camera", "state", "phase", "job"}
    places = [tuple(panel["gridPos"].values()) for panel in board["panels"]]
    assert len(set(places)) == len(places) and len({panel["id"] for panel in board["panels"]}) == len(places)
