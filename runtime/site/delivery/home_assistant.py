"""Announcement of cameras to Home Assistant: one retained message for each, by the device form of MQTT discovery.

Each camera is a device with an entity `event` for its concluded actions, whose event types are the classes, and a
`binary_sensor` for each class, which is on from the first report about an action until the action is concluded, or
OFF_DELAY_S after the latest report. Home Assistant reads both from the reports that the camera's topic receives.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from ..._version import __version__

OFF_DELAY_S = 60
ACTIONS = "actions"  # id of the entity of all actions
_ID = re.compile(r"[^A-Za-z0-9_-]+")


def discovery_topic(prefix: str, topic: str, camera: str) -> str:
    """Where the message of a camera goes."""
    return f"{prefix.strip('/')}/device/{_device(topic, camera)}/config"


def discovery(topic: str, camera: str, labels: Sequence[str]) -> dict[str, Any]:
    """The message of a camera.

    Args:
        topic: Topic of the sink.
        camera: Name of the camera.
        labels: Its classes.
    """
    device = _device(topic, camera)
    parts: dict[str, Any] = {
        ACTIONS: {
            "platform": "event",
            "name": "Action",
            "unique_id": f"{device}_{ACTIONS}",
            "event_types": list(labels),
            "value_template": _ACTION,
        }
    }
    for label in labels:
        ident = f"{device}_{_label_id(label)}"
        parts[_label_id(label)] = {
            "platform": "binary_sensor",
            "name": label,
            "unique_id": ident,
            "value_template": _RUNNING % json.dumps(label),
            "off_delay": OFF_DELAY_S,
        }
    return {
        "device": {"identifiers": [device], "name": camera, "manufacturer": "punctum", "sw_version": __version__},
        "origin": {"name": "punctum", "sw_version": __version__},
        "components": parts,
        "state_topic": f"{topic}/{camera}",
        "availability": [{"topic": f"{topic}/status"}, {"topic": f"{topic}/{camera}/status"}],
        "availability_mode": "all",
        "qos": 1,
    }


# Reports that a template renders to nothing are ignored by the entity.
_ACTION = (
    "{% if value_json.phase == 'final' %}"
    "{{ {'event_type': value_json.label, 'score': value_json.score, 'start': value_json.start_utc,"
    " 'end': value_json.end_utc, 'duration_s': value_json.end - value_json.start, 'event': value_json.event}"
    " | to_json }}"
    "{% endif %}"
)
_RUNNING = (
    "{%% if value_json.label == %s %%}"
    "{{ 'ON' if value_json.phase in ('open', 'update')"
    " or (value_json.phase == 'final' and value_json.revision == 0) else 'OFF' }}"
    "{%% endif %%}"
)


def _device(topic: str, camera: str) -> str:
    return f"punctum_{_ID.sub('_', topic)}_{camera}"


def _label_id(label: str) -> str:
    """An id of a class: as written where that is possible, else with a digest, so that no two are the same, nor that
    of the entity of all actions."""
    plain = _ID.sub("_", label)
    return (
        plain
        if plain == label and label != ACTIONS
        else f"{plain.strip('_') or 'class'}_{hashlib.sha256(label.encode()).hexdigest()[:6]}"
    )
