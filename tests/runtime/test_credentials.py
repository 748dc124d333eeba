"""Credentials from files and variables: who wins, what is refused, and that no message holds a secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from punctum.runtime.credentials.store import Credentials
from punctum.runtime.errors import InputError
from punctum.runtime.sinks.mqtt import MqttTarget

VARIABLES = ("SOURCE_USER", "SOURCE_PASSWORD", "MQTT_USER", "MQTT_PASSWORD", "SOCKET_TOKEN")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(f"PUNCTUM_{name}", raising=False)
        monkeypatch.delenv(f"PUNCTUM_{name}_FILE", raising=False)


def test_nothing_given() -> None:
    found = Credentials.load()
    assert (found.source.user, found.source.password, found.mqtt.user, found.token) == (None, None, None, None)


def test_variables_files_and_the_order_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNCTUM_SOURCE_USER", "viewer")
    monkeypatch.setenv("PUNCTUM_SOURCE_PASSWORD", "hunter1")
    (tmp_path / "token").write_text("hunter2\n")
    monkeypatch.setenv("PUNCTUM_SOCKET_TOKEN_FILE", str(tmp_path / "token"))
    (tmp_path / "pw").write_text("hunter3\r\n")
    monkeypatch.setenv("PUNCTUM_MQTT_PASSWORD", "other")
    monkeypatch.setenv("PUNCTUM_MQTT_PASSWORD_FILE", str(tmp_path / "pw"))
    found = Credentials.load()
    assert (found.source.user, found.source.password) == ("viewer", "hunter1")
    assert (found.mqtt.password, found.token) == ("hunter3", b"hunter2")
    file = tmp_path / "c.toml"
    file.write_text('[source]\nuser = "file"\npassword = "hunter4 é"\n[mqtt]\nuser = "m"\n')
    found = Credentials.load(file)
    assert (found.source.user, found.source.password, found.mqtt.user) == ("file", "hunter4 é", "m")
    assert found.mqtt.password == "hunter3"
    assert found.from_file == {"source", "mqtt"}
    assert "hunter" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        b"[source]\nuser = hunter2",
        b"hunter2",
        b"[source]\npasswort = 'hunter2'",
        b"[camera]\nuser = 'hunter2'",
        b"source = 'hunter2'",
        b"[source]\npassword = 2",
        b"[source]\npassword = ''",
        b"\xff\xfe",
        b"#" * 100_000,
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "c.toml"
    file.write_bytes(text)
    with pytest.raises(InputError) as caught:
        Credentials.load(file)
    assert caught.value.code == "credentials"
    assert "hunter2" not in str(caught.value)


def test_files_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="No such file"):
        Credentials.load(tmp_path / "none")
    monkeypatch.setenv("PUNCTUM_SOURCE_PASSWORD_FILE", str(tmp_path))
    with pytest.raises(InputError, match="PUNCTUM_SOURCE_PASSWORD_FILE"):
        Credentials.load()


def test_mqtt_takes_them_unless_the_address_has_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUNCTUM_MQTT_USER", "me")
    monkeypatch.setenv("PUNCTUM_MQTT_PASSWORD", "hunter2")
    target = MqttTarget.parse("mqtt://broker/t")
    assert (target.user, target.password) == ("me", "hunter2")
    target = MqttTarget.parse("mqtt://a:b@broker/t")
    assert (target.user, target.password) == ("a", "b")
    target = MqttTarget.parse("mqtt://a@broker/t")
    assert (target.user, target.password) == ("a", "hunter2")
