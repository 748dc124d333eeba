"""Pixels as a player shows them, and files that are refused: those that name others, and frames that are too large."""

from __future__ import annotations

import inspect
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av", reason="PyAV is not installed")

from punctum.runtime.errors import InputError
from punctum.runtime.video import open_frames
from punctum.runtime.video.selftest import decode_tiny_clip

from tests.helpers import video_times as odd

RATE, make, remux, bump, media_times = odd.RATE, odd.make, odd.remux, odd.bump, odd.media_times


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = odd.make_all(tmp_path_factory.mktemp("times"))
    return folder


# The shape of pixels.


def test_pixels_that_are_not_square_are_said(tmp_path: Path) -> None:
    for name, sar, wanted in (("a.mp4", Fraction(2), 2.0), ("b.mkv", Fraction(16, 11), 16 / 11), ("c.mp4", None, 1.0)):
        _, source = media_times(make(tmp_path / name, 10, sar=sar))
        assert source.items[0].aspect == pytest.approx(wanted, rel=0.01)


def test_pixels_of_a_turned_recording_are_turned_with_it(tmp_path: Path) -> None:
    def turn(out: object) -> None:
        out.streams.video[0].set_display_rotation(90)  # type: ignore[attr-defined]

    _, source = media_times(make(tmp_path / "turned.mp4", 10, sar=Fraction(2), extra=turn))
    assert source.items[0].image.shape == (64, 48, 3)
    assert source.items[0].aspect == pytest.approx(0.5)


def test_an_anamorphic_recording_looks_to_a_backbone_like_a_square_one() -> None:
    from punctum import kernels
    from punctum.runtime.backbone.preprocess import Preprocessor, crop_window
    from punctum.runtime.bundle.backbone_spec import BackboneSpec

    spec = BackboneSpec(fps=10, clip_frames=2, snippet_frames=2, height=24, width=32)
    y, x = np.mgrid[0:96, 0:256]
    square = np.stack([x % 256, y * 2, (x + y) % 256], axis=-1).astype(np.uint8)
    narrow = np.rint(kernels.resize_area(square, 96, 128)).astype(np.uint8)  # pixels twice as wide as high
    prepare = Preprocessor(spec)
    wanted = prepare(square).copy()
    assert np.abs(prepare(narrow, 2.0) - wanted).max() < 0.02
    assert np.abs(prepare(narrow) - wanted).max() > 0.1
    assert crop_window(96, 128, spec, 2.0) == pytest.approx((0.0, 32.0, 96.0, 64.0))
    assert crop_window(96, 128, spec.model_copy(update={"resize": "stretch"}), 2.0) == (0.0, 0.0, 96.0, 128.0)


# Files that name other files, and frames that are too large.


REFERENCES = {
    "ffconcat": "ffconcat version 1.0\nfile plain.mp4\n",
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nplain.ts\n#EXT-X-ENDLIST\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"></MPD>\n',
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "pls": "[playlist]\nFile1=plain.mp4\n",
}


@pytest.mark.parametrize("ending", ["mp4", "m3u8", "mkv", ""])
@pytest.mark.parametrize("kind", REFERENCES)
def test_files_that_name_other_files_are_refused_whatever_they_are_called(kind: str, ending: str, made: Path) -> None:
    path = made / f"list-{kind}.{ending}"
    path.write_text(REFERENCES[kind])
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code == "video-references"
    assert "refers to other files" in caught.value.given


def test_a_name_with_a_number_pattern_opens_no_series_of_pictures(made: Path, tmp_path: Path) -> None:
    for k in range(3):
        make(tmp_path / f"shot{k}.png", 1, codec="png", pixels="rgb24", form="image2", b_frames=0)
    path = Path(shutil.copy(tmp_path / "shot0.png", tmp_path / "shot%d.png"))
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code == "video-picture"


def test_an_mp4_whose_media_lie_in_another_file_is_refused(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="media data is in another file") as caught:
        open_frames(str(odd.outside(tmp_path / "outside.mp4", made / "plain.mp4")), fps=10.0)
    assert caught.value.code == "video-references"
    assert len(media_times(odd.outside(tmp_path / "empty.mp4", made / "plain.mp4", place=b""))[0]) == 60


def test_a_small_file_with_huge_frames_is_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "bomb.avi", 10, codec="mjpeg", pixels="yuvj420p")
    data = bytearray(path.read_bytes())
    at = data.find(b"\xff\xc0\x00\x11\x08")
    while at >= 0:
        data[at + 5 : at + 9] = (16000).to_bytes(2, "big") * 2
        at = data.find(b"\xff\xc0\x00\x11\x08", at + 1)
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code in ("video-no-frames", "video-size")


def test_a_header_of_a_huge_size_is_refused(tmp_path: Path) -> None:
    data = bytearray(make(tmp_path / "bomb.y4m", 2, codec="rawvideo", form="yuv4mpegpipe", b_frames=0).read_bytes())
    path = tmp_path / "bomb.y4m"
    path.write_bytes(data.replace(b"W64 H48", b"W12000 H12000"))
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code in ("video-size", "video-no-frames", "video-unreadable")


def test_a_file_of_more_streams_than_anybody_needs_is_refused(tmp_path: Path) -> None:
    def add(out: object) -> None:
        for _ in range(300):
            out.add_stream("pcm_s16le", rate=8000, layout="mono")  # type: ignore[attr-defined]

    with pytest.raises(InputError, match="more than 256 streams") as caught:
        open_frames(str(make(tmp_path / "many.mkv", 5, extra=add)), fps=10.0)
    assert caught.value.code == "video-streams"


def test_a_song_with_a_cover_picture_is_no_video(tmp_path: Path) -> None:
    import av
    import av.stream

    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("aac", rate=48_000, layout="mono")
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        for packet in odd._sound(sound, 0.0, 1.0):
            out.mux(packet)
        frame = av.VideoFrame.from_ndarray(odd.picture(0), format="rgb24").reformat(format="yuvj420p")
        frame.pts, frame.time_base = 0, Fraction(1, 1)
        out.mux(cover.encode(frame))
        out.mux(cover.encode())
    with pytest.raises(InputError) as caught:
        open_frames(str(path), fps=10.0)
    assert caught.value.code == "video-no-stream"
    assert "a cover image and audio but no video" in caught.value.given


def test_open_frames_has_no_option_without_effect() -> None:
    assert list(inspect.signature(open_frames).parameters) == ["address", "fps", "options"]


def test_this_installation_decodes() -> None:
    assert "decodes a tiny clip" in decode_tiny_clip()
