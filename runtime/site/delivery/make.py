"""Sinks by their configuration."""

from __future__ import annotations

import os
from pathlib import Path

from ...credentials.store import Login
from ..config.models import JsonLinesSink, KafkaSink, MqttSinkConfig, ParquetSink, Secret, SinkConfig
from ..config.secrets import read_secret
from .sink import Sink
from .tls import TlsFiles


def make_sink(name: str, config: SinkConfig, folder: Path) -> Sink:
    """A sink, which opens nothing before its first report.

    Args:
        name: Name of the sink.
        config: Its configuration.
        folder: Relative paths are below it.

    Raises:
        InputError: A secret cannot be read, or an address is none.
        MissingDependencyError: The library of this kind of sink is not installed.
    """

    def place(path: str) -> Path:
        return Path(os.path.normpath(folder / Path(path).expanduser()))

    def secret(one: Secret | None) -> str | None:
        return None if one is None else read_secret(one, folder)

    if isinstance(config, JsonLinesSink):
        from .jsonl import JsonLines

        return JsonLines(name, place(config.path))
    if isinstance(config, ParquetSink):
        from .parquet import Parquet

        return Parquet(name, place(config.folder))
    tls = TlsFiles.of(config.tls, folder)
    if isinstance(config, MqttSinkConfig):
        from ...sinks.mqtt import MqttTarget
        from .mqtt import Mqtt

        target = MqttTarget.parse(config.url, Login(config.user, secret(config.password)))
        return Mqtt(name, target, tls, prefix=config.discovery_prefix if config.home_assistant else "")
    if isinstance(config, KafkaSink):
        from .kafka import Kafka

        return Kafka(name, config, tls, secret(config.password))
    from .webhook import Webhook

    return Webhook(name, config.url, config.phases, config.timeout_s, tls, secret(config.secret))
