"""Quizzes in the terminal, typed into it."""

import builtins
import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from tl_course import quizzes
from tl_course.cli import cli
from tl_course.practice.terminal import Terminal
from tl_course.quizzes import asking

FIRST = {question.kind: question for question in reversed(quizzes.all_questions())}


@pytest.fixture
def typed(monkeypatch):
    """Ask questions with these lines typed; returns what was shown."""

    def run(questions, *lines):
        waiting = iter(lines)

        def line():
            try:
                return next(waiting)
            except StopIteration:
                raise EOFError from None

        monkeypatch.setattr(builtins, "input", line)
        shown = io.StringIO()
        asking.practise(Terminal(Console(file=shown, width=100, highlight=False)), questions)
        return shown.getvalue()

    return run


def right_line(question):
    if question.kind == "numeric":
        return f"{question.answer:g}"
    if question.kind == "order":
        return " ".join(str(question.shown.index(option) + 1) for option in question.options)
    return ", ".join(str(number) for number, option in enumerate(question.options, 1) if option.right)


def test_every_kind_is_answered(typed):
    questions = list(FIRST.values())
    shown = typed(questions, *map(right_line, questions))
    assert f"{len(questions)} of {len(questions)} right" in " ".join(shown.split())
    assert {question.id for question in questions} == set(quizzes.standings())


def test_what_is_no_answer_is_asked_for_again(typed):
    question = FIRST["single"]
    shown = typed([question], "which?", "1 2", "99", right_line(question))
    assert shown.count("expected") == 3 and "1 of 1 right" in shown


def test_skipping_and_leaving_keep_what_was_answered(typed):
    one, two, three = list(FIRST.values())[:3]
    shown = typed([one, two, three], ":s", right_line(two), ":q")
    assert "1 of 1 right" in shown and set(quizzes.standings()) == {two.id}


def test_the_command_lists_lessons_where_nothing_is_due():
    done = CliRunner().invoke(cli, ["practice", "quiz", "--lang", "en"])
    assert done.exit_code == 0 and "Nothing is due" in done.output and "03_feature_extraction" in done.output


def test_the_command_asks_a_lesson():
    done = CliRunner().invoke(cli, ["practice", "quiz", "03", "--lang", "en"], input=":q\n")
    assert done.exit_code == 0 and "Question 1 of" in done.output
