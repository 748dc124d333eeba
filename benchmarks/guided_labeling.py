"""Accuracy against the number of answers: questions of `punctum label` against labeling videos in random order.

    python benchmarks/guided_labeling.py DATA [--split split_1] [--seeds 0] [--answers 40,80,160] [--human GTEA]
                                         [--batch 20] [--videos] [--arms questions,proposals] [--json FILE]

A simulated annotator begins with whole videos in random order, until there are 20 clicks in 3 videos. Then one arm
goes on with whole videos, in which each click is an answer; the others train rounds as the page does. One answers its
questions, a batch in each round. The annotator knows gt.json, and clicks where people do: the positions of clicks
within actions are those of the human clicks of GTEA (--human, its folder), or normal with the same spread. In
questions, the click lies where the page puts it. In the arm "proposals", the events of the last round are the clicks of
the next video, and each correction is an answer. At each number of answers, one network of the default recipe is
trained on the labels of the arm and evaluated on the test videos: mAP over tIoU 0.1 to 0.7. With --videos, DATA holds
the features of a video backbone, and the recipe is that of `punctum train VIDEOS`. The minutes watched are those of
whole videos, or of the clips that were asked about, once each.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from punctum.runtime import Dataset
from punctum.runtime.datasets.background import BackgroundRow, BackgroundSpan
from punctum.runtime.datasets.dataset import Truth
from punctum.runtime.evaluation import evaluate
from punctum.runtime.evaluation.detections import Detections
from punctum.runtime.labeling.clicks import Click
from punctum.runtime.labeling.labels import Labels
from punctum.runtime.labeling.questions import Question, questions
from punctum.runtime.labeling.round_result import RoundEvent, RoundResult
from punctum.training import load_run, localizer_of, train_run
from punctum.training.config import TrainConfig
from punctum.training.data.labels import locate_clicks, locate_spans
from punctum.training.data.videos import Sample, TrainingSet
from punctum.training.guidance import default_minimum, guided_recipe, held_out_videos, scored_video
from punctum.training.recipes import for_videos, with_one_network
from result_file import Row, add_json, save

FIRST_CLICKS, FIRST_VIDEOS = 20, 3
MEAN, SPREAD = 0.5, 0.22  # of human clicks within actions
PAD_S, LEAST_S = 0.6, 1.2  # of the clip that is shown


@dataclass
class Labeled:
    """The labels of an arm."""

    clicks: list[Click] = field(default_factory=list)
    spans: list[BackgroundRow] = field(default_factory=list)
    whole: list[str] = field(default_factory=list)
    confirmed: set[str] = field(default_factory=set)
    answers: int = 0
    watched_s: float = 0.0

    def copy(self) -> Labeled:
        return replace(
            self, clicks=[*self.clicks], spans=[*self.spans], whole=[*self.whole], confirmed={*self.confirmed}
        )


class Annotator:
    """Knows the truth, and clicks where people click."""

    def __init__(
        self, data: Dataset, truth: Truth, positions: np.ndarray, rng: np.random.Generator, *, of_videos: bool = False
    ) -> None:
        self.data, self.truth, self.positions, self.rng, self.of_videos = data, truth, positions, rng, of_videos
        self.features = {video: data.features(video).data for video in data.train}

    def actions(self, video: str) -> Iterator[tuple[str, float, float]]:
        index = self.truth.videos.index(video)
        for k in np.flatnonzero(self.truth.video == index):
            start, end = self.truth.segments[k]
            yield self.data.labels[self.truth.label[k]], float(start), float(end)

    def label_video(self, labeled: Labeled, video: str) -> None:
        """Click every action of a video."""
        labeled.whole.append(video)
        length = len(self.features[video]) * self.data.stride_s
        for label, start, end in self.actions(video):
            at = start + float(self.rng.choice(self.positions)) * (end - start)
            at = min(max(at, 0.0), length - 1e-3)
            labeled.clicks.append(Click(f"c{len(labeled.clicks)}", label, video, at))
            labeled.answers += 1
        labeled.watched_s += length

    def correct_video(self, labeled: Labeled, video: str, proposed: Sequence[RoundEvent]) -> None:
        """Take the proposed clicks of a video, correct those that are wrong, and click the actions without one."""
        labeled.whole.append(video)
        labeled.watched_s += len(self.features[video]) * self.data.stride_s
        labeled.answers += bool(proposed)  # the key that takes them
        left = sorted(proposed, key=lambda e: -e.score)
        for label, start, end in self.actions(video):
            held = [e for e in left if start <= e.middle_s <= end]
            right = next((e for e in held if e.label == label), held[0] if held else None)
            if right is None:
                at = start + float(self.rng.choice(self.positions)) * (end - start)
            else:
                at = right.middle_s
                left.remove(right)
            labeled.answers += right is None or right.label != label
            labeled.clicks.append(Click(f"c{video}{start}{label}", label, video, max(at, 0.0)))
        labeled.answers += len(left)  # deleted

    def answer(self, labeled: Labeled, q: Question) -> None:
        """Answer a question as the page takes it."""
        labeled.answers += 1
        labeled.watched_s += max(q.end_s - q.start_s + 2 * PAD_S, LEAST_S)
        held = [a for a in self.actions(q.video) if a[1] <= q.time_s <= a[2]]
        right = next((label for label, _, _ in held if label == q.label), held[0][0] if held else None)
        if q.click:
            click = next(c for c in labeled.clicks if c.id == q.click)
            if right == q.label:
                labeled.confirmed.add(q.click)
                return
            labeled.clicks.remove(click)
        if right is not None:
            labeled.clicks.append(Click(f"q{labeled.answers}", right, q.video, q.time_s))
        else:
            labeled.spans.append(BackgroundRow(0, q.video, q.start_s, q.end_s, q.label))


def training_set(annotator: Annotator, labeled: Labeled) -> TrainingSet:
    """The labels of an arm as a training set."""
    data, samples = annotator.data, []
    touched = {c.video for c in labeled.clicks} | {s.video for s in labeled.spans} | set(labeled.whole)
    for video in (v for v in data.train if v in touched):
        rows = annotator.features[video]
        mine = [c for c in labeled.clicks if c.video == video]
        place = {"snippets": len(rows), "stride_s": data.stride_s, "start_s": 0.0}
        clicks = locate_clicks(
            [c.time_s for c in mine], [data.labels.index(c.label) for c in mine], video=video, **place
        )
        spans = [
            BackgroundSpan(s.start_s, s.end_s, data.labels.index(s.label) if s.label else None)
            for s in labeled.spans
            if s.video == video
        ]
        samples.append(Sample(video, rows, 0.0, clicks, locate_spans(spans, **place), video not in labeled.whole))
    dim = samples[0].features.shape[1]
    return TrainingSet(data.name, tuple(data.labels), data.stride_s, dim, tuple(samples))


def accuracy(annotator: Annotator, labeled: Labeled, truth: Truth, seed: int) -> float:
    """mAP on the test videos of one network of the default recipe."""
    data = annotator.data
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        recipe = for_videos(len(labeled.clicks)) if annotator.of_videos else TrainConfig()
        recipe = with_one_network(recipe).model_copy(update={"seed": seed})
        train_run(training_set(annotator, labeled), recipe, run, quiet=True, threads=1)
        localizer = localizer_of(load_run(run))
        events = {video: localizer.localize(data.features(video).data, stream=video) for video in data.test}
    return evaluate(truth, Detections.from_events(events, truth)).average


def trained(annotator: Annotator, labeled: Labeled, seed: int) -> RoundResult:
    """What a round of training finds."""
    data = annotator.data
    with tempfile.TemporaryDirectory() as scratch:
        run = Path(scratch) / "run"
        recipe = guided_recipe(len(labeled.clicks)).model_copy(update={"seed": seed})
        train_run(training_set(annotator, labeled), recipe, run, quiet=True, threads=1)
        loaded = load_run(run)
        localizer = localizer_of(loaded)
        videos = held_out_videos(run)
        for video in data.train:
            if video not in videos:
                videos[video] = scored_video(localizer, annotator.features[video], video)
    return RoundResult("", 1, "", tuple(data.labels), len(labeled.clicks), default_minimum(loaded), {}, videos)


def ask(annotator: Annotator, labeled: Labeled, seed: int) -> list[Question]:
    """The questions after a round of training."""
    found = trained(annotator, labeled, seed)
    partly = {c.video for c in labeled.clicks} - set(labeled.whole)
    labels = Labels.of(labeled.clicks, labeled.spans, confirmed=labeled.confirmed, marked=labeled.whole, partly=partly)
    return questions(found, labels)


def human_positions(folder: Path | None, rng: np.random.Generator) -> np.ndarray:
    """Positions of clicks within actions, 0 (start) to 1 (end)."""
    if folder is None:
        return np.clip(rng.normal(MEAN, SPREAD, 2000), 0, 1)
    found = []
    for path in sorted(folder.glob("points_human_*.csv")):
        data = Dataset.open(folder, points=path.name, split="split_1", need_features=False)
        videos = [v for v in (*data.train, *data.test) if data.points().get(v)]
        for video in videos:
            truth = data.truth("train" if video in data.train else "test")
            own = truth.video == truth.videos.index(video)
            for point in data.points()[video]:
                fits = own & (truth.label == point.label)
                fits &= (truth.segments[:, 0] <= point.time_s) & (point.time_s <= truth.segments[:, 1])
                for start, end in truth.segments[fits][:1]:
                    found.append((point.time_s - start) / (end - start))
    return np.array(found)


def curves(
    annotator: Annotator,
    test: Truth,
    budgets: Sequence[int],
    *,
    batch: int,
    seed: int,
    arms: Sequence[str],
    threshold: float,
) -> Iterator[tuple[str, Labeled, float]]:
    """The labels and the accuracy of each arm at each number of answers."""
    order = [annotator.data.train[k] for k in annotator.rng.permutation(len(annotator.data.train))]
    start = Labeled()
    while order and (start.answers < FIRST_CLICKS or len(start.whole) < FIRST_VIDEOS):
        annotator.label_video(start, order.pop(0))
    yield "start", start, accuracy(annotator, start, test, seed)
    plain, rest = start.copy(), list(order)
    helped, queue = start.copy(), list(order)
    found, known = None, 0
    guided = start.copy()
    for budget in budgets:
        while rest and plain.answers < budget:
            annotator.label_video(plain, rest.pop(0))
        yield "random order", plain, accuracy(annotator, plain, test, seed)
        while "proposals" in arms and queue and helped.answers < budget:
            if found is None or len(helped.clicks) >= known + batch:
                found, known = trained(annotator, helped, seed), len(helped.clicks)
            video = queue.pop(0)
            taken = [event for event in found.videos[video].events if event.score >= threshold]
            annotator.correct_video(helped, video, taken)
        if "proposals" in arms:
            yield "proposals", helped, accuracy(annotator, helped, test, seed)
        while "questions" in arms and guided.answers < budget:
            asked = ask(annotator, guided, seed)[: min(batch, budget - guided.answers)]
            if not asked:
                break
            for question in asked:
                annotator.answer(guided, question)
        if "questions" in arms:
            yield "questions", guided, accuracy(annotator, guided, test, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--split")
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--answers", default="40,80,160")
    parser.add_argument("--batch", type=int, default=20)
    parser.add_argument("--human", type=Path)
    parser.add_argument("--arms", default="questions,proposals")
    parser.add_argument("--threshold", type=float, default=0.5, help="score from which an event is proposed")
    parser.add_argument("--videos", action="store_true", help="DATA holds the features of a video backbone")
    add_json(parser)
    arguments = parser.parse_args()
    if unknown := set(arguments.arms.split(",")) - {"questions", "proposals"}:
        parser.error(f"--arms: {', '.join(sorted(unknown))} is no arm; required: questions, proposals, or both")
    budgets = [int(x) for x in arguments.answers.split(",")]
    rows: list[Row] = []
    print("| data set | seed | labels | answers | clicks | spans | minutes watched | mAP |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in (int(s) for s in arguments.seeds.split(",")):
        rng = np.random.default_rng([seed, 0x9D1D])
        data = Dataset.open(arguments.data, split=arguments.split)
        positions = human_positions(arguments.human, rng)
        annotator = Annotator(data, data.truth("train"), positions, rng, of_videos=arguments.videos)
        name = f"{data.name} {arguments.split or ''}".strip()
        found = curves(
            annotator,
            data.truth("test"),
            budgets,
            batch=arguments.batch,
            seed=seed,
            arms=arguments.arms.split(","),
            threshold=arguments.threshold,
        )
        for arm, labeled, value in found:
            counts = (labeled.answers, len(labeled.clicks), len(labeled.spans))
            minutes = labeled.watched_s / 60
            print(
                f"| {name} | {seed} | {arm} |",
                *(f"{c} |" for c in counts),
                f"{minutes:.1f} | {value:.4f} |",
                flush=True,
            )
            rows.append(Row(f"{name} seed {seed}: {arm}, {labeled.answers} answers", value, "mAP"))
    save(arguments.json, rows, details={"batch": arguments.batch})


if __name__ == "__main__":
    main()
