"""Publish the actions of a live camera to an MQTT broker.

    pip install 'punctum[cpu,video,mqtt]'
    python live_camera_mqtt.py BUNDLE rtsp://camera/stream mqtt://broker/site/camera-1

The source may be rtsp://, http(s):// (MJPEG, HLS), camera:/dev/video0, or a video file. Events go to the topic as JSON,
and TOPIC/status says "online" or "offline". Prints each event as it is published. Ctrl-C ends it.

User names and passwords: PUNCTUM_SOURCE_USER, PUNCTUM_SOURCE_PASSWORD, PUNCTUM_MQTT_USER, PUNCTUM_MQTT_PASSWORD. For a
service, prefer `punctum run BUNDLE SOURCE --stream --mqtt ...`, which adds metrics, health checks and exit codes.
"""

import contextlib
import sys

from punctum.runtime import Bundle, Localizer, new_run_id
from punctum.runtime.live import LiveOptions
from punctum.runtime.sinks.mqtt import MqttSink, MqttTarget
from punctum.runtime.sources import open_source

MIN_SCORE = 0.2


def main(bundle_path: str, address: str, broker: str) -> None:
    bundle = Bundle.load(bundle_path)
    localizer = Localizer(bundle)
    source = open_source(address, bundle=bundle)
    sink = MqttSink(MqttTarget.parse(broker))
    # An action is first reported at most one second after its end; later reports revise it, one is final. The run id
    # keeps the ids of this run's events apart from those of earlier runs.
    events = localizer.stream(source, live=LiveOptions(max_delay_s=1.0, report_score=MIN_SCORE), run_id=new_run_id())
    published: set[str] = set()
    try:
        with contextlib.suppress(KeyboardInterrupt):
            for event in events:
                if event.score >= MIN_SCORE or event.id in published:  # all reports about an action, or none
                    published.add(event.id)
                    sink.write([event])
                    print(
                        f"{event.phase:9} {event.start:7.2f} - {event.end:7.2f} s  {event.label:8}  {event.score:.2f}"
                    )
    finally:
        source.close()
        sink.close()  # waits a little for what the broker has not acknowledged yet


if __name__ == "__main__":
    main(*sys.argv[1:])
