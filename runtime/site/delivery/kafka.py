"""Reports to a topic of Kafka, keyed by camera, so that those of one camera stay in order.

The producer is idempotent: the broker keeps no duplicate of what it sends again by itself. A report that was not
acknowledged when the service ended or the broker was lost is sent once more by another producer, and may arrive twice:
the header punctum-id is the same.
"""

from __future__ import annotations

import logging
import threading
import time
from functools import partial
from typing import Any

from ...errors import InputError, MissingDependencyError
from ...text.display import some
from ..config.models import KafkaSink
from .sink import BaseSink, Batch, Outcome
from .tls import TlsFiles

_log = logging.getLogger(__name__)
DELIVER_S = 20.0


class Kafka(BaseSink):
    """A topic of Kafka.

    Args:
        name: Name of the sink.
        config: Its configuration.
        tls: Certificates.
        password: Password of the user.
        settings: Further settings of librdkafka.

    Raises:
        MissingDependencyError: confluent-kafka is not installed.
    """

    kind = "kafka"

    def __init__(
        self,
        name: str,
        config: KafkaSink,
        tls: TlsFiles,
        password: str | None = None,
        settings: dict[str, Any] | None = None,
    ) -> None:
        try:
            import confluent_kafka  # noqa: F401
        except ImportError:
            raise MissingDependencyError("confluent-kafka", "kafka", "a sink of type kafka") from None
        self.name, self._topic, self._stop = name, config.topic, threading.Event()
        self._brokers = some(config.brokers, 5)
        self._settings = _settings(config, tls, password) | (settings or {})
        self._producer: Any = None
        self._trouble = ""

    def deliver(self, batch: Batch) -> Outcome:
        producer = self._open()
        outcome, answers = Outcome(), dict[int, Any]()
        for row, report in batch:
            event = report.event
            ident = f"{report.camera}/{event.id}/{event.revision}".encode()
            producer.produce(
                self._topic,
                key=report.camera.encode(),
                value=event.to_json().encode(),
                headers=[("punctum-id", ident)],
                on_delivery=partial(_answered, answers, row),
            )
        limit = time.monotonic() + DELIVER_S + 5
        while len(answers) < len(batch) and time.monotonic() < limit and not self._stop.is_set():
            producer.flush(0.2)
        for row, _ in batch:
            error = answers.get(row, "")
            if error is None:
                outcome.delivered.append(row)
            elif error and error.name() in ("MSG_SIZE_TOO_LARGE", "_INVALID_ARG", "INVALID_RECORD"):
                outcome.refused.append((row, error.str()))
            elif error and not outcome.error:
                outcome.error = self._why(error.str())
        if not outcome.error and len(outcome.delivered) + len(outcome.refused) < len(batch):
            outcome.error = self._why("it does not answer")
        if outcome.error:
            self._discard()
        return outcome

    def _why(self, text: str) -> str:
        detail = f" ({self._trouble})" if self._trouble else ""
        return f"Kafka at {self._brokers} cannot be used: {text}{detail}"

    def _open(self) -> Any:
        """Raises InputError for settings that librdkafka refuses."""
        if self._producer is None:
            import confluent_kafka

            self._trouble = ""
            try:
                self._producer = confluent_kafka.Producer(self._settings | {"error_cb": self._error}, logger=_log)
            except (confluent_kafka.KafkaException, ValueError, TypeError) as error:
                raise InputError(
                    "site-sink-unreachable",
                    f"Kafka at {self._brokers} cannot be used: {error}",
                    required="brokers, user and certificates that can be used",
                    next_step="correct the sink",
                ) from None
        return self._producer

    def _error(self, error: Any) -> None:
        self._trouble = str(error.str())

    def _discard(self) -> None:
        """Drop what is in flight: it is in the outbox. A new producer begins afresh."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer.purge()
            producer.flush(0.5)

    def interrupt(self) -> None:
        self._stop.set()

    def close(self) -> None:
        self._discard()


def _answered(answers: dict[int, Any], row: int, error: Any, message: Any) -> None:
    answers[row] = error


def _settings(config: KafkaSink, tls: TlsFiles, password: str | None) -> dict[str, Any]:
    """Settings of librdkafka."""
    settings: dict[str, Any] = {
        "bootstrap.servers": ",".join(config.brokers),
        "client.id": "punctum",
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 5,
        "compression.type": "zstd",
        "message.timeout.ms": int(DELIVER_S * 1000),
        "socket.timeout.ms": 10_000,
        "reconnect.backoff.max.ms": 5000,
        "allow.auto.create.topics": True,
        "topic.metadata.refresh.interval.ms": 60_000,
    }
    if config.user is not None:
        settings["security.protocol"] = "SASL_SSL" if config.encrypted else "SASL_PLAINTEXT"
        settings |= {"sasl.mechanism": config.mechanism, "sasl.username": config.user, "sasl.password": password or ""}
    elif config.encrypted:
        settings["security.protocol"] = "SSL"
    files = {
        "ssl.ca.location": tls.ca,
        "ssl.certificate.location": tls.certificate,
        "ssl.key.location": tls.key,
    }
    return settings | {key: path for key, path in files.items() if path is not None}
