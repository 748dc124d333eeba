"""The schema of the configuration of `punctum serve`. `schema.py` makes the published JSON Schema from it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}$",
        description="Letters, digits, _ and -; begins with a letter or digit; at most 63.",
    ),
]
Fraction = Annotated[float, Field(ge=0, le=1)]
Score = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0, le=86400)]
Text = Annotated[str, Field(min_length=1, max_length=4096)]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class Model(BaseModel):
    """Base of all parts: unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


class Secret(Model):
    """A secret from an environment variable or a file; exactly one of them."""

    env: Text | None = Field(default=None, description="Name of an environment variable.")
    file: Text | None = Field(default=None, description="Path of a file; a newline at its end is ignored.")


class Tokens(Model):
    """Bearer tokens of the API. Without any, the service accepts requests from this machine only."""

    read: Secret | None = Field(default=None, description="May read everything.")
    operate: Secret | None = Field(default=None, description="May also review events and change cameras.")


class Http(Model):
    """The API and the page."""

    listen: Text = Field(default="127.0.0.1:8700", description="HOST:PORT. Another host than loopback needs tokens.")
    tokens: Tokens = Tokens()
    hosts: tuple[Text, ...] = Field(default=(), description="Host names of a reverse proxy in front of the service.")
    clients: Annotated[int, Field(ge=1, le=4096)] = Field(
        default=64, description="Clients that may wait for events at a time."
    )


class BundleConfig(Model):
    """A bundle that cameras may use. Its engine is shared by all of them."""

    path: Text = Field(description="A bundle folder or zip file, or the name of a bundle that comes with punctum.")
    device: Literal["auto", "cpu", "cuda", "tensorrt", "tensorrt-rtx"] = "auto"
    precision: Literal["fp32", "fp16", "int8"] | None = Field(
        default=None, description="Default: what the bundle prefers."
    )
    threads: Annotated[int, Field(ge=1, le=256)] = 1


class Period(Model):
    """A span of local time of day on some days of the week. One that ends before it starts ends the next day."""

    days: tuple[Day, ...] = Field(default=("mon", "tue", "wed", "thu", "fri", "sat", "sun"), min_length=1)
    start: Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] = "00:00"
    end: Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")] = "24:00"


class Region(Model):
    """The part of the picture that is used, in fractions of its width and height."""

    left: Fraction = 0.0
    top: Fraction = 0.0
    width: Annotated[float, Field(gt=0, le=1)] = 1.0
    height: Annotated[float, Field(gt=0, le=1)] = 1.0


class EventMedia(Model):
    """Clips and pictures of events."""

    clips: bool = True
    pictures: bool = True
    pre_s: Annotated[float, Field(ge=0, le=60)] = Field(default=3.0, description="Seconds of a clip before the event.")
    post_s: Annotated[float, Field(ge=0, le=60)] = Field(default=3.0, description="Seconds of a clip after the event.")
    ring_s: Annotated[float, Field(ge=5, le=600)] = Field(
        default=90.0, description="Seconds of video that stay available."
    )
    ring_mb: Annotated[int, Field(ge=1, le=4096)] = Field(default=64, description="The same in MB; whichever is less.")
    mask: bool = Field(default=False, description="Black out the masked areas in pictures, and store no clips.")


class Limits(Model):
    """What the process of a camera may use before it is started again."""

    memory_mb: Annotated[int, Field(ge=100, le=65536)] = 1500
    stuck_s: Annotated[float, Field(ge=5, le=600)] = Field(
        default=60.0,
        description="Seconds without a sign of life. While the camera opens: at least 120, and up to 1800 "
        "as long as its process computes.",
    )
    threads: Annotated[int, Field(ge=1, le=64)] = Field(default=1, description="Threads of decoder and backbone.")
    nice: Annotated[int, Field(ge=0, le=19)] = Field(default=0, description="Priority of the process, as of nice(1).")


class CameraConfig(Model):
    """One camera, or any other source of `punctum run --stream`."""

    source: Text = Field(
        repr=False,  # it may contain a password
        description="rtsp://, http(s)://, camera:/dev/video0, gst:PIPELINE, tcp://, unix://, or a path.",
    )
    user: Text | None = None
    password: Secret | None = None
    token: Secret | None = Field(default=None, description="Required of senders to tcp:// and unix://.")
    bundles: tuple[Name, ...] = Field(min_length=1)
    enabled: bool = True
    labels: tuple[Text, ...] = Field(default=(), description="Classes that are reported. Default: all.")
    min_score: Score | dict[Text, Score] | None = Field(
        default=None, description="For all classes or by class. Default: that of the bundle."
    )
    target_precision: Annotated[float, Field(gt=0, lt=1)] | None = None
    target_recall: Annotated[float, Field(gt=0, lt=1)] | None = None
    false_alarms_per_hour: Annotated[float, Field(gt=0, le=3600)] | None = None
    max_delay_s: Annotated[float, Field(gt=0, le=600)] | None = Field(
        default=None, description="Report provisional events at most this late. Default: final events only."
    )
    overflow: Literal["wait", "drop_oldest", "degrade"] | None = Field(
        default=None,
        description="When media arrives faster than it is processed. Default: drop_oldest if live, else wait.",
    )
    max_queue_s: Annotated[float, Field(gt=0, le=600)] = Field(
        default=10.0,
        description="Seconds of media that may wait for an engine. Of live video, more is dropped, as a gap.",
    )
    schedule: tuple[Period, ...] = Field(default=(), description="When the camera is used. Default: always.")
    region: Region = Region()
    masks: tuple[Annotated[tuple[tuple[Fraction, Fraction], ...], Field(min_length=3, max_length=64)], ...] = Field(
        default=(), description="Polygons that are blacked out before anything looks at the picture."
    )
    transport: Literal["tcp", "udp"] = "tcp"
    decoder: Text = "software"
    allow_hosts: tuple[Text, ...] = ()
    fps: Annotated[float, Field(gt=0, le=1000)] | None = Field(
        default=None, description="For video without time stamps."
    )
    reconnect_s: Seconds = Field(
        default=30.0, description="Seconds of attempts before the process of the camera starts again."
    )
    loop: bool = Field(default=False, description="Start a file again at its end, as a camera for demonstrations.")
    sinks: tuple[Name, ...] | None = Field(default=None, description="Outputs of its events. Default: all.")
    media: EventMedia = EventMedia()
    limits: Limits = Limits()


class Tls(Model):
    """Certificates of a connection."""

    ca: Text | None = Field(default=None, description="Certificate authority, PEM. Default: those of the system.")
    certificate: Text | None = Field(default=None, description="Client certificate, PEM.")
    key: Text | None = Field(default=None, description="Key of the client certificate, PEM.")


class JsonLinesSink(Model):
    """A file of JSON Lines. It may be rotated by renaming (then send SIGHUP) or by truncation."""

    type: Literal["jsonl"]
    path: Text


class MqttSinkConfig(Model):
    """An MQTT broker: TOPIC/CAMERA receives the events, QoS 1."""

    type: Literal["mqtt"]
    url: Text = Field(repr=False, description="mqtt://HOST[:PORT]/TOPIC, or mqtts://.")
    user: Text | None = None
    password: Secret | None = None
    tls: Tls = Tls()
    home_assistant: bool = Field(default=False, description="Announce the cameras to Home Assistant (MQTT discovery).")
    discovery_prefix: Text = "homeassistant"


class KafkaSink(Model):
    """A topic of Kafka, keyed by camera."""

    type: Literal["kafka"]
    brokers: tuple[Text, ...] = Field(min_length=1, description="HOST:PORT of one or more brokers.")
    topic: Text
    user: Text | None = None
    password: Secret | None = None
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    encrypted: bool = False
    tls: Tls = Tls()


class WebhookSink(Model):
    """HTTP POST of each event as JSON, signed with HMAC-SHA-256 where there is a secret."""

    type: Literal["webhook"]
    url: Text = Field(repr=False)
    secret: Secret | None = None
    phases: tuple[Literal["open", "update", "final", "retracted"], ...] = ("final", "retracted")
    timeout_s: Annotated[float, Field(gt=0, le=120)] = 10.0
    tls: Tls = Tls()


class ParquetSink(Model):
    """Final events in Parquet files, one for each hour of time of day."""

    type: Literal["parquet"]
    folder: Text


SinkConfig = Annotated[
    JsonLinesSink | MqttSinkConfig | KafkaSink | WebhookSink | ParquetSink, Field(discriminator="type")
]


class LabelRetention(Model):
    """How long clips and pictures of one class are kept."""

    days: Annotated[float, Field(gt=0, le=36500)]


class Retention(Model):
    """What is deleted, and when."""

    days: Annotated[float, Field(gt=0, le=36500)] = Field(default=30.0, description="Clips and pictures.")
    event_days: Annotated[float, Field(gt=0, le=36500)] = Field(default=365.0, description="Events.")
    gb: Annotated[float, Field(gt=0, le=1e6)] = Field(default=20.0, description="All clips and pictures together.")
    free_gb: Annotated[float, Field(ge=0, le=1e6)] = Field(default=1.0, description="Room that stays free on the disk.")
    labels: dict[Text, LabelRetention] = Field(default={}, description="Other times for some classes.")


class SiteConfig(Model):
    """A site: its bundles, cameras and outputs."""

    version: Literal[1] = 1
    name: Name = "site"
    state: Text = Field(default="state", description="Folder of database, snapshots and media; relative to this file.")
    http: Http = Http()
    bundles: dict[Name, BundleConfig] = Field(min_length=1, max_length=64)
    cameras: dict[Name, CameraConfig] = Field(default={}, max_length=1024)
    sinks: dict[Name, SinkConfig] = Field(default={}, max_length=64)
    retention: Retention = Retention()
