"""The schedule against a table worked by hand."""

import pytest

from tl_course.errors import BadInput
from tl_course.schedules import warmup_cosine


def test_a_table_worked_by_hand() -> None:
    """Ten steps, two of them warm-up, peak 8: 4, 8, then 8 * (1 + cos(k * pi / 8)) / 2."""
    table = [4.0, 8.0, 8.0, 7.695518, 6.828427, 5.530734, 4.0, 2.469266, 1.171573, 0.304482, 0.0]
    assert [warmup_cosine(step, 10, 8.0, warmup=0.2) for step in range(11)] == pytest.approx(table, abs=1e-6)


def test_without_warmup_it_starts_at_the_peak_and_ends_where_told() -> None:
    rates = [warmup_cosine(step, 4, 2.0, warmup=0.0, final=0.25) for step in range(5)]
    assert rates == pytest.approx([2.0, 1.780330, 1.25, 0.719670, 0.5], abs=1e-6)


def test_warmup_is_a_whole_number_of_steps_and_at_least_one() -> None:
    assert warmup_cosine(28, 100, 1.0, warmup=0.29) == 1.0 > warmup_cosine(27, 100, 1.0, warmup=0.29)
    assert warmup_cosine(0, 5, 1.0, warmup=0.1) == 1.0  # one step of warm-up is already the peak
    assert [warmup_cosine(step, 4, 1.0, warmup=1.0) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_the_scratch_baseline_keeps_its_rates() -> None:
    """Its rates before this schedule existed: 15 of 150 steps rise."""
    rates = {0: 0.0002, 14: 0.003, 15: 0.003, 82: 0.0015174519421, 149: 4.0611e-07}
    assert {step: warmup_cosine(step, 150, 3e-3) for step in rates} == pytest.approx(rates, rel=1e-4)


@pytest.mark.parametrize("step", [-1, 11])
def test_steps_outside_the_run_are_refused(step: int) -> None:
    with pytest.raises(BadInput, match="a step from 0 to num_steps=10"):
        warmup_cosine(step, 10, 1.0)


@pytest.mark.parametrize("wrong", [{"warmup": 1.5}, {"final": -0.1}, {"warmup": 10}])
def test_fractions_outside_0_to_1_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput, match="as a fraction from 0 to 1"):
        warmup_cosine(0, 10, 1.0, **wrong)
