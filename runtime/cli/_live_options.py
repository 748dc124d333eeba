"""The options of a live run, `punctum run --stream`, and their checks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from ..bundle.operating_point import OperatingPoint
from ..errors import InputError
from .options import Panel

LIVE_PANEL = "Live (with --stream)"
_LIVE: Panel = {"rich_help_panel": LIVE_PANEL}

Stream = Annotated[
    bool,
    typer.Option("--stream", help="Run live: read the input as a stream and report events as they occur.", **_LIVE),
]
MaxDelay = Annotated[
    float | None,
    typer.Option(
        help="Maximum reporting delay in seconds after the end of an action that is recognized by then. Default: final "
        "events only.",
        **_LIVE,
    ),
]
Follow = Annotated[
    bool, typer.Option("--follow", help="At the end of a file or folder, wait for more instead of ending.", **_LIVE)
]
IdleS = Annotated[
    float | None, typer.Option(help="End the run after this many seconds without data. Default: never.", **_LIVE)
]
ReconnectS = Annotated[
    float | None,
    typer.Option(
        help="How many seconds a sender or camera that was lost may take to return. Default: 60 for cameras, else 0.",
        **_LIVE,
    ),
]
Overflow = Annotated[
    str | None,
    typer.Option(
        help="When video arrives faster than it is processed: wait (default for files); drop_oldest, which leaves a "
        "gap (default for cameras and URLs); or degrade, which reduces scoring first and marks the events.",
        **_LIVE,
    ),
]
RtspTransport = Annotated[
    str | None, typer.Option(help="tcp (default) or udp, for cameras that support nothing else.", **_LIVE)
]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        help="Host, address or private network (10.0.0.0/8) to which an HTTP source may redirect or refer. May be "
        "repeated. The host of the source itself is always allowed."
    ),
]
CredentialsFile = Annotated[
    Path | None,
    typer.Option(
        help="TOML file: [source] and [mqtt] with user and password, [socket] with token. Alternatively set "
        "PUNCTUM_SOURCE_USER, PUNCTUM_SOURCE_PASSWORD, PUNCTUM_MQTT_USER, PUNCTUM_MQTT_PASSWORD and "
        "PUNCTUM_SOCKET_TOKEN."
    ),
]
StartS = Annotated[float, typer.Option(help="Media time of the first snippet of a file, in seconds.", **_LIVE)]
Name = Annotated[str, typer.Option(help="Name of the stream in events. Default: derived from the input.", **_LIVE)]
OnBadChunk = Annotated[
    str | None,
    typer.Option(
        help="What to do with unusable chunks: skip or stop. Default: skip duplicates and late chunks, stop at all "
        "others, such as NaN.",
        **_LIVE,
    ),
]
Mqtt = Annotated[
    str | None, typer.Option(help="Publish events to mqtt://[user@]host[:port]/topic (mqtts:// for TLS).", **_LIVE)
]
MqttQueue = Annotated[int, typer.Option(help="Maximum number of events that wait for the broker.", **_LIVE)]
MetricsAddress = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        help="Serve /metrics, /healthz and /readyz. :PORT is reachable from this machine only; use 0.0.0.0:PORT or "
        "[::]:PORT for all interfaces.",
        **_LIVE,
    ),
]
SilentS = Annotated[
    float | None,
    typer.Option(help="/readyz returns 503 after this many seconds without data. Default: 15.", **_LIVE),
]
Snapshot = Annotated[
    Path | None,
    typer.Option(
        help="Save the state of the run to this file, and resume from it if it exists. Needs --out and a file or "
        "folder as input.",
        **_LIVE,
    ),
]
SnapshotEvery = Annotated[float, typer.Option(help="Seconds between snapshots.", **_LIVE)]


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """The options of a live run; `punctum run --help` describes them.

    Raises:
        InputError: A value is invalid, or needs another option.
    """

    out: Path | None = None
    max_delay_s: float | None = None
    name: str = ""
    run_id: str | None = None
    start_utc: str | None = None
    start_s: float = 0.0
    follow: bool = False
    idle_s: float | None = None
    reconnect_s: float | None = None
    overflow: str | None = None
    rtsp_transport: str | None = None
    allow_hosts: tuple[str, ...] = ()
    credentials_file: Path | None = None
    silent_s: float | None = None
    on_bad_chunk: str | None = None
    mqtt: str | None = None
    mqtt_queue: int = 10_000
    metrics: str | None = None
    snapshot: Path | None = None
    snapshot_every_s: float = 10.0
    operating_point: OperatingPoint = field(default_factory=OperatingPoint)
    labels: tuple[str, ...] = ()
    stats: bool = False
    fps: float | None = None
    decoder: str | None = None

    def __post_init__(self) -> None:
        _check_choice("overflow", "--overflow", self.overflow, ("wait", "drop_oldest", "degrade"))
        _check_choice("on-bad-chunk", "--on-bad-chunk", self.on_bad_chunk, ("skip", "stop"))
        _check_choice("rtsp-transport", "--rtsp-transport", self.rtsp_transport, ("tcp", "udp"))
        if self.silent_s is not None and not (math.isfinite(self.silent_s) and self.silent_s > 0):
            raise _invalid("silent-s", f"--silent-s {self.silent_s}", "a positive number of seconds", "--silent-s")
        if self.silent_s is not None and self.metrics is None:
            raise InputError(
                "silent-s",
                "--silent-s has no effect without --metrics, which serves /readyz",
                required="--metrics",
                next_step="add --metrics, or leave --silent-s out",
            )
        if not (math.isfinite(self.snapshot_every_s) and self.snapshot_every_s >= 0):
            raise _invalid(
                "snapshot-every", f"--snapshot-every {self.snapshot_every_s}", "0 or more seconds", "--snapshot-every"
            )
        if self.snapshot is not None and (self.out is None or str(self.out) == "-"):
            raise InputError(
                "snapshot-out",
                "--snapshot needs an event file that belongs to it",
                required="--out FILE",
                next_step="set --out to a file",
            )

    def check_outputs(self, inputs: tuple[str | Path, ...]) -> None:
        """Raises InputError for outputs that are inputs as well, and for a snapshot that cannot be read again."""
        from ..files.atomic import destination
        from ..files.outputs import STDOUT, check_standard_output, refuse_inputs

        out = None if self.out is None or str(self.out) == STDOUT else self.out
        if out is None and self.mqtt is None:
            check_standard_output()
        if out is not None:
            refuse_inputs(out, inputs, "`out`")
        if self.snapshot is None or out is None:
            return
        refuse_inputs(self.snapshot, (*inputs, out), "`snapshot`")
        for option, path in (("--out", out), ("--snapshot", self.snapshot)):
            target, descriptor = destination(path)
            if str(path) == STDOUT or descriptor is not None or (target.exists() and not target.is_file()):
                raise InputError(
                    "snapshot-out",
                    f"--snapshot cannot be used with {option} {path}, which is not a regular file",
                    required="files that can be read again",
                    next_step=f"set {option} to a regular file",
                )


def _check_choice(code: str, option: str, value: str | None, values: tuple[str, ...]) -> None:
    if value is not None and value not in values:
        raise _invalid(code, f"{option} {value!r}", f"{', '.join(values[:-1])} or {values[-1]}", option)


def _invalid(code: str, given: str, allowed: str, option: str) -> InputError:
    return InputError(code, f"{given} is not a valid value", allowed, f"correct {option}")
