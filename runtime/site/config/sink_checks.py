"""Checks of the sinks of a configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from .addresses import parse_listen
from .models import KafkaSink, MqttSinkConfig, SiteConfig, Tls, WebhookSink
from .paths import unfit_output
from .problems import Location, Problem


def sink_checks(config: SiteConfig, folder: Path) -> Iterator[Problem]:
    """What is wrong with the sinks."""
    files: dict[str, str] = {}
    for name, sink in config.sinks.items():
        at: Location = ("sinks", name)
        if isinstance(sink, MqttSinkConfig | KafkaSink | WebhookSink):
            encrypted = (
                sink.encrypted if isinstance(sink, KafkaSink) else sink.url.lower().startswith(("mqtts", "https"))
            )
            yield from _tls(at, sink.tls, folder, encrypted=encrypted)
        if isinstance(sink, MqttSinkConfig) and "status" in config.cameras:
            given = "cannot be the name of a camera with a sink of type mqtt: TOPIC/status is that of the service"
            yield Problem(("cameras", "status"), given, next_step="choose another name")
        if isinstance(sink, KafkaSink):
            for index, broker in enumerate(sink.brokers):
                if parse_listen(broker) is None:
                    yield Problem((*at, "brokers", index), f"is {broker[:80]!r}", "HOST:PORT", "correct it")
            if (sink.user is None) != (sink.password is None):
                yield Problem(at, "has only one of user and password", required="both, or none", next_step="correct it")
            if not re.fullmatch(r"[A-Za-z0-9._-]{1,249}", sink.topic) or sink.topic in (".", ".."):
                allowed = "letters, digits, ., _ and -, at most 249"
                yield Problem((*at, "topic"), f"is {sink.topic[:80]!r}", allowed, "correct it")
        elif isinstance(sink, MqttSinkConfig | WebhookSink):
            yield from _address(at, sink)
        else:
            field = "path" if sink.type == "jsonl" else "folder"
            place = folder / Path(sink.path if sink.type == "jsonl" else sink.folder).expanduser()
            yield from unfit_output((*at, field), place, is_folder=sink.type != "jsonl")
            path = str(place)
            other = files.setdefault(path, name)
            if other != name:
                given = f"is also that of sink {other}"
                yield Problem(
                    (*at, field), given, required="one writer for each file or folder", next_step="change one"
                )


def _address(at: Location, sink: MqttSinkConfig | WebhookSink) -> Iterator[Problem]:
    from ...credentials.redact import redact

    if isinstance(sink, WebhookSink):
        if re.fullmatch(r"https?://[^\s/?#]+(?:[/?][^\s#]*)?", sink.url) is None:
            yield Problem(
                (*at, "url"), f"is {redact(sink.url)[:120]!r}", "http://HOST/... or https://HOST/...", "correct it"
            )
        return
    from ...credentials.store import Login
    from ...sinks.mqtt import MqttTarget

    try:
        MqttTarget.parse(sink.url, Login())
    except InputError as error:
        yield Problem((*at, "url"), error.given, error.allowed, error.next_step.replace("`mqtt`", "it"))
    if sink.password is not None and sink.user is None:
        yield Problem((*at, "password"), "is given without user", required="user", next_step="add user")


def _tls(at: Location, tls: Tls, folder: Path, *, encrypted: bool) -> Iterator[Problem]:
    given = [field for field in ("ca", "certificate", "key") if getattr(tls, field) is not None]
    if given and not encrypted:
        yield Problem(
            (*at, "tls"), "has no effect: the connection is not encrypted", next_step="encrypt it, or remove tls"
        )
    if (tls.certificate is None) != (tls.key is None):
        yield Problem((*at, "tls"), "has only one of certificate and key", required="both", next_step="add the other")
    for field in given:
        path = folder / Path(getattr(tls, field)).expanduser()
        if not path.is_file():
            yield Problem(
                (*at, "tls", field), f"is {path}, which is not a file", required="a PEM file", next_step="check it"
            )
