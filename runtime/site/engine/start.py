"""The messages "start" and "open" of an engine process, checked, and the engine that the first asks for."""

from __future__ import annotations

import hashlib
from typing import Any, Literal

from pydantic import Field

from ...bundle.operating_point import OperatingPoint
from ...bundle.reader import Bundle
from ...errors import InputError
from ...events.run_id import check_run_id
from ...live import LiveOptions
from ...localizer import Localizer
from ...service.event_filter import EventFilter
from ..bundles import shipped
from ..messages import Message, parsed
from ..wire import Header
from .camera import Opening
from .inputs import min_score_of


class EngineStart(Message):
    """What an engine process is to do.

    Attributes:
        name: Name of the bundle in the configuration.
        bundle_path: A folder or zip, or the name of a bundle that comes with punctum.
        precision: A variant of the bundle; None: fp32.
        device: See `backends.options`.
        threads: CPU threads of the engine.
        state_dir: Folder of journals and snapshots.
        snapshot_every_s: Seconds between snapshots.
    """

    name: str
    bundle_path: str
    precision: str | None = None
    device: str = "cpu"
    threads: int = Field(default=1, ge=1, le=256)
    state_dir: str
    snapshot_every_s: float = Field(default=10.0, ge=0)

    @classmethod
    def parse(cls, header: Header) -> EngineStart:
        """Raises InputError."""
        return parsed(cls, header)

    def localizer(self) -> tuple[Bundle, Localizer]:
        """The bundle, and its engine. Raises PunctumError."""
        from ...backends.options import EngineSpec

        bundle = Bundle.load(shipped(self.bundle_path))
        return bundle, Localizer.open(bundle, EngineSpec(self.device, self.precision or "fp32", self.threads))

    def ready(self, bundle: Bundle, localizer: Localizer) -> dict[str, Any]:
        """The message "ready"."""
        manifest, backend = bundle.manifest, localizer.backend
        return {
            "type": "ready",
            "bundle_id": bundle.id,
            "name": manifest.name,
            "version": manifest.version,
            "labels": list(localizer.labels),
            "stride_s": localizer.plan.stride_s,
            "dim": localizer.plan.dim,
            "look_ahead_s": localizer.look_ahead_s,
            "feed": feed_of(bundle, self.precision or "fp32"),
            "backend": str(getattr(backend, "choice", "") or getattr(backend, "actual", "") or self.device),
            "min_score": OperatingPoint().of(manifest.calibration, localizer.labels),
        }


def feed_of(bundle: Bundle, precision: str) -> str:
    """The feed of a bundle: the digest of its backbone, or "features" where it has none."""
    graphs = bundle.graphs(precision)
    if graphs.backbone is None or graphs.backbone_spec is None:
        return "features"
    return graphs.backbone_spec.digest(hashlib.sha256(graphs.backbone.data).hexdigest())


class _Open(Message):
    camera: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$")
    stream: str = ""
    run_id: str = ""
    max_delay_s: float | None = Field(default=None, gt=0)
    policy: Literal["wait", "drop_oldest", "degrade"] = "wait"
    max_queue_s: float = Field(default=10.0, gt=0)
    labels: tuple[str, ...] = ()
    min_score: Any = None
    target_precision: float | None = None
    target_recall: float | None = None
    false_alarms_per_hour: float | None = None


def opening_of(header: Header, bundle: Bundle) -> Opening:
    """The message "open". Raises InputError."""
    message = parsed(_Open, header)
    check_run_id(message.run_id)
    unknown = [label for label in message.labels if label not in bundle.labels]
    if unknown:
        raise InputError(
            "label-unknown", f"The bundle has no class {unknown[0][:80]!r}", ", ".join(bundle.labels), "set `labels`"
        )
    if message.max_delay_s is not None:
        LiveOptions(max_delay_s=message.max_delay_s)
    score = message.min_score
    asked = OperatingPoint(
        target_precision=message.target_precision,
        target_recall=message.target_recall,
        false_alarms_per_hour=message.false_alarms_per_hour,
    )
    least = asked.of(bundle.manifest.calibration, bundle.labels) if score is None else min_score_of(score)
    return Opening(
        message.camera,
        message.stream or message.camera,
        message.run_id,
        message.max_delay_s,
        message.policy,
        message.max_queue_s,
        EventFilter(frozenset(message.labels), least),
    )
