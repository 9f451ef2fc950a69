"""A mock interview: the plan, what survives a crash, and the report."""

import os
import subprocess
import sys

import pytest

from tl_course import exercises
from tl_course.errors import BadInput
from tl_course.practice import mock, mock_report
from tl_course.practice.schedule import LEVELS


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("seed", range(8))
def test_a_plan_fills_45_minutes_with_every_kind_and_different_topics(level, seed):
    items = mock.plan(level, seed)
    assert sum(item.minutes for item in items) == mock.MINUTES
    assert [item.kind for item in items] == ["concept"] * 4 + ["debugging"] * 2 + ["coding", "design"]
    cards = [item.card for item in items if item.kind != "coding"]
    assert {card.level for card in cards} == {level} and len({card.id for card in cards}) == 7
    assert len({card.topic for card in cards}) >= 5
    (problem,) = [item for item in items if item.kind == "coding"]
    assert problem.framework in exercises.get(problem.id).variants and problem.exercise.kind == "build"


def test_the_same_seed_asks_the_same_and_another_something_else():
    assert mock.plan("mid", 7) == mock.plan("mid", 7)
    assert len({tuple(mock.plan("mid", seed)) for seed in range(10)}) == 10
    assert mock.plan("mid", 7) != mock.plan("senior", 7)


@pytest.mark.parametrize("wrong", [("expert", 1, "pytorch"), ("mid", 1, "jax")])
def test_levels_and_frameworks_are_checked(wrong):
    with pytest.raises(BadInput, match="one of"):
        mock.begin(*wrong)
    assert mock.history() == []


def test_a_new_interview_closes_the_one_before_and_a_wrong_one_leaves_it_open():
    first = mock.begin("mid", 1)
    with pytest.raises(BadInput):
        mock.begin("expert", 2)
    assert mock.unfinished() == first
    second = mock.begin("mid", 2)
    assert mock.unfinished() == second and [known.id for known in mock.finished()] == [first.id]


def test_an_interview_goes_on_after_its_process_was_killed(home):
    code = (
        "import os, signal\nfrom tl_course.practice import mock\nm = mock.begin('mid', 3)\n"
        "mock.record_answer(m, 0, 100.0, 'because é')\nos.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], env={**os.environ, "TL_COURSE_HOME": str(home)})
    assert done.returncode == -9
    found = mock.unfinished()
    assert found is not None and (found.level, found.seed) == ("mid", 3)
    assert list(found.items) == mock.plan("mid", 3)
    assert found.answers[0]["answer"] == "because é" and found.seconds_left == 60 * 45 - 100
    assert found.to_answer == list(range(1, 8)) and found.to_score == [0]


def finished(level: str, seed: int, score: float) -> mock.Mock:
    known = mock.begin(level, seed)
    for place, item in enumerate(known.items[:-1]):
        known = mock.record_answer(known, place, 60.0 * item.minutes, "x")
        known = mock.record_score(known, place, score, [] if item.kind == "coding" or score == 1 else [1])
    return mock.end(known)


def test_a_report_names_scores_what_was_missed_and_what_to_read():
    known = finished("mid", 3, 0.5)
    assert known.finished and mock.unfinished() is None
    found = mock_report.report(known)
    assert found.areas == {"concept": 0.5, "debugging": 0.5, "coding": 0.5, "design": 0.0}
    assert found.score == pytest.approx(0.5 * 37 / 45)
    assert found.lines[-1].score is None and found.lines[-1].seconds == 0
    assert found.lines[0].missed == (known.items[0].card.key_points[1].en,)
    assert found.study[0] == mock_report.section(known.items[-1].card.lesson), "what was not reached comes first"
    assert all(line.startswith("notebooks/") for line in found.study) and len(found.study) <= 8


def test_interviews_are_compared_in_their_order():
    for seed, score in ((1, 0.25), (2, 1.0)):
        finished("senior", seed, score)
    first, second = mock_report.compare(mock.history())
    assert (first["concept"], second["concept"], second["design"]) == ("25%", "100%", "0%")
    assert (first["seed"], second["level"]) == ("1", "senior")
    assert mock_report.report(mock.history()[-1]).lines[0].missed == ()


def test_an_answer_is_never_changed_once_written():
    known = mock.begin("junior", 1)
    mock.record_answer(known, 0, 10, "first")
    assert mock.record_answer(known, 0, 20, "second").answers[0]["answer"] == "first"
