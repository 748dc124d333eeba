"""Command lines whose output an option changes."""

from __future__ import annotations

# Uses that act, of options that are cheap to try: with the option the output is another one.
ACTS: list[tuple[str, str]] = [
    ("run {bundle} {features}", "--min-score 0"),
    ("run {bundle} {features}", "--target-recall 0.97"),
    ("run {bundle} {features}", "--target-precision 0.5"),
    ("run {bundle} {features}", "--false-alarms-per-hour 500"),
    ("run {bundle} {features}", "--label swipe"),
    ("run {bundle} {features}", "--format activitynet"),
    ("run {bundle} {features}", "--stats"),
    ("run {bundle} {features} --run-id a", "--run-id b"),
    ("run {bundle} {features} --run-id a", "--start-utc 2026-01-01T00:00:00Z"),
    ("run {bundle} {features} --stream", "--max-delay 0.5"),
    ("run {bundle} {features} --stream", "--start-s 100"),
    ("run {bundle} {features} --stream", "--name cam-7"),
    ("convert {csv} - --to csv", "--to webvtt"),
    ("convert {events} - --to csv", "--min-score 0.5"),
    ("convert {events} - --to csv", "--label swipe"),
    ("convert {events} - --to csv", "--clicks all"),
    ("eval {dataset} --detections {events}", "--tiou 0.5"),
    ("eval {dataset} --detections {events}", "--subset train"),
    ("eval {dataset} --detections {events}", "--per-class"),
    ("eval {dataset} --detections {events}", "--alignment"),
    ("eval {dataset} --detections {events}", "--online"),
    ("eval {dataset} --detections {events}", "--json"),
    *(
        ("rescore {bundle} {dataset} {proposals} --out -", option)
        for option in (
            "--subset train",
            "--fusion base=1",
            "--no-adapt",
            "--adapt-iou 0.8",
            "--suppression hard",
            "--sigma 0.9",
            "--min-score 0.2",
        )
    ),
    ("rescore {bundle} {dataset} {proposals} --out - --suppression hard", "--nms-iou 0.2"),
    ("diagnose {bundle} {dataset}", "--by clicks"),
    ("diagnose {bundle} {dataset}", "--tiou 0.9"),
    ("diagnose {bundle} {dataset}", "--min-score 0.01"),
    ("diagnose {bundle} {dataset}", "--subset train"),
    ("diagnose {bundle} {dataset} --min-score 0", "--most 3"),
    ("diagnose {bundle} {dataset} --by clicks --subset train", "--points other.csv"),
    ("diagnose {bundle} {dataset}", "--json"),
    ("report {bundle} {features} --out -", "--title Other"),
    ("report {bundle} {features} --out -", "--max-delay 1"),
    ("demo --sensors --seconds 20", "--seed 8"),
    ("demo --sensors --seconds 20", "--min-score 0.9"),
    ("demo --sensors --seconds 20", "--json"),
    ("data check {dataset}", "--json"),
    ("data check {dataset}", "--train-list test.txt"),
    ("data check {dataset}", "--test-list train.txt"),
    ("data check {dataset}", "--points other.csv"),
]
