"""`punctum serve` with many cameras: how many two cores carry.

    python benchmarks/site.py capacity VIDEOS [--cameras 1,4,8,16] [--seconds 60] [--json FILE]

VIDEOS is a folder of mp4 files, such as `punctum data make-videos` renders (videos/); each camera is one file over RTSP
on loopback (GStreamer's server, Debian packages as in tests/system/test_rtsp.py). The bundle is `default`.

For each number of cameras: CPU seconds of the service for each second of media (supervisor, engine and cameras; the
RTSP server is not counted), how far the slowest camera is behind, and frames lost. Faults: site_faults.py.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from result_file import add_json, rows_of, save
from site_cameras import all_run, cpu_s, family, prepared, rss_mb, running

from tests.helpers.sites import lines


def capacity(videos: list[Path], counts: list[int], seconds: float) -> list[dict[str, Any]]:
    """One row for each number of cameras."""
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as folder, running(videos[:count], Path(folder)) as (site, _):
            began = time.monotonic()
            site.start()
            site.until(lambda: all_run(site), 180)
            start_s = time.monotonic() - began
            pid = site.process.pid if site.process else 0
            time.sleep(5.0)
            cpu, clock = cpu_s(pid), time.monotonic()
            time.sleep(seconds)
            wall = time.monotonic() - clock
            used = cpu_s(pid) - cpu
            views = site.get("/cameras")["cameras"]
            lost = sum(int(view["stats"].get("lost_frames", 0)) for view in views)
            lag = max(float(view["stats"].get("engine default", {}).get("lag_s", 0.0)) for view in views)
            memory = sum(rss_mb(one) for one in family(pid))
            events = len(lines(site.folder / "events.jsonl"))
            site.stop()
        row = {
            "cameras": count,
            "cpu_ms_per_camera_second": round(1e3 * used / wall / count, 1),
            "cores": round(used / wall, 2),
            "lag_s": round(lag, 2),
            "frames_lost": lost,
            "rss_mb": round(memory),
            "start_s": round(start_s, 1),
            "reports": events,
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["capacity"])
    parser.add_argument("videos", type=Path)
    parser.add_argument("--cameras", default="1,4,8,16")
    parser.add_argument("--seconds", type=float, default=60.0)
    add_json(parser)
    arguments = parser.parse_args()
    videos = sorted(arguments.videos.glob("*.mp4"))
    counts = [int(one) for one in arguments.cameras.split(",")]
    if max(counts) > len(videos):
        raise SystemExit(f"{arguments.videos} has {len(videos)} videos, {max(counts)} are needed")
    with tempfile.TemporaryDirectory() as folder:
        recordings = prepared(videos[: max(counts)], Path(folder))
        rows = capacity(recordings, counts, arguments.seconds)
        save(arguments.json, rows_of({f"{row.pop('cameras')} cameras": row for row in rows}))


if __name__ == "__main__":
    main()
