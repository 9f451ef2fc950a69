"""The notebook panel as a view: what it writes down, what it shows when, and labels for every control."""

import json
import re
import time
from dataclasses import replace
from types import SimpleNamespace

import ipywidgets as widgets
import pytest

from tl_course import exercises, i18n, progress_file, records
from tl_course.practice import clinic, draft, mock, panel, panel_parts, schedule
from tl_course.practice import key_points as key_points_module
from tl_course.practice.cards import all_cards
from tl_course.practice.panel_cards import CardsView, full_answer, key_points, question
from tl_course.practice.panel_clinic import CaseView
from tl_course.practice.panel_mock import MockView
from tl_course.practice.panel_progress import ProgressView
from tl_course.practice.schema import Text

CASE = "clinic-vgg16-classifier"


@pytest.fixture(autouse=True)
def english(monkeypatch):
    monkeypatch.setattr(i18n, "_translations", i18n._translations)
    i18n.use_language("en")


@pytest.fixture
def interview():
    """Level junior, seed 0: the coding problem is in NumPy."""
    view = MockView(estimate=False)
    view.level.value, view.seed.value = "junior", 0
    view.begin.click()
    yield view
    view.close()


def inside(widget: widgets.Widget) -> list[widgets.Widget]:
    return [widget, *(found for child in getattr(widget, "children", ()) for found in inside(child))]


def visible(widget: widgets.DOMWidget) -> bool:
    return widget.layout.display != "none"


def test_a_round_of_cards_keeps_every_rating_and_asks_again_what_was_not_known():
    view = CardsView(estimate=False)
    view.filters["topic"].value, view.number.value = "distillation", 2
    view.begin.click()
    assert not visible(view.setup) and "1 of 2" in view.question.value and not visible(view.rating)
    for rating in (1, 3, 4):
        view.answer.value = " the classes' relations "
        assert view.points.value == view.solution.value == ""
        view.reveal.click()
        assert visible(view.rating) and "A full answer contains" in view.points.value and view.answer.disabled
        view.ratings[rating - 1].click()
    assert visible(view.setup) and "3 rated." in view.said.value
    rows = progress_file.select("SELECT * FROM reviews ORDER BY id")
    assert [row["rating"] for row in rows] == [1, 3, 4] and rows[0]["card"] == rows[2]["card"] != rows[1]["card"]
    assert {(row["answer"], row["language"]) for row in rows} == {("the classes' relations", "en")}


def test_a_card_that_is_skipped_is_not_rated_and_where_nothing_is_weak_the_panel_says_so():
    view = CardsView(estimate=False)
    view.weak.value = True
    view.begin.click()
    assert "No weak spots" in view.said.value and visible(view.setup)
    view.weak.value = False
    view.begin.click()
    view.skip.click()
    assert "2 of 10" in view.question.value and schedule.standings() == {}
    view.stop.click()
    assert visible(view.setup) and not visible(view.asking)


def test_filters_without_any_card_say_what_there_is():
    view = CardsView(estimate=False)
    view.filters["topic"].value, view.filters["lesson"].value = "distillation", "07_attention"
    view.begin.click()
    assert "role='alert'" in view.trouble.value and "lesson: one of" in view.trouble.value


def test_what_cards_say_is_escaped():
    bad = Text("<script>alert(1)</script> `a<b`", "<script>")
    card = replace(all_cards()[0], question=bad, answer=bad, key_points=(bad,), sources=("<img src=x>",))
    card = replace(card, wrong=(replace(card.wrong[0], claim=bad, why=bad),))
    shown = question(card) + key_points(card, None, "") + full_answer(card)
    assert "<script" not in shown and "<img" not in shown and "<code>a&lt;b</code>" in shown


def test_the_estimate_is_marked_as_one():
    card = all_cards()[0]
    flags = [place == 1 for place in range(len(card.key_points))]
    shown = key_points(card, SimpleNamespace(covered=flags), "An estimate, right 8 times in 10")
    marked = [part for part in shown.split("<li>")[1:] if "(estimate: covered)" in part]
    assert len(marked) == 1 and panel_parts.markup(card.key_points[1]) in marked[0]
    assert "right 8 times in 10" in shown and "estimate" not in key_points(card, None, "")


@pytest.mark.slow
@pytest.mark.skipif(not key_points_module.available("en"), reason="needs the pretrained MiniLM")
def test_an_answer_is_compared_with_the_key_points():
    view = CardsView()
    view.filters["topic"].value = "distillation"
    view.begin.click()
    view.answer.value = str(view.round.card.answer)
    view.reveal.click()
    assert "(estimate: covered)" in view.points.value and "estimate" in view.points.value.lower()


def test_the_clock_runs_while_a_question_is_open_and_answers_are_kept_at_once(interview):
    before = interview.open.clock.value
    end = time.monotonic() + 10
    while interview.open.clock.value == before and time.monotonic() < end:
        time.sleep(0.1)
    assert interview.open.clock.value != before
    assert re.search(r"Interview: 44:5\d left", interview.open.clock.value)
    interview.open.words.value = "first"
    interview.open.next.click()
    (known,) = mock.history()
    assert known.answers[0]["answer"] == "first" and known.answers[0]["seconds"] >= 0.9
    assert "Question 2 of 8" in interview.open.head.value and interview.open.words.value == ""


def test_what_was_being_written_and_its_time_outlive_the_panel(interview):
    interview.open.words.value = "half of it"
    known = mock.unfinished()
    assert draft.read(known, 0).text == "half of it", "kept without waiting for the clock"
    draft.write(known, 0, draft.Draft("half of it", 100.0))
    interview.open._ticker.stop()  # as when its kernel dies
    again = MockView(estimate=False)
    assert "45:00 left" in again.about.value and visible(again.resume)
    again.resume.click()
    assert again.open.words.value == "half of it" and "Interview: 43:1" in again.open.clock.value
    again.open.next.click()
    assert mock.unfinished().answers[0]["seconds"] >= 100 and draft.read(known, 0) == draft.Draft()
    again.open.stop.click()
    assert visible(again.setup) and again.open._ticker is None


def test_an_interview_from_its_code_to_its_report(interview):
    for _place in range(6):
        interview.open.skip.click()
    item = mock.unfinished().items[6]
    variant = exercises.get(item.id).variant(item.framework)
    assert visible(interview.open.code) and "raise NotImplementedError" in interview.open.code.value
    interview.open.code.value = next(iter(variant.mistakes.values())).code(variant.reference)
    interview.open.check.click()
    assert "not yet" in interview.open.verdict.value and visible(interview.open.check)
    interview.open.code.value = variant.reference
    interview.open.check.click()
    assert "right, " in interview.open.verdict.value and not visible(interview.open.check)
    assert mock.unfinished().scores[6]["score"] == 1.0, "the clock stops as soon as it is right"
    assert [row["score"] == 1 for row in records.attempts(item.id)] == [False, True]
    interview.open.next.click()
    interview.open.words.value = "a design"
    interview.open.next.click()
    for _place in range(7):
        interview.score.points.children[1].value = True
        interview.score.save.click()
    (known,) = mock.history()
    assert known.finished and json.loads(known.scores[7]["missed"])[:2] == [0, 2]
    report = interview.report.value
    assert "Study next" in report and "missed: " in report and "What we teach" in report and known.level in report
    interview.again.click()
    assert visible(interview.setup) and "Your interviews" in interview.earlier.value


def test_code_that_is_handed_in_earns_what_its_best_check_was_worth(interview):
    for _place in range(6):
        interview.open.skip.click()
    interview.open.code.value = "def half("
    interview.open.next.click()
    known = mock.unfinished()
    assert known.answers[6]["answer"] == "def half(" and known.scores[6]["score"] == 0.0


def test_a_case_is_compared_without_giving_away_what_was_missed():
    case = clinic.get(CASE)
    view = CaseView(case)
    view.compare.click()
    assert "choose one, then compare" in view.trouble.value and clinic.history(case) == []
    wrong = next(number for number in range(1, 5) if number != case.right)
    view.prediction.value = wrong
    for typed, message in (("ten", "line numbers, like 2 5 9"), ("999", "line numbers from 1 to")):
        view.lines.value = typed
        view.compare.click()
        assert message in view.trouble.value and view.result.value == ""
    view.lines.value = f"1, {min(case.line_numbers(case.faults[0]))}"
    view.compare.click()
    assert "1 of 5 faults found; false alarms: 1" in view.result.value and "Not what you predicted" in view.result.value
    assert str(case.faults[0].name) in view.result.value
    assert not any(str(fault.name) in view.result.value for fault in case.faults[1:])
    (row,) = clinic.history(case)
    assert (row["prediction"], row["found"], row["false_alarms"]) == (wrong, 1, 1)


def test_the_review_waits_for_an_attempt_at_mending_and_scores_both_halves():
    case = clinic.get(CASE)
    locked = panel.review("vgg16-classifier")
    assert "First mend" in locked.text and str(case.faults[0].name) not in locked.content
    assert "Not read yet, mended 0%" in panel.review(CASE, anyway=True).text
    named = [min(case.line_numbers(fault)) for fault in case.faults[:2]]
    clinic.record(case, 1, [])
    clinic.record(case, 1, named)
    for score in (0.6, 0.2):
        verdict = SimpleNamespace(exercise=CASE, framework=case.framework, score=score, seconds=1.0, diagnosis=None)
        records.record_attempt(verdict, "x")
    shown = panel.review(CASE)
    assert "Found 40%" in shown.text and "mended 60%" in shown.text and "50% in all" in shown.text
    for fault in case.faults:
        assert panel_parts.markup(fault.name) in shown.content and panel_parts.markup(fault.production) in shown.content
    assert shown.content.count("\N{BALLOT X}") == 3


def test_progress_is_exported_and_imported(tmp_path, monkeypatch):
    schedule.record_review(all_cards()[0], 2, 10.0, "x", "en")
    view = ProgressView()
    view.refresh()
    assert "<td>1</td>" in view.shown.value
    view.path.value = str(tmp_path / "mine.json")
    view.keep.click()
    assert "1 rows of progress are in" in view.said.value
    monkeypatch.setenv("TL_COURSE_HOME", str(tmp_path / "elsewhere"))
    view.add.click()
    assert "1 rows were new" in view.said.value and len(schedule.standings()) == 1
    view.path.value = str(tmp_path / "none.json")
    view.add.click()
    assert "none.json" in view.trouble.value and view.said.value == ""


def test_sections_are_linked_where_their_notebook_lies(tmp_path, monkeypatch):
    here, there = tmp_path / "11_clinic", tmp_path / "06_distillation"
    here.mkdir()
    monkeypatch.chdir(here)
    link = "06_distillation#3. Why"
    assert panel_parts.lesson_link(link).startswith("notebooks/06_distillation")
    there.mkdir()
    cells = [{"cell_type": "markdown", "source": ["Text\n", "## 3. Why it <works>"]}]
    (there / "06_distillation.ipynb").write_text(json.dumps({"cells": cells}), encoding="utf-8")
    shown = panel_parts.lesson_link(link)
    assert "href='../06_distillation/06_distillation.ipynb#3.-Why-it-%3Cworks%3E'" in shown
    assert "target='_blank'" in shown


def views() -> list[widgets.Widget]:
    parts = (CardsView(estimate=False), MockView(estimate=False), ProgressView(), CaseView(clinic.get(CASE)))
    return [part.box for part in parts]


def test_every_control_has_a_label():
    controls = [one for view in views() for one in inside(view) if isinstance(one, widgets.DOMWidget)]
    controls = [one for one in controls if hasattr(one, "description") and not isinstance(one, widgets.HTML)]
    assert len(controls) > 25 and all(one.description.strip() for one in controls)


def test_the_panel_speaks_chinese(capsys):
    panel.show(language="zh")
    assert re.search("[\u4e00-\u9fff]", capsys.readouterr().out)
    for view in views():
        for one in inside(view):
            words = getattr(one, "description", "")
            assert re.search("[\u4e00-\u9fff]", words) or not re.search("[a-z]{3}", words), words
    card = CardsView(estimate=False)
    card.begin.click()
    assert card.round.card.question.zh[:10] in card.question.value


def test_the_output_says_what_to_do_when_no_kernel_answers(capsys):
    panel.show()
    assert "Interview practice: run this cell if nothing is shown below" in capsys.readouterr().out
    panel.clinic(CASE)
    assert f"{clinic.get(CASE).title}: run this cell" in capsys.readouterr().out


def test_a_second_panel_stops_the_clock_of_the_first():
    panel.show()
    first = panel._open[0]
    first.begin.click()
    assert first.open._ticker is not None
    panel.show()
    assert first.open._ticker is None and panel._open[0] is not first
