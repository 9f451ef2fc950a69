"""Hostile and broken submissions: none gets what it did not earn, none gets at anything, none stops the others."""

import shutil

import pytest

from . import harness
from .course import BANK, GOOD, OWN, POINTS, make

pytestmark = [
    pytest.mark.sandbox,
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(shutil.which("bwrap") is None, reason="needs bubblewrap (apt-get install bubblewrap)"),
]
OF = {
    assignment: [attack for attack in harness.ATTACKS if attack.assignment == assignment] for assignment in (BANK, OWN)
}
REAL = {
    "transformer": lambda outcome: outcome.undeserved == POINTS[OWN],
    "reference": lambda outcome: outcome.undeserved == POINTS[BANK],
    "read_gradebook": lambda outcome: {"gradebook", "hidden"} <= set(outcome.told),
    "schema_1": lambda outcome: outcome.aborted,
    "daemon": lambda outcome: outcome.left > 0 and outcome.touched,
}
"""What these do to plain nbgrader: were an attack to do nothing there, to withstand it here would say nothing."""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The course before anything is graded."""
    return make(tmp_path_factory.mktemp("made"), harness.free_port())


@pytest.fixture(scope="module", params=[BANK, OWN])
def batch(request, made, tmp_path_factory):
    """Every attack on an assignment, graded in one go between two good submissions."""
    course = harness.copied(made, tmp_path_factory.mktemp(request.param))
    graded = harness.grade_ours(course, harness.ATTACKS, request.param)
    assert graded.watched.code is not None, f"the batch did not end: {graded.watched.errors[-2000:]}"
    return request.param, graded


def test_the_batch_finishes_and_everybody_is_listed(batch):
    assignment, graded = batch
    assert graded.watched.code in (0, 1), graded.watched.errors[-3000:]
    assert {*(attack.shown for attack in OF[assignment]), *GOOD} == set(graded.listed)


def test_good_submissions_get_full_marks(batch):
    assignment, graded = batch
    assert graded.good == dict.fromkeys(GOOD, POINTS[assignment])
    for student in GOOD:
        assert graded.listed[student]["state"] == "graded"


def test_no_undeserved_point(batch):
    _assignment, graded = batch
    assert {name: outcome.score for name, outcome in graded.outcomes.items() if outcome.undeserved > 0} == {}


def test_what_can_be_mended_gets_its_marks(batch):
    assignment, graded = batch
    expected = {attack.name: attack.deserves for attack in OF[assignment] if attack.exact and attack.deserves}
    assert {name: graded.outcomes[name].score for name in expected} == expected


def test_each_is_graded_or_needs_a_look_for_a_named_reason(batch):
    assignment, graded = batch
    outcomes = graded.outcomes
    odd = {name: outcome.state for name, outcome in outcomes.items() if outcome.state not in ("graded", "needs_look")}
    assert odd == {}
    silent = [name for name, outcome in outcomes.items() if outcome.state == "needs_look" and not outcome.reason]
    assert silent == []
    fewer = [outcomes[attack.name] for attack in OF[assignment] if (outcomes[attack.name].score or 0) < attack.deserves]
    assert [outcome for outcome in fewer if outcome.state == "graded" and not outcome.notes] == []


def test_no_secret_is_told(batch):
    _assignment, graded = batch
    assert {name: outcome.told for name, outcome in graded.outcomes.items() if outcome.told} == {}
    assert graded.told == []


def test_no_other_file_is_touched_and_nothing_stays_behind(batch):
    _assignment, graded = batch
    assert graded.touched == []
    assert graded.watched.left == 0


def test_a_limit_on_memory_holds_for_all_processes_together(batch):
    assignment, graded = batch
    if assignment == OWN:
        assert "memory" in graded.outcomes["memory_spread"].reason
        assert graded.outcomes["much_memory"].state == "graded"


@pytest.fixture(scope="module")
def plain(made, tmp_path_factory):
    """A course for plain nbgrader."""
    return harness.plain_base(harness.copied(made, tmp_path_factory.mktemp("plain")))


@pytest.mark.parametrize("name", REAL)
def test_attacks_are_real(plain, name):
    (attack,) = [attack for attack in harness.ATTACKS if attack.name == name]
    outcome = harness.grade_plain(plain, attack)
    assert REAL[name](outcome), outcome
