"""What is asked next follows from the reviews, whatever happens to the process."""

from datetime import UTC, datetime, timedelta

import pytest

from tl_course.errors import BadInput
from tl_course.practice import cards, schedule

BANK = cards.all_cards()


def later(**time: int) -> datetime:
    return datetime.now(UTC) + timedelta(**time)


def test_without_reviews_every_card_is_new_from_junior_to_senior_with_topics_taking_turns():
    order = schedule.queue(BANK)
    assert len(order) == len(BANK) == len({card.id for card in order})
    ranks = [schedule.LEVELS.index(card.level) for card in order]
    assert ranks == sorted(ranks)
    assert len({card.topic for card in order[:8]}) >= 7


def test_a_card_that_was_known_well_comes_back_later_than_one_that_was_not():
    well, badly = BANK[:2]
    assert schedule.record_review(well, 4, 30, "all of it", "en").due > later(days=2)
    assert schedule.record_review(badly, 1, 30, "", "en").due < later(minutes=2)
    assert well not in schedule.queue(BANK[:2]) and badly not in schedule.queue(BANK[:2])
    assert schedule.queue(BANK[:2], now=later(minutes=5)) == [badly]
    order = schedule.queue(BANK, now=later(days=400))
    assert set(order[:2]) == {well, badly} and order[0] == badly, "the more surely forgotten one first"
    known = schedule.standings(later(days=1))
    assert known[well.id].recall > known[badly.id].recall > 0


def test_good_answers_stretch_the_interval(monkeypatch):
    start = 1_800_000_000.0
    dues = []
    for days in (0, 3, 12):
        monkeypatch.setattr(schedule.time, "time", lambda days=days: start + 86_400 * days)
        dues.append(schedule.record_review(BANK[0], 4, 10, "", "zh").due.timestamp() - start - 86_400 * days)
    assert dues == sorted(dues) and dues[2] > 2 * dues[0]


def test_weak_spots_first():
    good, hard, again = BANK[0], BANK[1], BANK[40]
    for card, rating in ((good, 4), (hard, 2), (again, 1)):
        schedule.record_review(card, rating, 10, "", "en")
    order = schedule.queue(BANK, weak=True)
    assert order[:2] == [again, hard] and good not in order
    assert {card.topic for card in order} == {good.topic, again.topic}
    assert order[2].topic == again.topic


def test_what_is_selected_is_what_was_asked_for():
    found = schedule.select_cards(BANK, lesson="06", level="senior", kind="concept")
    assert found and all(c.lesson.startswith("06_") and c.level == "senior" and c.kind == "concept" for c in found)
    assert schedule.select_cards(BANK) == list(BANK)


@pytest.mark.parametrize("name", ["topic", "level", "lesson", "kind"])
def test_a_name_that_does_not_exist_is_answered_with_those_that_do(name):
    with pytest.raises(BadInput, match="one of") as caught:
        schedule.select_cards(BANK, **{name: "nothing"})
    assert getattr(BANK[0], name).partition("#")[0] in str(caught.value)


def test_no_other_rating_is_written_down():
    with pytest.raises(BadInput, match="1 to 4"):
        schedule.record_review(BANK[0], 5, 10, "", "en")
    assert schedule.standings() == {}
