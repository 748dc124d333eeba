"""`punctum run --stream` as its users meet it: pipes, sockets, files that grow, signals, crashes, bad input."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

import numpy as np
import pytest
from punctum.runtime.cli import invoke
from punctum.runtime.events.event import Event

pytest.importorskip("onnxruntime", reason="running a bundle needs onnxruntime")
from punctum.runtime.sources.framing import encode_record
from punctum.runtime.synthetic.sensors import CHANNELS, STRIDE_S

from tests.helpers.streams import BUNDLE, NAN, PUNCTUM, SENDERS, announced, frames, read, same, start, wait_for

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("language", ["python", "c"])
def test_senders_in_other_languages(features, offline, tmp_path, language):
    raw = tmp_path / "features.f32"
    features.tofile(raw)
    if language == "c":
        compiler = shutil.which("gcc") or shutil.which("cc")
        if compiler is None:
            pytest.skip("no C compiler")
        program = tmp_path / "send"
        source = SENDERS / "send_features.c"
        subprocess.run([compiler, "-O2", "-Wall", str(source), "-o", str(program)], check=True)
        with raw.open("rb") as file:
            sender = subprocess.Popen([program, str(CHANNELS), "0.1"], stdin=file, stdout=subprocess.PIPE)
    else:
        command = [sys.executable, "-S", str(SENDERS / "send_features.py"), str(raw), str(CHANNELS), "0.1"]
        sender = subprocess.Popen(command, stdout=subprocess.PIPE)
    run = start("-", "--max-delay", 1.0, stdin=sender.stdout)
    out, err = run.communicate(timeout=120)
    sender.communicate(timeout=10)
    assert run.returncode == 0, err.decode()
    found = read(out.decode())
    same(found, offline)
    assert {e.phase for e in found} >= {"open", "final"}
    assert {e.stream for e in found} == {language if language == "python" else "c"}
    assert "ended by end of the source" in err.decode()


def test_a_socket_metrics_and_a_signal(features, tmp_path):
    """Over TCP, events to a file; then SIGTERM while the sender is still connected: flushed, summary, exit code 0."""
    import socket

    out = tmp_path / "events.jsonl"
    run = start("tcp://127.0.0.1:0", "--out", out, "--metrics", "127.0.0.1:0", "--max-delay", 1.0)
    assert run.stderr is not None
    port = int(announced(run, rb"port (\d+)")[1])
    address = announced(run, rb"tcp://127\.0\.0\.1:(\d+)")
    with socket.create_connection(("127.0.0.1", int(address[1]))) as client:
        client.sendall(frames(*[(features[i : i + 5], None) for i in range(0, 400, 5)], end=False))

        def scrape() -> str:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10).read().decode()

        wait_for(lambda: 'punctum_snippets_total{stream="cam"} 400.0' in scrape())
        text = scrape()
        assert 'punctum_events_total{label="' in text
        assert 'punctum_backend_info{actual="cpu",precision="fp32",requested="cpu"} 1.0' in text
        assert "punctum_bundle_info{id=" in text
        assert float(re.search(r"^punctum_windows_total (\S+)", text, re.M)[1]) > 50
        assert float(re.search(r'punctum_state_bytes\{stream="cam"\} (\S+)', text)[1]) > 0
        for path in ("healthz", "readyz"):
            assert urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=10).status == 200
        run.send_signal(signal.SIGTERM)
        _, err = run.communicate(timeout=30)
    assert run.returncode == 0, err.decode()
    assert b"ended by SIGTERM" in err
    from punctum.runtime import Bundle, Localizer

    same(read(out.read_text()), Localizer(Bundle.load(BUNDLE)).localize(features[:400]))


def test_a_sender_that_begins_again_is_refused(features, tmp_path, capsys):
    """After a break a sender may come back, but not with media time that was reported on already."""
    import socket
    import threading

    path = tmp_path / "s"

    def send_twice() -> None:
        for _ in range(2):
            with socket.socket(socket.AF_UNIX) as client:
                wait_for(lambda one=client: one.connect_ex(str(path)) == 0)
                client.sendall(frames((features[:100], None), end=False))

    sender = threading.Thread(target=send_twice)
    sender.start()
    code, found, err = stream(capsys, f"unix://{path}", "--reconnect-s", 3)
    sender.join()
    assert code == 3  # a supervisor starts a new run, which takes the sender's new recording
    assert found
    assert "The sender reconnected at 0.000 s, but features up to 10.000 s were received" in flat(err)


def test_stdin_closed_inside_a_record(features, tmp_path):
    """What was whole is used, the events are written, the message says where; exit code 2."""
    whole = [(features[i : i + 10], None) for i in range(0, 400, 10)]
    data = frames(*whole, end=False)
    done = subprocess.run(
        [*PUNCTUM, "-", "--stream"],
        input=data + encode_record(features[400:410])[:-9],
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert f"record 41 at byte {len(data)} is incomplete".encode() in done.stderr
    from punctum.runtime import Bundle, Localizer

    same(read(done.stdout.decode()), Localizer(Bundle.load(BUNDLE)).localize(features[:400]))


def stream(capsys, source: object, *arguments: object) -> tuple[int, list[Event], str]:
    """Run in this process: (exit code, events, standard error)."""
    code = invoke(["run", BUNDLE, str(source), "--stream", *map(str, arguments)])
    text = capsys.readouterr()
    return code, read(text.out), text.err


def test_a_second_run_into_the_same_file_says_that_it_appends(features, tmp_path, capsys):
    np.save(tmp_path / "a.npy", features)
    out, seen = tmp_path / "events.jsonl", []
    for _ in range(2):
        assert invoke(["run", BUNDLE, str(tmp_path / "a.npy"), "--stream", "--out", str(out)]) == 0
        seen.append("contains events already" in capsys.readouterr().err)
    assert seen == [False, True]
    lines = out.read_text().splitlines()
    assert lines[: len(lines) // 2] == lines[len(lines) // 2 :]


@pytest.mark.parametrize(("live", "part"), [(False, "features"), (True, "features/a.npy")])
def test_a_data_set_folder_is_recognized(features, tmp_path, capsys, live, part):
    (tmp_path / "features").mkdir()
    np.save(tmp_path / "features" / "a.npy", features[:20])
    assert invoke(["run", BUNDLE, str(tmp_path), *(["--stream"] if live else [])]) == 2
    assert f"name {tmp_path / part}." in flat(capsys.readouterr().err)


def flat(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (encode_record(NAN), ["[features-not-finite]", "record 2", "nan"]),
        (encode_record(np.zeros((4, CHANNELS)))[:-1] + b"\x01", ["[frame-crc]", "record 2"]),
        (encode_record(np.zeros((4, 5))), ["[frame-size]", "record 2", "dimension 8"]),
    ],
)
def test_bad_records_stop_the_run_and_keep_its_events(features, tmp_path, capsys, bad, words):
    source = tmp_path / "a.bytes"
    source.write_bytes(frames((features[:300], None), bad, (features[300:], None)))
    code, found, err = stream(capsys, source)
    assert code == 2
    for word in [*words, f"byte {len(frames((features[:300], None), end=False))}"]:
        assert word in flat(err), err
    from punctum.runtime import Bundle, Localizer

    same(found, Localizer(Bundle.load(BUNDLE)).localize(features[:300]))


def test_duplicates_are_skipped_and_counted(features, offline, tmp_path, capsys):
    parts = [(features[i : i + 60], round(i * STRIDE_S, 3)) for i in range(0, 600, 60)]
    source = tmp_path / "a.bytes"
    source.write_bytes(frames(*parts[:4], parts[3], parts[1], *parts[4:]))
    code, found, err = stream(capsys, source)
    assert code == 0
    same(found, offline)
    assert "2 duplicate" in err
    assert flat(err).count("skipped [time-backwards]") == 2
    code, found, err = stream(capsys, source, "--on-bad-chunk", "stop")
    assert code == 2
    assert "[time-backwards] record 5" in flat(err).replace("]:", "]")


def test_a_skipped_chunk_is_a_gap_not_a_shift(features, tmp_path, capsys):
    from punctum.runtime import Bundle, Localizer

    source = tmp_path / "a.bytes"
    source.write_bytes(frames((features[:300], None), (NAN, None), (features[303:], None)))
    code, found, err = stream(capsys, source, "--on-bad-chunk", "skip")
    assert code == 0
    assert "1 gap (3 snippets)" in flat(err)
    session = Localizer(Bundle.load(BUNDLE)).session()
    wanted = session.push(features[:300]) + session.push(features[303:], at=30.3) + session.flush()
    same(found, wanted)
    source.write_bytes(frames((features[:300], None), (features[303:], 30.3)))
    code, again, _ = stream(capsys, source)
    assert code == 0
    same(again, wanted)


def test_folders_growing_files_and_labels(features, offline, tmp_path, capsys):
    folder = tmp_path / "cam"
    folder.mkdir()
    for i in range(0, 600, 150):
        np.save(folder / f"{i:05d}@{i * STRIDE_S:.3f}.npy", features[i : i + 150])
    (folder / "END").touch()
    code, found, _ = stream(capsys, folder, "--follow", "--max-delay", 2)
    assert code == 0
    same(found, offline)
    label = offline[0].label
    np.save(tmp_path / "a.npy", features)
    code, found, _ = stream(capsys, tmp_path / "a.npy", "--follow", "--idle-s", 0.2, "--label", label)
    assert code == 0
    same(found, [e for e in offline if e.label == label])
    code, found, _ = stream(capsys, tmp_path / "a.npy", "--min-score", 0.2, "--max-delay", 1, "--name", "door")
    assert code == 0
    ids = {e.id for e in found}
    assert ids == {e.id for e in found if e.phase in ("final", "retracted")}
    assert {e.id for e in found if e.score >= 0.2} == ids
    assert {e.stream for e in found} == {"door"}


def test_words_that_do_not_fit(features, tmp_path, capsys):
    np.save(tmp_path / "a.npy", features[:20])
    path, state = tmp_path / "a.npy", tmp_path / "s.bin"
    for arguments, word in [
        (["--snapshot", state], "--out"),
        (["--on-bad-chunk", "hope"], "skip or stop"),
        (["--max-delay", -1], "--max-delay"),
        (["--format", "activitynet"], "jsonl"),
        (["--mqtt", "http://broker"], "mqtt://"),
        (["--metrics", "here"], "HOST:PORT"),
        (["--label", "juggle"], "juggle"),
        (["--idle-s", -2], "--idle-s"),
    ]:
        code, _, err = stream(capsys, path, *arguments)
        assert (code, word in flat(err)) == (2, True), (arguments, err)
    code, _, err = stream(capsys, "-", "--snapshot", state, "--out", tmp_path / "e.jsonl")
    assert (code, "cannot be read again" in flat(err)) == (2, True)
    assert invoke(["run", BUNDLE, str(path), "--max-delay", "1"]) == 2
    assert "add --stream" in flat(capsys.readouterr().err)


def test_missing_libraries_are_named(features, tmp_path, capsys, monkeypatch):
    np.save(tmp_path / "a.npy", features[:20])
    for module, option, value, extra in [
        ("paho.mqtt", "--mqtt", "mqtt://127.0.0.1/a", "punctum[mqtt]"),
        ("prometheus_client", "--metrics", "127.0.0.1:0", "punctum[metrics]"),
    ]:
        monkeypatch.setitem(sys.modules, module, None)
        code, _, err = stream(capsys, tmp_path / "a.npy", option, value)
        assert (code, extra in flat(err)) == (2, True), err


def test_disk_full_on_the_event_file(features, tmp_path):
    """The file keeps whole lines, the message says what happened, exit code 1."""
    import resource

    np.save(tmp_path / "a.npy", features)
    out = tmp_path / "events.jsonl"

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    run = start(tmp_path / "a.npy", "--out", out, preexec_fn=limit)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 1, err.decode()
    assert b"[events-write-failed]" in err
    assert b"Traceback" not in err
    assert 0 < len(read(out.read_text())) < 15
    assert out.read_bytes().endswith(b"\n")


@pytest.mark.slow
def test_killed_and_restored(features, tmp_path):
    """kill -9 again and again in mid-stream: no event lost, none doubled, provisional ones included."""
    np.save(tmp_path / "whole.npy", features)
    reference = tmp_path / "reference.jsonl"
    options = ["--max-delay", 1.0, "--name", "cam"]
    assert (
        invoke(["run", BUNDLE, str(tmp_path / "whole.npy"), "--stream", "--out", str(reference), *map(str, options)])
        == 0
    )
    folder, out, state = tmp_path / "chunks", tmp_path / "events.jsonl", tmp_path / "state.bin"
    folder.mkdir()

    def drop(stop: int) -> None:
        for i in range(0, stop, 7):
            name = folder / f"{i:05d}.npy"
            if not name.exists():
                draft = folder / "draft"
                with draft.open("wb") as file:
                    np.save(file, features[i : i + 7])
                draft.rename(name)

    arguments = [folder, "--follow", "--out", out, "--snapshot", state, *options]
    for upto, every in ((150, 0.05), (350, 30)):
        before = out.stat().st_size if out.exists() else 0
        run = start(*arguments, "--snapshot-every", every)
        drop(upto)
        wait_for(lambda known=before: state.exists() and out.exists() and out.stat().st_size > known)
        run.kill()
        run.communicate(timeout=30)
        assert run.returncode == -signal.SIGKILL
        with out.open("ab") as file:  # what a crash of the machine can leave behind
            file.write(b'{"schema":"punctum.event/1","stre')
    drop(len(features))
    (folder / "END").touch()
    for _ in range(2):  # the second time there is nothing new: the same file again
        run = start(*arguments)
        _, err = run.communicate(timeout=60)
        assert run.returncode == 0, err.decode()
        assert b"resuming from" in err
        assert out.read_text() == reference.read_text()


def test_snapshots_that_do_not_fit(features, tmp_path, capsys):
    np.save(tmp_path / "a.npy", features[:200])
    np.save(tmp_path / "b.npy", features[:200])
    out, state = tmp_path / "e.jsonl", tmp_path / "s.bin"
    base = ["--out", out, "--snapshot", state]
    assert stream(capsys, tmp_path / "a.npy", *base)[0] == 0
    code, _, err = stream(capsys, tmp_path / "b.npy", *base)
    assert (code, "[snapshot-source]" in err) == (2, True)
    code, _, err = stream(capsys, tmp_path / "a.npy", *base, "--max-delay", 1)
    assert (code, "[snapshot-options]" in err) == (2, True)
    code, _, err = stream(capsys, tmp_path / "a.npy", *base, "--name", "other")
    assert (code, "[snapshot-options]" in err) == (2, True)
    text = out.read_text()
    out.write_text("")
    code, _, err = stream(capsys, tmp_path / "a.npy", *base)
    assert text
    assert (code, "[events-shorter]" in err) == (2, True)
    state.write_bytes(state.read_bytes()[:-1] + b"x")
    code, _, err = stream(capsys, tmp_path / "a.npy", *base)
    assert (code, "[snapshot-unreadable]" in err) == (2, True)


def test_a_reader_that_goes_away(features, tmp_path):
    np.save(tmp_path / "a.npy", features)
    run = start(tmp_path / "a.npy", "--max-delay", 0.5, env={**os.environ, "PYTHONUNBUFFERED": "0"})
    assert run.stdout is not None
    assert run.stderr is not None
    run.stdout.close()
    err = run.stderr.read().decode()
    run.stderr.close()
    assert run.wait(timeout=30) == 0, err
    assert "Traceback" not in err
    assert "Exception" not in err
