"""Fuzz readers with atheris, guided by coverage; several at a time, each in a process of its own.

    python tests/fuzz/run.py [--seconds 6] [--jobs 2] [--out FOLDER] [TARGET ...]

The corpus starts as the valid inputs of the target; half of the changes are those of `fuzzing.mutate`, half of
libFuzzer. Exit code 0: every reader answered or refused whatever it was given; 1: there are findings, whose inputs lie
in FOLDER. Needs atheris (locks/fuzz.txt).
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S, LIMIT_MB = 60, 4000  # one input: no reader needs a second, but the machine may be busy


def child(name: str, corpus: Path, seconds: float, out: Path) -> None:
    """Never returns: libFuzzer ends the process."""
    import atheris
    from punctum import kernels

    kernels.warm_up()  # Numba reads bytecode, and must find its own
    sys.path.insert(0, str(ROOT))
    with atheris.instrument_imports(include=["punctum.runtime", "punctum.training"], enable_loader_override=False):
        from punctum.runtime.errors import PunctumError

        from tests.fuzz.fuzzing import targets

        target = targets()[name](Path(tempfile.mkdtemp(dir=out)))
        for seed in target.seeds:  # imports what is loaded late, and compiles kernels, before the clock runs
            with contextlib.suppress(PunctumError):
                target.run(seed)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    count = refused = 0
    began = time.monotonic()

    def one(data: bytes) -> None:
        nonlocal count, refused
        count += 1
        try:
            target.run(data)
        except PunctumError:
            refused += 1
        if time.monotonic() - began > seconds:
            print(f"{name}: {count} inputs, {refused} refused", flush=True)
            os._exit(0)

    def mutate(data: bytes, max_size: int, seed: int) -> bytes:
        if seed % 2:
            return atheris.Mutate(data, len(data) + 64)[:max_size]
        return target.mutate(data, random.Random(seed))[:max_size]

    longest = max(65536, *(2 * len(seed) for seed in target.seeds))
    limits = [
        f"-timeout={LIMIT_S}",
        f"-rss_limit_mb={LIMIT_MB}",
        f"-max_len={longest}",
        f"-artifact_prefix={out}/{name}-",
    ]
    atheris.Setup([sys.argv[0], *limits, "-verbosity=0", "-len_control=0", str(corpus)], one, custom_mutator=mutate)
    atheris.Fuzz()


def fuzz(name: str, seconds: float, out: Path) -> tuple[str, bool, str]:
    with tempfile.TemporaryDirectory() as corpus:
        command = [sys.executable, __file__, "--child", corpus, "--seconds", str(seconds), "--out", str(out), name]
        # What a target has to import and compile does not count towards its seconds.
        try:
            done = subprocess.run(
                command, capture_output=True, timeout=seconds + 300, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
        except subprocess.TimeoutExpired as error:
            return name, False, f"did not end\n{(error.stderr or b'').decode(errors='replace')[-2000:]}"
    told = (done.stdout + done.stderr).decode(errors="replace")
    line = next((t for t in done.stdout.decode(errors="replace").splitlines() if t.startswith(f"{name}: ")), "")
    good = done.returncode == 0 and bool(line)
    return name, good, line if good else f"{name}: exit code {done.returncode}\n{told[-4000:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("targets", nargs="*", help="default: all")
    parser.add_argument("--seconds", type=float, default=6.0, help="per target")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="where inputs that are findings go")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    out = given.out or Path(tempfile.mkdtemp(prefix="punctum-fuzz-"))
    out.mkdir(parents=True, exist_ok=True)
    if given.child:
        child(given.targets[0], given.child, given.seconds, out)
    sys.path.insert(0, str(ROOT))
    from tests.fuzz.fuzzing import targets

    unknown = set(given.targets) - set(targets())
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    names = given.targets or list(targets())
    faults = 0
    with concurrent.futures.ThreadPoolExecutor(given.jobs) as pool:
        for _, good, told in pool.map(lambda name: fuzz(name, given.seconds, out), names):
            faults += not good
            print(told, flush=True)
    print(f"fuzz: {len(names)} readers, {faults} with findings" + (f" in {out}" if faults else ""))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
