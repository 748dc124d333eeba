"""Every reader on its valid inputs and on changes of them from fixed seeds: an answer or a PunctumError, nothing else.

PUNCTUM_FUZZ_CASES multiplies the number of cases (0.4, or 1 with PUNCTUM_EXHAUSTIVE=1), PUNCTUM_FUZZ_SEED draws others.
"""

from __future__ import annotations

import os
import random
import signal
import traceback
from pathlib import Path

import pytest
from punctum.runtime.errors import PunctumError

from tests.fuzz.fuzzing import mutate, targets
from tests.helpers.exhaustive import EXHAUSTIVE

pytestmark = pytest.mark.slow

CASES = float(os.environ.get("PUNCTUM_FUZZ_CASES") or (1.0 if EXHAUSTIVE else 0.4))
LIMIT_S = 60  # one input; no reader needs a second, but machines stall


NAMES = list(targets())


def one(target, data: bytes) -> str | None:
    """None where the input was read or refused; else what went wrong, by type and place."""

    def stop(*_):
        raise TimeoutError(f"no answer after {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT_S)
    try:
        target.run(data)
    except PunctumError:
        pass
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        places = [f for f in traceback.extract_tb(error.__traceback__) if "fuzzing" not in f.filename]
        where = f"{Path(places[-1].filename).name}:{places[-1].lineno}" if places else "the target"
        inside = [f for f in places if any(p in f.filename for p in ("runtime", "training", "kernels", "export"))]
        where += f" by {Path(inside[-1].filename).name}:{inside[-1].lineno}" if inside else ""
        return f"{type(error).__name__} at {where}: {str(error)[:200]!r}"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    return None


@pytest.mark.parametrize("name", NAMES)
def test_answers_or_refuses(name, tmp_path):
    if name == "video":
        pytest.importorskip("av")
    if name == "run-folder":
        pytest.importorskip("torch")
    target = targets()[name](tmp_path)
    found: dict[str, bytes] = {}
    for data in [*target.seeds, b"", b"\0", b"{}", b"[]", b"null", b"\xff\xfe\x00\xd8", b"9" * 5000, b"[" * 100_000]:
        fault = one(target, data)
        if fault:
            found.setdefault(fault, data)
    rng = random.Random(f"{name} {os.environ.get('PUNCTUM_FUZZ_SEED', '1')}")
    for _ in range(int(target.cases * CASES)):
        data = target.mutate(rng.choice(target.seeds), rng)
        fault = one(target, data)
        if fault:
            found.setdefault(fault, data)
    keep = os.environ.get("PUNCTUM_FUZZ_KEEP")
    for number, data in enumerate(found.values() if keep else ()):
        Path(keep, f"{name}-{number}").write_bytes(data)
    assert not found, "\n".join(f"{fault}\n    {data[:300]!r}" for fault, data in found.items())


@pytest.mark.parametrize("name", NAMES)
def test_the_first_valid_input_is_accepted(name, tmp_path):
    """Otherwise the target would only look at refusals."""
    if name == "video":
        pytest.importorskip("av")
    if name == "run-folder":
        pytest.importorskip("torch")
    target = targets()[name](tmp_path)
    target.run(target.seeds[0])


def test_mutations_are_the_same_everywhere():
    for change in (mutate.change_bytes, mutate.change_text, mutate.change_json, mutate.change_lines):
        data = b'{"a": [1, 2.5, "x"], "b": {"c": null}}'
        first = [change(data, random.Random(k)) for k in range(50)]
        assert first == [change(data, random.Random(k)) for k in range(50)]
        assert len(set(first)) > 30
