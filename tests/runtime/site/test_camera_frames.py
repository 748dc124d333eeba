"""What happens to the pictures of a camera before the backbone: region, masks, several readers, laps."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from punctum.runtime.site.camera.looped import LoopedFrames
from punctum.runtime.site.camera.region import RegionFrames, covered, span
from punctum.runtime.site.camera.shared import MOST_WAITING, SharedFrames
from punctum.runtime.site.camera.start import Region
from punctum.runtime.video import Gap, Sampled, VideoInfo


class Frames:
    """A FrameSource of given items."""

    live, policy, lost_at_start_s, unplaced = False, "wait", 0.0, 0

    def __init__(self, items: list, fault: Exception | None = None) -> None:
        self.items, self.fault, self.closed, self.read = items, fault, 0, 0
        self.name, self.info, self.dropped = "frames", VideoInfo(0, 0, 0.0, None, "", 0, False), {}

    def open(self) -> None: ...

    def frames(self) -> Iterator:
        for item in self.items:
            self.read += 1
            yield item
        if self.fault is not None:
            raise self.fault

    def close(self) -> None:
        self.closed += 1


def picture(rows: int, columns: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 255, (rows, columns, 3), dtype=np.uint8)


def sampled(count: int, fps: float = 10.0) -> list[Sampled]:
    return [Sampled(picture(4, 6, k), k, k / fps, 0) for k in range(count)]


def nothing(*_: object) -> None: ...


def test_region_to_the_pixel() -> None:
    image = picture(8, 12)
    region = Region(left=0.25, top=0.5, width=0.5, height=0.25)
    seen: list = []
    frames = RegionFrames(
        Frames([Sampled(image, 0, 1.5, 0, 4 / 3), Gap(3.0, 1, "stall")]),
        region,
        (),
        lambda *args: seen.append(args),
        start_s=10.0,
    )
    out, gap = list(frames.frames())
    assert np.array_equal(out.image, image[4:6, 3:9]) and out.image.flags.c_contiguous
    assert (out.index, out.at, out.aspect) == (0, 1.5, 4 / 3)
    assert isinstance(gap, Gap)
    assert seen[0][0] is image and seen[0][1:] == (11.5, 4 / 3)


def test_mask_blacks_out_the_pixels_inside_and_leaves_the_source_alone() -> None:
    image = picture(10, 10)
    before = image.copy()
    square = ((0.2, 0.3), (0.6, 0.3), (0.6, 0.8), (0.2, 0.8))
    frames = RegionFrames(
        Frames([Sampled(image, 0, 0.0, 0)]), Region(left=0.1, width=0.9), (square,), nothing, start_s=0.0
    )
    (out,) = frames.frames()
    expected = before.copy()
    expected[3:8, 2:6] = 0
    assert np.array_equal(out.image, expected[:, 1:])
    assert np.array_equal(image, before)


def test_frames_that_show_the_same_picture_still_share_it_and_the_size_may_change() -> None:
    one, other = picture(10, 10), picture(20, 20)
    mask = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
    items = [Sampled(one, 0, 0.0, 0), Sampled(one, 1, 0.1, 0), Sampled(other, 2, 0.2, 0)]
    first, second, third = RegionFrames(Frames(items), Region(), (mask,), nothing, start_s=0.0).frames()
    assert first.image is second.image
    assert not third.image[:, :10].any() and np.array_equal(third.image[:, 10:], other[:, 10:])


def test_without_region_and_masks_nothing_is_copied() -> None:
    image = picture(4, 4)
    (out,) = RegionFrames(Frames([Sampled(image, 0, 0.0, 0)]), Region(), (), nothing, start_s=0.0).frames()
    assert out.image is image


corner = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda p: (p[0] / 40 + 1 / 999, p[1] / 40 + 1 / 997))


@given(st.lists(corner, min_size=3, max_size=8), st.integers(1, 30), st.integers(1, 30))
def test_masks_agree_with_the_even_odd_rule(polygon: list, height: int, width: int) -> None:
    found = covered([polygon], height, width)
    for row in range(height):
        for column in range(width):
            x, y = (column + 0.5) / width, (row + 0.5) / height
            inside = False
            for (x0, y0), (x1, y1) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
                if (y0 <= y) != (y1 <= y):
                    cut = x0 + (y - y0) / (y1 - y0) * (x1 - x0)
                    if abs(cut - x) < 1e-9:
                        return  # exactly on an edge: either is right
                    inside ^= x > cut
            assert found[row, column] == inside


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 4000))
def test_a_region_is_never_empty_or_outside(begin: float, length: float, pixels: int) -> None:
    part = span(begin, length, pixels)
    assert 0 <= part.start < part.stop <= pixels


def read_all(frames, into: list) -> threading.Thread:
    def body() -> None:
        try:
            for item in frames.frames():
                into.extend([] if item is None else [item])
        except ValueError as error:
            into.append(error)
        finally:
            frames.close()

    thread = threading.Thread(target=body)
    thread.start()
    return thread


def test_shared_frames_are_read_once_and_come_to_all_in_order() -> None:
    source = Frames([*sampled(30), Gap(9.0, 0, "stall"), *sampled(5)])
    outputs: list[list] = [[], [], []]
    threads = [read_all(one, out) for one, out in zip(SharedFrames(source, 3).readers(), outputs, strict=True)]
    for thread in threads:
        thread.join(10)
    assert all(out == source.items for out in outputs)
    assert source.read == 36 and source.closed == 1


def test_a_reader_that_is_ahead_waits_until_the_other_is_closed() -> None:
    source = Frames(sampled(50))
    fast, slow = SharedFrames(source, 2).readers()
    out: list = []
    thread = read_all(fast, out)
    thread.join(0.3)
    assert thread.is_alive() and source.read <= MOST_WAITING + 1
    slow.close()
    thread.join(10)
    assert len(out) == 50 and source.closed == 1


def test_an_error_of_the_source_reaches_every_reader() -> None:
    source = Frames(sampled(3), ValueError("lost"))
    outputs: list[list] = [[], []]
    for thread in [read_all(one, out) for one, out in zip(SharedFrames(source, 2).readers(), outputs, strict=True)]:
        thread.join(10)
    assert all(len(out) == 4 and str(out[-1]) == "lost" for out in outputs)


@pytest.mark.parametrize(("count", "length"), [(20, 2.0), (21, 2.2), (22, 2.2), (1, 0.2)])
def test_laps_last_whole_snippets(count: int, length: float) -> None:
    sources = [Frames(sampled(count)) for _ in range(3)]
    rest = iter(sources[1:])
    looped = LoopedFrames(sources[0], lambda: next(rest), fps=10.0, cells=2, real_time=False)
    items, laps = [], []
    for item in looped.frames():
        items.append(item)
        laps += [item.at] if isinstance(item, Gap) else []
        if len(laps) == 2:
            break
    assert laps == pytest.approx([length, 2 * length])
    assert items[count + 1].at == pytest.approx(length) and items[count + 1].index == 0
    assert sources[0].closed == 1


def test_real_time_paces_the_frames_and_stops_at_once() -> None:
    looped = LoopedFrames(Frames(sampled(50)), None, fps=10.0, cells=2, real_time=True)
    out: list = []
    thread = read_all(looped, out)
    thread.join(0.35)
    assert 2 <= len([one for one in out if one is not None]) <= 5
    looped.close()
    thread.join(1)
    assert not thread.is_alive()
