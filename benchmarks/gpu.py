"""Everything that runs on a GPU, checked and timed against the CPU of the same machine, in under ten minutes.

    python benchmarks/gpu.py --json gpu.json [--device cuda] [--minutes 9] [--only pools,engines] [--quick]
    python benchmarks/gpu.py --json jetson.json --device tensorrt --jetson
    python benchmarks/gpu.py --device cpu --quick          (no GPU: a dry run, which skips with reasons)

Each check runs in a process of its own, within what is left of --minutes: one that fails, crashes or hangs is recorded
with the reason, and the next one runs. The file has the rows of all checks, and what was skipped and why: it is what to
send back. Exit code 1 if a check failed or ran out of time, 0 if checks were only skipped, and 2 without a GPU.

  provider      whole recordings on --device: events and tensors against the CPU, time
  cuda-graphs   a step of 1, 64, 256, 1,024 streams with fixed shapes: plain, and captured in a CUDA graph
  backbone      clips of 1, 8, 32 cameras in one run against one core
  kernels       punctum.kernels.cuda against one CPU thread
  pools         pools of 1, 64, 256, 1,024 streams
  variants      fp16 and int8 against fp32
  engines       TensorRT engines: built, loaded, compared, timed
  ort-tensorrt  ONNX Runtime's TensorRT provider
  score         `punctum score` of videos, with decoding on the CPU and by NVDEC
  power, jetson-decoder   with --jetson: tegrastats; nvv4l2decoder through a gst: source
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from result_file import Row, add_json, save


def prepare(work: Path, quick: bool) -> None:
    """The data of the checks, made once: sequences of features, and videos."""
    from punctum.runtime.synthetic.sensors import write_demo_dataset
    from punctum.runtime.synthetic.video import write_videos

    write_demo_dataset(work / "features", videos=8, seed=5, seconds=60.0)
    size = (120, 160) if quick else (720, 1280)
    write_videos(work / "videos", count=2 if quick else 4, seed=4_000_001, seconds=10.0 if quick else 30.0, size=size)


def one(name: str, device: str, work: Path, quick: bool) -> None:
    """Run a check and write what it found to WORK/NAME.json."""
    from dataclasses import asdict

    from gpu_checks import ALL, REASONS, Given

    found: dict[str, object] = {}
    try:
        found["rows"] = [asdict(row) for row in ALL[name](Given(device, work, quick))]
    except REASONS as reason:
        found["skipped"] = str(reason)
    (work / f"{name}.json").write_text(json.dumps(found))


def outcome(name: str, options: argparse.Namespace, work: Path, left: float) -> tuple[list[Row], str, bool]:
    """(rows, why there are none, whether that is a failure) of a check in its process."""
    command = [sys.executable, __file__, "--check", name, "--device", options.device, "--work", str(work)]
    command += ["--quick"] if options.quick else []
    with (work / f"{name}.log").open("wb") as log:
        try:
            done = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, timeout=left)
        except subprocess.TimeoutExpired:
            return [], f"stopped after {left:.0f} s, which were left of --minutes", True
    answer = work / f"{name}.json"
    if not answer.is_file():
        last = (work / f"{name}.log").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        why = f"signal {-done.returncode}" if done.returncode < 0 else f"exit code {done.returncode}"
        return [], f"failed with {why}: {last[-1] if last else 'no output'}", True
    found = json.loads(answer.read_text())
    return [Row(**row) for row in found.get("rows", [])], found.get("skipped", ""), False


def obstacle(device: str) -> str:
    """Why no check can run on a device, for which there is no NVIDIA GPU or which is none; "" for the CPU."""
    from punctum.runtime.backends.options import Device
    from punctum.runtime.backends.tensorrt.cuda import Cuda
    from punctum.runtime.errors import PunctumError

    try:
        if Device.parse(device).kind != "cpu":
            Cuda.open()
    except PunctumError as error:
        return f"{error.given}."
    return ""


def hardware() -> dict[str, str]:
    """What nvidia-smi says of the GPUs; what a Jetson says of itself."""
    from punctum.runtime.machine.host import Host
    from punctum.runtime.machine.system import jetson

    found = {"jetson": jetson(Host.here())}
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total,compute_cap", "--format=csv,noheader"]
    try:
        found["gpus"] = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        found["gpus"] = f"nvidia-smi: {error}"
    return found


def main() -> int:
    from gpu_checks import ALL, CHECKS, JETSON

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_json(parser)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--only", help="checks, separated by commas")
    parser.add_argument("--jetson", action="store_true")
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--check", help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.check:
        one(options.check, options.device, options.work, options.quick)
        return 0
    names = options.only.split(",") if options.only else list(JETSON if options.jetson else CHECKS)
    unknown = [name for name in names if name not in ALL]
    if unknown:
        parser.error(f"--only {unknown[0]!r} is no check. Allowed: {', '.join(ALL)}.")
    if not 0 < options.minutes <= 600:
        parser.error(f"--minutes is {options.minutes:g}. Allowed: above 0, at most 600.")
    if why := obstacle(options.device):  # before the videos are rendered, which takes minutes
        parser.error(f"--device {options.device} does not run here: {why} A dry run: --device cpu --quick.")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    end, rows, skipped, failed, seconds = time.monotonic() + 60 * options.minutes, [], {}, False, {}
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        prepare(work, options.quick)
        for name in names:
            began, left = time.monotonic(), end - time.monotonic()
            if left < 5:
                skipped[name], failed = "no time was left of --minutes", True
                continue
            found, why, wrong = outcome(name, options, work, left)
            seconds[name] = round(time.monotonic() - began, 1)
            rows += [Row(f"{name}: {r.name}", r.value, r.unit, r.spread, r.ratio, r.baseline) for r in found]
            failed |= wrong
            if why:
                skipped[name] = why
            print(f"{name}: {why or f'{len(found)} rows'} ({seconds[name]:.0f} s)", flush=True)
            for row in found:
                times = f", {row.ratio:.2f} times as fast as {row.baseline}" if row.ratio is not None else ""
                print(f"  {row.name}: {row.value:.4g} {row.unit}{times}", flush=True)
    save(options.json, rows, details={"hardware": hardware(), "seconds": seconds}, skipped=skipped)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
