"""The benchmark measures what it says: in turn, ours over theirs, and only when both sides do the same."""

import json
import time

import numpy as np
import pytest

from tl_course import bench
from tl_course.bench import distill, features, text, timing, train
from tl_course.errors import BadInput, CourseError


def test_a_ratio_above_one_means_ours_is_faster() -> None:
    comparison = timing.compare(lambda: time.sleep(0.002), lambda: time.sleep(0.02), rounds=3)
    assert 3 < comparison.ratio < 20 and len(comparison.ratios) == 3
    assert timing.Comparison((1.0, 2.0, 1.0), (2.0, 2.0, 3.0)).ratio == 2.0


def test_sides_alternate_and_the_first_calls_are_not_timed() -> None:
    calls: list[str] = []
    timing.compare(lambda: calls.append("A"), lambda: calls.append("B"), rounds=2)
    assert "".join(calls) == "AB" + "AB" + "BA"


def test_different_features_are_not_compared() -> None:
    with pytest.raises(CourseError, match="same features"):
        features._same(np.zeros(3), np.ones(3))


def test_unknown_names_are_refused() -> None:
    with pytest.raises(BadInput, match="features"):
        bench.run("speed")


def test_features_reports_every_label_and_is_plain_json() -> None:
    report = features.run(num_images=4, num_texts=8, rounds=1)
    assert set(report) >= {"name", "ratios", "cached", "runs", "machine"} and report["name"] == "features"
    assert set(report["ratios"]) == {"vs plain loop", "vs sentence-transformers"}
    assert all(ratio > 0 for ratio in report["ratios"].values()) and report["cached"] > 0
    assert json.loads(json.dumps(report)) == report


@pytest.mark.slow
def test_train_reports_every_label_and_is_plain_json() -> None:
    report = train.run(num_images=64, rounds=1)
    assert set(report["ratios"]) == {"vs bare loop", "vs fastai", "vs lightning", "vs keras fit"}
    assert all(ratio > 0 for ratio in report["ratios"].values()) and report["name"] == "train"
    assert json.loads(json.dumps(report)) == report


def test_what_does_not_train_is_not_timed() -> None:
    with pytest.raises(CourseError, match="same weights"):
        train._learned(lambda: {"w": np.ones(2)}, lambda: None)


@pytest.mark.slow
def test_text_reports_every_label_and_is_plain_json() -> None:
    report = text.run(num_texts=8, num_train=32, rounds=1)
    assert set(report["ratios"]) == {"vs sentence-transformers", "vs hf trainer"} and report["name"] == "text"
    assert all(ratio > 0 for ratio in report["ratios"].values())
    assert json.loads(json.dumps(report)) == report


@pytest.mark.slow
def test_distill_reports_every_label_and_is_plain_json() -> None:
    report = distill.run(num_images=32, rounds=1)
    assert set(report["ratios"]) == {"cached teacher vs recomputed", "vs torchdistill"} and report["name"] == "distill"
    assert all(ratio > 0 for ratio in report["ratios"].values())
    assert json.loads(json.dumps(report)) == report
