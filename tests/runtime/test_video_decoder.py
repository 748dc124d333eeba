"""The option `decoder`: hardware decoders are strict when named, `auto` falls back, and images are the same bytes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

import av
from punctum.runtime.archive import ArchiveOptions, score_archive
from punctum.runtime.bundle import Bundle
from punctum.runtime.cli import invoke
from punctum.runtime.errors import InputError
from punctum.runtime.sources.open import open_source
from punctum.runtime.video import DECODERS, Sampled, VideoOptions, _hardware, open_frames
from punctum.runtime.video._decoded import Converter

from tests.helpers import video_corpus

corpus = video_corpus


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return corpus.encode(tmp_path_factory.mktemp("decoder") / "clip.mp4", 30)


def images(path: Path, options: VideoOptions) -> tuple[str, list[np.ndarray]]:
    source = open_frames(str(path), fps=10.0, options=options)
    found = [item.image for item in source.frames() if isinstance(item, Sampled)]
    source.close()
    return source.info.decoder, found


class Library:
    """PyAV whose contexts are made by a function."""

    FFmpegError = av.FFmpegError

    def __init__(self, create: Callable[..., None]) -> None:
        self.CodecContext = SimpleNamespace(create=create)


@pytest.fixture
def broken() -> str:
    """A hardware decoder that this machine cannot open."""
    return next(kind for kind in reversed(DECODERS[2:]) if _hardware.trouble(kind))


def test_an_unknown_decoder() -> None:
    with pytest.raises(InputError) as caught:
        VideoOptions(decoder="gpu")
    assert caught.value.code == "decoder"
    assert "cuda" in caught.value.allowed


def test_a_named_decoder_is_strict(clip: Path, broken: str) -> None:
    with pytest.raises(InputError) as caught:
        open_frames(str(clip), fps=10.0, options=VideoOptions(decoder=broken))
    assert caught.value.code == "decoder-missing"
    assert broken in caught.value.given
    assert caught.value.allowed.startswith("software, auto")


def test_auto_without_hardware_is_software(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hardware, "trouble", lambda kind: "there is none")
    decoder, found = images(clip, VideoOptions(decoder="auto"))
    assert decoder == "software"
    for one, other in zip(found, images(clip, VideoOptions())[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_auto_as_it_is_here(clip: Path) -> None:
    decoder, found = images(clip, VideoOptions(decoder="auto"))
    assert decoder in DECODERS
    for one, other in zip(found, images(clip, VideoOptions())[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_auto_says_once_what_it_took(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(_hardware, "built_in", lambda: ("vaapi", "cuda", "qsv"))
    why = {"vaapi": "there is no card", "cuda": "there is no driver", "qsv": _hardware.UNUSED}
    monkeypatch.setattr(_hardware, "trouble", why.get)
    said = "decoder: auto took software (not vaapi: there is no card; not cuda: there is no driver)"
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a", "b"):
        (videos / f"{name}.mp4").write_bytes(clip.read_bytes())
    for command in (
        ["run", "default", str(videos)],
        ["run", "default", str(clip), "--stream"],
        ["features", "default", str(videos), "--out", str(tmp_path / "f")],
        ["score", "default", str(videos), "--out", str(tmp_path / "s"), "--workers", "1"],
    ):
        if command[0] == "score":
            pytest.importorskip("pyarrow", reason="the extra archive is not installed")
        assert invoke([*command, "--decoder", "auto"]) == 0
        assert capsys.readouterr().err.splitlines().count(said) == 1, command
    assert invoke(["run", "default", str(clip)]) == 0
    assert "decoder:" not in capsys.readouterr().err
    why["cuda"] = ""
    assert _hardware.auto_choice().startswith("auto took cuda; ")
    monkeypatch.setattr(_hardware, "built_in", lambda: ())
    assert _hardware.auto_choice() == "auto took software (this build of PyAV has no hardware decoder)"


@pytest.mark.parametrize(
    ("kind", "reason", "step"),
    [
        ("vaapi", None, "build PyAV against an FFmpeg that has it (pip install av --no-binary av)"),
        ("cuda", "the driver's libcuda.so.1 does not load", "install the NVIDIA driver"),
        ("vaapi", "its device or driver does not open", "check the driver"),
        ("videotoolbox", None, "another system than this one has it"),
    ],
)
def test_the_next_step_fits_the_cause(
    kind: str, reason: str | None, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_hardware.sys, "platform", "linux")
    monkeypatch.setattr(_hardware, "built_in", lambda: () if reason is None else (kind,))
    if reason is not None:
        monkeypatch.setattr(_hardware, "trouble", lambda kind: reason)
    with pytest.raises(InputError) as caught:
        _hardware.open_decoder(kind)
    assert step in caught.value.next_step


def test_a_missing_driver_is_no_missing_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: object, **_options: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(_hardware, "built_in", lambda: ("cuda", "vaapi"))
    monkeypatch.setattr(_hardware, "load_av", lambda: Library(refuse))
    monkeypatch.setattr(_hardware, "dlopen", lambda name: f"{name}: cannot open shared object file")
    assert _hardware.trouble("cuda") == "the driver's libcuda.so.1 does not load"
    assert _hardware.trouble("vaapi") == "its device or driver does not open"


@pytest.mark.parametrize("kind", _hardware.built_in())
def test_hardware_decodes_the_same(clip: Path, kind: str) -> None:
    if reason := _hardware.trouble(kind):
        pytest.skip(f"{kind}: {reason}")
    decoder, found = images(clip, VideoOptions(decoder=kind))
    assert decoder == kind
    for one, other in zip(found, images(clip, VideoOptions())[1], strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_video_that_the_decoder_does_not_decode(clip: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    """The device opens, but not for this codec."""

    class Unfit:
        kind, context = broken, None

    monkeypatch.setattr("punctum.runtime.video.decode.open_decoder", lambda decoder: Unfit())
    with pytest.raises(InputError) as caught:
        open_frames(str(clip), fps=10.0, options=VideoOptions(decoder=broken))
    assert caught.value.code == "decoder-codec"
    assert "h264" in caught.value.given


@pytest.mark.parametrize(
    ("planar", "interleaved"),
    [("yuv420p", "nv12"), ("yuv420p10le", "p010le"), ("yuv422p", "nv16"), ("yuv444p", "nv24")],
)
@pytest.mark.parametrize("matrix", [1, 2, 5])
@pytest.mark.parametrize("size", [(96, 128), (90, 130)])
def test_interleaved_chroma_gives_the_same_image(
    planar: str, interleaved: str, matrix: int, size: tuple[int, int]
) -> None:
    """What hardware delivers is the same picture in another order."""
    noise = np.random.default_rng(3).integers(0, 256, (*size, 3), np.uint8)
    frame = av.VideoFrame.from_ndarray(noise, format="rgb24").reformat(format=planar)
    frame.colorspace = matrix
    twisted = frame.reformat(format=interleaved)
    assert twisted.format.name == interleaved
    twisted.colorspace = matrix
    np.testing.assert_array_equal(Converter(semi_planar=True)(twisted), Converter()(frame))


def test_no_effect_on_features(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 8), np.float32))
    with pytest.raises(InputError) as caught:
        open_source(str(tmp_path / "a.npy"), dim=8, stride_s=0.2, frames=VideoOptions(decoder="auto"))
    assert caught.value.code == "option-unfit"
    bundle = Bundle.load("default")
    with pytest.raises(InputError) as caught:
        score_archive(
            bundle, [str(tmp_path / "a.npy")], tmp_path / "out", ArchiveOptions(decoder="auto"), progress=False
        )
    assert caught.value.code == "option-unfit"
    for more in ([], ["--stream"]):
        assert invoke(["run", "default", str(tmp_path / "a.npy"), "--decoder", "software", *more]) == 2
        assert "[option-unfit]" in capsys.readouterr().err


def test_an_empty_name_is_not_the_default(clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["run", "default", str(clip)], ["run", "default", str(clip), "--stream"]):
        assert invoke([*command, "--decoder", ""]) == 2
        assert "--decoder is ''" in capsys.readouterr().err
    assert invoke(["features", "default", str(clip), "--out", str(tmp_path / "f"), "--decoder", ""]) == 2


def test_the_command_refuses(clip: Path, tmp_path: Path, broken: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (
        ["run", "default", str(clip), "--decoder", broken],
        ["run", "default", str(clip), "--decoder", broken, "--stream"],
        ["features", "default", str(clip), "--out", str(tmp_path / "f"), "--decoder", broken],
    ):
        assert invoke(command) == 2
        said = capsys.readouterr().err
        assert "[decoder-missing]" in said
        assert "--decoder" in said
