"""Tables of the fields of site.yaml, made from its published schema.

python docs/_ext/site_fields.py    write them into docs/reference/site.md, between its markers
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).resolve().parents[1] / "reference"
PAGE, SCHEMA = REFERENCE / "site.md", REFERENCE / "site.schema.json"
BEGIN, END = "<!-- fields: begin -->", "<!-- fields: end -->"
# (definition in the schema, heading); the order of the page.
PARTS = (
    ("", "The file"),
    ("Http", "http"),
    ("Tokens", "http.tokens"),
    ("BundleConfig", "bundles.NAME"),
    ("CameraConfig", "cameras.NAME"),
    ("Period", "cameras.NAME.schedule"),
    ("Region", "cameras.NAME.region"),
    ("EventMedia", "cameras.NAME.media"),
    ("Limits", "cameras.NAME.limits"),
    ("JsonLinesSink", "sinks.NAME, type jsonl"),
    ("ParquetSink", "sinks.NAME, type parquet"),
    ("MqttSinkConfig", "sinks.NAME, type mqtt"),
    ("KafkaSink", "sinks.NAME, type kafka"),
    ("WebhookSink", "sinks.NAME, type webhook"),
    ("Tls", "sinks.NAME.tls"),
    ("Retention", "retention"),
    ("LabelRetention", "retention.labels.CLASS"),
    ("Secret", "A secret"),
)
# What the schema does not describe, or describes too briefly for a table.
WORDS = {
    "version": "Version of this form.",
    "name": "Name of the site, shown on the page.",
    "http": "The API and the page.",
    "bundles": "Bundles by name, at most 64.",
    "cameras": "Cameras by name, at most 1,024.",
    "sinks": "Outputs by name, at most 64.",
    "retention": "What is deleted, and when.",
    "Http.tokens": "Bearer tokens of the two roles.",
    "BundleConfig.device": "Where the networks run.",
    "BundleConfig.threads": "Threads of the engine.",
    "Period.days": "Days of the week on which the period starts.",
    "Period.start": "HH:MM, local time.",
    "Period.end": "HH:MM, local time; 24:00 is the end of the day.",
    "Region.left": "Left edge.",
    "Region.top": "Upper edge.",
    "Region.width": "Width.",
    "Region.height": "Height.",
    "EventMedia.clips": "Store a clip of each event.",
    "EventMedia.pictures": "Store a picture of each event, from its middle.",
    "EventMedia.mask": "Black out the masks in live pictures and pictures too; with masks, no clips are stored.",
    "Limits.memory_mb": "Memory of the process of the camera.",
    "CameraConfig.user": "User name at the camera.",
    "CameraConfig.password": "Password at the camera.",
    "CameraConfig.bundles": "Names of the bundles that look at this camera.",
    "CameraConfig.enabled": "Whether the camera is used at all.",
    "CameraConfig.target_precision": "Choose the minimum scores by calibration, for this precision.",
    "CameraConfig.target_recall": "The same for this recall.",
    "CameraConfig.false_alarms_per_hour": "The same for this number of false alarms.",
    "CameraConfig.region": "The part of the picture that is used.",
    "CameraConfig.transport": "How RTSP sends its media.",
    "CameraConfig.decoder": "software, or a hardware decoder.",
    "CameraConfig.allow_hosts": "Further hosts that the source may lead to, as `--allow-host` of `punctum run`.",
    "CameraConfig.masks": "Polygons of 3 to 64 points in fractions of the picture. The networks see them black; "
    "live pictures and pictures show them black only with `media.mask`.",
    "CameraConfig.media": "Clips and pictures.",
    "CameraConfig.limits": "What its process may use before it is started again.",
    "JsonLinesSink.path": "The file; relative to site.yaml.",
    "ParquetSink.folder": "The folder; relative to site.yaml.",
    "MqttSinkConfig.user": "User name at the broker.",
    "MqttSinkConfig.password": "Password at the broker.",
    "MqttSinkConfig.tls": "Certificates, for mqtts.",
    "MqttSinkConfig.discovery_prefix": "Topic below which Home Assistant looks for announcements.",
    "KafkaSink.topic": "The topic.",
    "KafkaSink.user": "User name (SASL).",
    "KafkaSink.password": "Password (SASL).",
    "KafkaSink.mechanism": "Mechanism of SASL, where there is a user.",
    "KafkaSink.encrypted": "Connect with TLS.",
    "KafkaSink.tls": "Certificates, where `encrypted` is true.",
    "WebhookSink.url": "http:// or https:// address.",
    "WebhookSink.secret": "Key of the signatures.",
    "WebhookSink.phases": "Phases of the reports that are sent.",
    "WebhookSink.timeout_s": "Seconds until a request without a complete answer is given up.",
    "WebhookSink.tls": "Certificates, for https.",
    "LabelRetention.days": "Days for clips and pictures of this class.",
}


def tables() -> str:
    """All tables, with their headings."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    return "\n".join(_table(part, heading, schema) for part, heading in PARTS)


def _table(part: str, heading: str, schema: dict[str, Any]) -> str:
    model = schema["$defs"][part] if part else schema
    rows = [f"### {heading}", ""]
    if part and (about := model.get("description")):
        rows += [about, ""]
    rows += ["| field | value | default | meaning |", "|---|---|---|---|"]
    for name, field in model["properties"].items():
        if name == "type":
            continue
        words = WORDS.get(f"{part}.{name}" if part else name) or field.get("description")
        if words is None:
            raise SystemExit(f"{part}.{name} has no description: add one to WORDS in {__file__}")
        default = "required" if name in model.get("required", ()) else _default(field)
        cells = (f"`{name}`", _value(field, schema), default, words.removesuffix("."))
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join([*rows, ""])


def _default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, dict):  # the defaults of a part are in its own table
        return ""
    if isinstance(value, list):
        return ", ".join(f"`{one}`" for one in value)
    return f"`{json.dumps(value) if not isinstance(value, str) else value}`"


def _value(field: dict[str, Any], schema: dict[str, Any]) -> str:
    """The values of a field in words."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return "secret" if name == "Secret" else _range(schema["$defs"][name])
    if "anyOf" in field:
        return " or ".join(_value(one, schema) for one in field["anyOf"] if one.get("type") != "null")
    if "const" in field:
        return f"`{field['const']}`"
    if "enum" in field:
        return ", ".join(f"`{one}`" for one in field["enum"])
    kind = field.get("type")
    if kind == "array":
        inner = field.get("items", {})
        return "list of polygons" if inner.get("type") == "array" else f"list of {_plural(_value(inner, schema))}"
    if kind == "object":
        return "mapping"
    return _range(field)


def _plural(text: str) -> str:
    return {"text": "texts", "number": "numbers", "name": "names", "mapping": "mappings"}.get(text, text)


def _range(field: dict[str, Any]) -> str:
    kind = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}
    words = "name" if "63" in str(field.get("pattern", "")) or "62" in str(field.get("pattern", "")) else ""
    if field.get("type") == "object":
        return "mapping"
    return " ".join([words or kind.get(field.get("type", ""), "mapping"), *_limits(field)])


def _limits(field: dict[str, Any]) -> Iterator[str]:
    low, above = field.get("minimum"), field.get("exclusiveMinimum")
    high, below = field.get("maximum"), field.get("exclusiveMaximum")
    if low is not None and high is not None:
        yield f"from {low:g} to {high:g}"
        return
    if above is not None:
        yield f"above {above:g}"
    if high is not None:
        yield f"up to {high:g}"
    if below is not None:
        yield f"below {below:g}"


def page(text: str) -> str:
    """The text of the page with current tables."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{tables()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
