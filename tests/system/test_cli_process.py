"""The command as a process: standard streams that are full, closed or of another encoding, interrupts, hostile names
and files. One line of error at most, the right exit code, never a traceback."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
from punctum.runtime.cli import invoke

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime.synthetic.sensors import make_sequence

pytestmark = pytest.mark.slow

BUNDLE = Path(str(resources.files("punctum.runtime") / "assets" / "demo"))
PUNCTUM = [sys.executable, "-c", "from punctum.runtime.cli import main; main()"]
HOSTILE = "\x1b]0;PWNED\x07\x1b[31mlift\u202e\x9b2J\nevil"


@pytest.fixture(scope="module")
def features(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("features") / "seq.npy"
    np.save(path, make_sequence(99, seconds=40).features)
    return path


@pytest.fixture(scope="module")
def count(features) -> int:
    done = subprocess.run([*PUNCTUM, "run", BUNDLE, features], capture_output=True, timeout=120)
    assert done.returncode == 0
    return done.stdout.count(b"\n")


def shell(line: str, *arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A command line of sh in which "$@" is punctum with the arguments."""
    return subprocess.run(
        ["sh", "-c", line, "sh", *PUNCTUM, *map(str, arguments)],
        capture_output=True,
        timeout=240,
        env={**os.environ, **environment},
    )


def clean(done: subprocess.CompletedProcess[bytes], code: int) -> str:
    told = done.stderr.decode(errors="replace")
    assert done.returncode == code, told
    assert "Traceback" not in told
    assert "Exception ignored" not in told
    return told


@pytest.mark.parametrize("stream", [[], ["--stream"]])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_standard_output(features, stream):
    told = clean(shell('"$@" > /dev/full', "run", BUNDLE, features, *stream), 1)
    assert "Cannot write to standard output" in told
    assert "Next: " in told
    assert told.count("error [") == 1


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_a_closed_standard_output(features, count, tmp_path, stream):
    told = clean(shell('"$@" >&-', "run", BUNDLE, features, *stream), 1)
    assert told.startswith("error [stdout-closed]")
    out = tmp_path / "e.jsonl"
    clean(shell('"$@" >&- 2>&- <&-', "run", BUNDLE, features, "--out", out, *stream), 0)
    assert out.read_bytes().count(b"\n") == count


def test_a_closed_standard_output_of_other_commands(tmp_path):
    clean(shell('"$@" >&-', "--version"), 1)
    clean(shell('"$@" > /dev/full', "--version"), 1)
    clean(shell('"$@" >&-', "--help"), 1)
    # The output is complete before the lost message is reported.
    told = clean(shell('"$@" >&-', "data", "make-demo", "--out", tmp_path / "d", "--count", "2"), 1)
    assert "Standard output is closed" in told
    assert (tmp_path / "d" / "dataset.json").is_file()


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
@pytest.mark.parametrize("stream", [["--stats"], ["--stream", "--stats"]])
def test_a_standard_error_that_takes_nothing(features, count, redirection, stream):
    """Messages end no run, and do not end up among the events."""
    done = shell(f'"$@" {redirection}', "run", BUNDLE, features, *stream)
    assert done.returncode == 0
    lines = done.stdout.decode().splitlines()
    assert len(lines) == count
    assert all("schema" in json.loads(line) for line in lines)


@pytest.mark.parametrize("stream", [[], ["--stream"]])
def test_a_reader_that_goes_away(features, stream):
    done = shell('{ "$@"; echo "rc=$?" >&2; } | head -n 1', "run", BUNDLE, features, *stream)
    assert "rc=0" in clean(done, 0)
    assert done.stdout.count(b"\n") == 1


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_labels_and_names_in_any_encoding(features, tmp_path, encoding):
    strange = tmp_path / "été中.npy"
    shutil.copy(features, strange)
    done = shell('"$@"', "run", BUNDLE, strange, "--stats", PYTHONIOENCODING=encoding, LC_ALL="C", PYTHONUTF8="0")
    clean(done, 0)
    name = json.loads(done.stdout.splitlines()[0])["stream"]  # JSON is UTF-8 whatever the terminal is
    assert name == "été中"
    clean(shell('"$@"', "data", "check", tmp_path / "nö中", PYTHONIOENCODING=encoding), 2)


def test_names_that_are_not_utf8(features, tmp_path):
    place = os.fsencode(tmp_path)
    bad = os.fsdecode(place + b"/bad\xff.npy")
    shutil.copy(features, bad)
    for options in ([], ["--stream"]):
        done = shell('"$@"', "run", BUNDLE, bad, *options)
        clean(done, 0)
        assert json.loads(done.stdout.splitlines()[0])["stream"] == "bad\\xff"
    out = tmp_path / "a.json"
    clean(shell('"$@"', "run", BUNDLE, bad, "--format", "activitynet", "--out", out), 0)
    assert list(json.loads(out.read_text())["results"]) == ["bad\\xff"]
    missing = os.fsdecode(b"no\xff\x1b[31m")
    for arguments in (
        ["run", BUNDLE, missing],
        ["run", missing, bad],
        ["report", BUNDLE, missing, "--out", tmp_path / "r.html"],
        ["convert", missing, tmp_path / "x.csv"],
        ["features", missing, bad, "--out", tmp_path / "f"],
        ["eval", BUNDLE, missing],
        ["data", "check", missing],
        ["score", BUNDLE, missing, "--out", tmp_path / "s"],
    ):
        done = shell('"$@"', *arguments)
        told = clean(done, 2) + done.stdout.decode()
        assert "no\\xff" in told, arguments
        assert "\x1b[31m" not in told
    clip = os.fsdecode(place + b"/clip\xff.vtt")
    Path(clip).write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nwave\n")
    done = shell('"$@"', "convert", clip, "-", "--to", "csv")
    clean(done, 0)
    assert done.stdout.splitlines()[1] == b"wave,clip\\xff,1.0,2.0,"


def test_a_video_whose_name_is_not_utf8(tmp_path):
    pytest.importorskip("av", reason="videos need av (the extra `video`)")
    from punctum.runtime.synthetic.video import render
    from punctum.runtime.synthetic.video.dataset import encode

    encode(render(3, seconds=10.0), tmp_path / "v.mp4")
    bad = os.fsdecode(os.fsencode(tmp_path) + b"/bad\xff.mp4")
    (tmp_path / "v.mp4").rename(bad)
    done = shell('"$@"', "run", "default", bad, "--stream", "--min-score", "0")
    assert "bad\\xff: " in clean(done, 0)
    out = tmp_path / "features"
    clean(shell('"$@"', "features", "default", bad, "--out", out), 0)
    assert sorted(p.name for p in out.iterdir()) == ["bad\\xff.npy", "features.json"]
    assert list(json.loads((out / "features.json").read_text())["videos"]) == ["bad\\xff"]


def hostile_bundle(folder: Path) -> Path:
    """A bundle whose labels drive terminals. It is undamaged."""
    from dataclasses import replace

    from punctum.runtime import Bundle
    from punctum.runtime.bundle.writer import save_bundle, seal_bundle

    bundle = Bundle.load(BUNDLE)
    labels = (HOSTILE, "[red]b[/red]", *bundle.labels[2:])
    try:
        sealed = seal_bundle(bundle.manifest.model_copy(update={"labels": labels}), dict(bundle.content))
        save_bundle(replace(sealed), folder)
    except Exception as error:  # noqa: BLE001 - refused when made, which is as good
        pytest.skip(f"such labels are refused when a bundle is made: {error}")
    return folder


def test_text_from_files_cannot_drive_the_terminal(features, tmp_path):
    bundle = hostile_bundle(tmp_path / "evil")
    told = []
    for arguments in (
        ["run", bundle, features, "--label", "nothing"],
        ["run", bundle, features],
        ["run", bundle, features, "--stream", "--max-delay", "1"],
        ["run", bundle, tmp_path / HOSTILE],
    ):
        done = shell('"$@"', *arguments)
        told.append(done.stdout.decode() + done.stderr.decode())
        assert "Traceback" not in told[-1]
    (tmp_path / "h.csv").write_text(f'class,video_id,start_s,end_s\n"{HOSTILE}",v,1,x\n')
    convert = ["convert", tmp_path / "h.csv", "-", "--to", "webvtt"]
    for arguments in (convert, [HOSTILE], ["run", "a", "b", f"--{HOSTILE}"]):
        done = shell('"$@"', *arguments)
        told.append(done.stdout.decode() + done.stderr.decode())
    for text in told:
        for character in "\x1b\x07\x9b\u202e":
            assert character not in text, text
    assert sum("lift" in text for text in told) >= 6


def test_markup_in_tables_is_text(tmp_path, capsys):
    from punctum.runtime.cli.terminal import cell, console

    shown = console()
    shown.print(cell(f"[red]{HOSTILE}[/red]"), soft_wrap=True)
    assert capsys.readouterr().out.startswith("[red]\\x1b]0;PWNED\\x07\\x1b[31mlift\\u202e\\x9b2J\\nevil[/red]")


def test_words_in_brackets_in_the_help(capsys, monkeypatch):
    """Every word in brackets of every help text is shown, and none is taken for a style."""
    import re

    from punctum.runtime.cli._app import build
    from rich.text import Text

    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("TERMINAL_WIDTH", "300")
    checked = 0

    def go(command, path: tuple[str, ...]) -> None:
        nonlocal checked
        for name, child in getattr(command, "commands", {}).items():
            go(child, (*path, name))
        texts = [command.help or "", *(getattr(p, "help", "") or "" for p in command.params)]
        words = {word for text in texts for word in re.findall(r"\S*\[[^\]\s]*\]\S*", Text.from_markup(text).plain)}
        if not words:
            return
        assert invoke([*path, "--help"]) == 0
        shown = capsys.readouterr().out
        for word in words:
            assert word in shown, (path, word)
            checked += 1

    go(build(), ())
    assert checked >= 3
    assert invoke(["run", "--help"]) == 0
    assert "mqtt://[user@]host[:port]/topic" in capsys.readouterr().out


# --- the last handler


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        ("RuntimeError('\\x1b[31mbroken\\x1b[0m\\nmore')", 1, ["error [bug]", "broken more", "PUNCTUM_TRACEBACK=1"]),
        ("MemoryError()", 1, ["error [out-of-memory]"]),
        ("RecursionError('deep')", 1, ["error [too-deep]"]),
        ("OSError(28, 'No space left on device', '/x')", 1, ["error [system]", "make room"]),
        ("OSError(__import__('errno').ENAMETOOLONG, 'File name too long', '/x')", 2, ["error [name-too-long]"]),
        ("UnicodeDecodeError('utf-8', b'\\xff', 0, 1, 'bad')", 1, ["error [bug]"]),
        ("KeyboardInterrupt()", 130, ["interrupted"]),
    ],
)
def test_what_nobody_expected(error, code, words):
    program = (
        "import sys\nfrom punctum.runtime.cli import doctor, main\nimport punctum.runtime.doctor as d\n"
        f"def broken(*a, **k): raise {error}\nd.examine = broken\nsys.argv = ['punctum', 'doctor']\nmain()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=60)
    told = clean(done, code)
    assert all(word in told for word in words), told
    assert "\x1b" not in told
    assert told.count("\n") == 1
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, timeout=60, env={**os.environ, "PUNCTUM_TRACEBACK": "1"}
    )
    assert done.returncode == code
    assert (b"Traceback" in done.stderr) == (code != 130)


def test_an_interrupt_inside_an_import_is_one(monkeypatch, capsys):
    import punctum.runtime.doctor as module

    def broken(*arguments: object, **options: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise ImportError("initialization failed") from error

    monkeypatch.setattr(module, "examine", broken)
    assert invoke(["doctor"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(("text", "code"), [("KeyboardInterrupt: ", 130), ("TypeError: no", 1)])
def test_an_interrupt_of_which_only_the_text_is_left(monkeypatch, capsys, text, code):
    """As in an error of pydantic's core, which was interrupted while it built a model."""
    import punctum.runtime.doctor as module
    from pydantic_core import SchemaError

    def broken(*arguments: object, **options: object) -> None:
        raise SchemaError(f"Error building `model` serializer:\n  {text}")

    monkeypatch.setattr(module, "examine", broken)
    assert invoke(["doctor"]) == code
    assert ("interrupted" in capsys.readouterr().err) == (code == 130)


@pytest.mark.parametrize("after_s", [0.0, 0.1, 0.2, 0.4, 0.8, 1.2])
def test_ctrl_c_in_the_first_second(features, tmp_path, after_s):
    program = "import sys; print('on', flush=True); from punctum.runtime.cli import main; main()"
    run = subprocess.Popen(
        [sys.executable, "-c", program, "run", BUNDLE, features, "--stream", "--follow", "--out", tmp_path / "e"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    run.stdout.readline()
    time.sleep(0.15 + after_s)
    run.send_signal(signal.SIGINT)
    _, told = run.communicate(timeout=60)
    assert b"Traceback" not in told, told.decode()
    # A run that had begun ends as by SIGTERM: flushed, exit code 0.
    assert run.returncode == 130 or b"ended by SIGINT" in told


def test_broken_bundles_and_files(features, tmp_path):
    """Whatever is wrong with them: one line."""
    cases: list[list[object]] = []
    for name, data in (("empty", b""), ("text", b"hello"), ("zip", b"PK\x03\x04 and no more"), ("nul", bytes(4096))):
        for ending in (".zip", ".npy", ".json", ".vtt", ".csv", ".eaf", ".xml", ".mp4", ".parquet", ".jsonl"):
            path = tmp_path / f"{name}{ending}"
            path.write_bytes(data)
            cases.append(["run", path, features] if ending == ".zip" else ["run", BUNDLE, path])
            cases.append(["convert", path, tmp_path / "new.csv"])
    with zipfile.ZipFile(tmp_path / "deep.zip", "w") as file:
        file.writestr("manifest.json", "[" * 100_000)
    cases.append(["run", tmp_path / "deep.zip", features])
    cases.append(["eval", tmp_path / "text.csv", "--detections", tmp_path / "nul.json"])
    for arguments in cases:
        told = io.StringIO()
        with contextlib.redirect_stderr(told):
            code = invoke(list(map(str, arguments)))
        nothing_wrong = arguments[0] == "convert" and code == 0  # an empty file of events
        assert nothing_wrong or code in (1, 2), (arguments, told.getvalue())
        assert nothing_wrong or told.getvalue().count("error [") == 1, (arguments, told.getvalue())
        assert "Traceback" not in told.getvalue()


def test_an_interrupt_while_python_cleans_up_is_not_forgotten():
    """Python prints and forgets one that comes inside a finalizer, such as those that run after an import."""
    program = (
        "import time\nfrom punctum.runtime import cli\n"
        "class Late:\n    def __del__(self): raise KeyboardInterrupt\n"
        "def work(arguments):\n    Late()\n    time.sleep(60)\n    return 0\n"
        "cli.invoke = work\ncli.main()"
    )
    began = time.monotonic()
    run = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert clean(run, 130) == "interrupted\n"
    assert time.monotonic() - began < 50
