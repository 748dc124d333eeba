"""Clips play in a real Chromium, and show each frame at its time."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("av", reason="PyAV is not installed")
pytest.importorskip("selenium", reason="selenium is not installed")

import av
from punctum.runtime.site.media.ring import Ring

from tests.helpers import site_media as helper
from tests.helpers import video_corpus as corpus
from tests.system.browser import Browser
from tests.system.label_fixtures import start_browser

pytestmark = pytest.mark.slow

PAGE = """<!doctype html><title>clip</title><video muted></video><canvas></canvas><script>
window.read = async (data, kind, times) => {
  const video = document.querySelector("video"), canvas = document.querySelector("canvas");
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  video.src = URL.createObjectURL(new Blob([bytes], { type: kind }));
  const next = (name) => new Promise((done, fail) => {
    video.addEventListener(name, done, { once: true });
    video.addEventListener("error", () => fail(video.error.message), { once: true });
  });
  try { await next("loadeddata"); } catch (error) { return { error: String(error) }; }
  const found = [];
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  for (const time of times) {
    const drawn = new Promise((done) => video.requestVideoFrameCallback(done));
    video.currentTime = time;
    await next("seeked");
    await drawn;
    const pen = canvas.getContext("2d");
    pen.drawImage(video, 0, 0);
    let number = 0;
    for (let bit = 0; bit < 8; bit += 1) {
      const x = Math.round((bit + 0.5) * canvas.width / 8), y = Math.round(canvas.height / 4);
      number = number * 2 + (pen.getImageData(x, y, 1, 1).data[0] > 127 ? 1 : 0);
    }
    found.push(number);
  }
  return { found, duration: video.duration, size: [canvas.width, canvas.height] };
};
window.start = (...given) => { window.result = null; window.read(...given).then((r) => { window.result = r; }); };
</script>"""


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    made = start_browser(tmp_path_factory.mktemp("profile"))
    yield made
    made.driver.quit()


@pytest.mark.parametrize("kind", ["h264", "h264 rotated", "h264 from mpegts", "vp9", "vp8", "av1"])
def test_shows_each_frame_at_its_time(browser: Browser, kind: str, tmp_path: Path) -> None:
    codec = {"vp9": "libvpx-vp9", "vp8": "libvpx", "av1": "libsvtav1"}.get(kind, "libx264")
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    if "264" in kind:
        form = "mpegts" if "mpegts" in kind else "mp4"
        path = corpus.encode(
            tmp_path / f"a.{form}", 100, form=form, b_frames=3, rotation=90 if "rotated" in kind else 0,
            size=(128, 96) if "rotated" in kind else corpus.SIZE,
        )  # fmt: skip
    else:
        path = corpus.encode(tmp_path / "a.webm", 100, codec=codec)
    ring = Ring(60, 64)
    seen = helper.read(path, ring)
    part = helper.clip_of(ring, 1.3, 2.9, tmp_path / "clip")
    times = [k / 25 + 0.02 for k in range(0, 40, 4)]
    (tmp_path / "page.html").write_text(PAGE)
    browser.open(tmp_path / "page.html")
    data = base64.b64encode((tmp_path / "clip").read_bytes()).decode()
    browser.run("window.start(arguments[0], arguments[1], arguments[2]);", data, part.media_type, times)
    result = browser.wait("return window.result", seconds=20.0)
    assert "error" not in result, result
    wanted = [seen[round(part.start_s + at - 0.02, 6)] for at in times]
    if "rotated" not in kind:  # the bars lie on their side
        assert result["found"] == wanted
    else:
        assert result["size"] == [128, 96]
    assert result["duration"] == pytest.approx(part.end_s - part.start_s, abs=0.05)
