"""The footage of people that the shipped backbone weights are learned from."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")

import torch
from punctum.training.backbone.config import BackboneConfig
from punctum.training.backbone.net import BackboneNet

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))  # scripts import each other by name

from people.acts import get_up, lie_down, sit_down
from people.clip import RATE, make_clip
from people.falls import fall
from people.footage import Footage, write_recordings
from people.labels import LABEL, LABELS, MEASURES
from people.learn import Domain, learn
from people.person import STAND, Person
from people.picture import develop
from people.scenario import stage
from people.skeleton import joints

sys.path.pop(0)


def heights(person: Person) -> np.ndarray:
    """Height of the head over ground in every frame, in body heights."""
    body = joints(np.array(person.poses), np.array(person.yaw), np.array(person.places), person.height)
    return body["head"][:, 2] / person.height


def test_a_standing_person_is_upright_on_the_ground_where_it_should_be():
    body = joints(STAND[None], np.array([0.4]), np.array([[2.0, 3.0]]), 1.8)
    feet = (body["ankle_l"] + body["ankle_r"])[0] / 2
    assert feet[:2] == pytest.approx([2, 3]) and 0 < feet[2] < 0.1
    assert 0.85 < body["head"][0, 2] / 1.8 < 1.0
    shoulders = body["shoulder_l"][0] - body["shoulder_r"][0]
    assert np.cos(0.4) * shoulders[1] - np.sin(0.4) * shoulders[0] > 0  # the left one is on the left


@pytest.mark.parametrize("seed", range(6))
def test_falling_ends_on_the_ground_and_rising_upright(seed: int):
    person = Person(np.random.default_rng(seed), np.zeros(2), 0.0)
    if seed % 2:
        sit_down(person)
    first = person.frames
    fall(person)
    assert person.state == "floor" and heights(person)[-1] < 0.6
    labels = np.array(person.labels)
    assert labels[first:, LABEL["fall"]].all() and not labels[:first, LABEL["fall"]].any()
    assert labels[:, LABEL["fall_begins"]].any() and labels[:, LABEL["fall_ends"]].any()
    get_up(person)
    assert person.state == "stand" and heights(person)[-1] > 0.8


def test_lying_on_a_bed_is_higher_than_on_the_ground():
    ends = []
    for seated in (True, False):
        person = Person(np.random.default_rng(3), np.zeros(2), 0.0)
        if seated:
            sit_down(person)
        lie_down(person)
        ends.append(heights(person)[-1])
    assert ends[0] > ends[1] + 0.15


@pytest.mark.parametrize("seed", range(8))
def test_every_kind_of_place_is_filled_to_the_end(seed: int):
    place = stage(np.random.default_rng(seed), 6.0)
    assert place.people and all(person.frames >= place.frames for person in place.people)
    for person in place.people:
        lists = (person.poses, person.places, person.yaw, person.labels)
        assert len({len(each) for each in lists}) == 1
        assert np.isfinite(np.array(person.poses)).all() and np.isfinite(np.array(person.places)).all()


def test_a_clip_is_the_same_again_and_its_recording_is_a_picture():
    clip, again = make_clip(4, 3.0), make_clip(4, 3.0)
    assert clip.frames.shape == (3 * RATE, 48, 64) and clip.frames.dtype == np.float32
    assert np.array_equal(clip.frames, again.frames) and np.array_equal(clip.labels, again.labels)
    assert clip.labels.shape == (3 * RATE, len(LABELS)) and clip.measures.shape == (3 * RATE, len(MEASURES))
    assert not np.array_equal(clip.frames, make_clip(5, 3.0).frames)
    for seed in range(8):
        frames, labels = develop(clip.frames, clip.labels, np.random.default_rng(seed))
        assert frames.shape == clip.frames.shape and 0 <= frames.min() <= frames.max() <= 1
        kept = [i for name, i in LABEL.items() if name not in ("flicker", "light_change")]
        assert np.array_equal(labels[:, kept], clip.labels[:, kept])


@pytest.fixture
def footage(tmp_path: Path) -> Footage:
    """Two recordings with one label, that is set where the light flickers."""
    rng, recordings = np.random.default_rng(0), []
    for _ in range(2):
        frames = np.full((120, 48, 64), 0.5, np.float32)
        frames[60:] += rng.uniform(-0.3, 0.3, (60, 48, 64)).astype(np.float32)
        labels = (np.arange(120) >= 60).astype(np.float32)[:, None]
        recordings.append((frames, labels, np.zeros((120, len(MEASURES)), np.float32)))
    config = BackboneConfig(window=16)
    write_recordings(tmp_path, recordings, config.floor)
    return Footage(tmp_path, config)


def test_labels_belong_to_the_snippet_whose_last_maps_a_window_ends_with(footage: Footage):
    config, rng = footage.config, np.random.default_rng(1)
    for _ in range(5):
        maps, labels, measures = footage.window(rng)
        assert maps.shape == (config.reach + (config.window - 1) * config.snippet_frames, 11, 24, 32)
        assert measures is not None and measures.shape == (config.window, len(MEASURES))
        newest = maps[config.reach - 1 :: config.snippet_frames, 2].mean((1, 2))  # strength of the change
        moving = labels[:, 0] > 0
        if moving.any() and not moving.all():
            assert newest[moving].min() > newest[~moving].max()


def test_learning_changes_the_network_and_reports(footage: Footage):
    torch.manual_seed(0)
    net = BackboneNet(footage.config)
    before, said = net.out.weight.clone(), []
    learn(net, [Domain((footage,), 2)], footage.config, steps=50, rate=1e-3, say=said.append)
    assert len(said) == 1 and not torch.equal(net.out.weight, before) and not net.training
