"""A quiz in a notebook: every question with the widgets to answer it; answers are kept, and shown again."""

from collections.abc import Sequence
from contextlib import suppress

import ipywidgets as widgets

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.practice.panel_parts import LABEL, View, markup, present, row
from tl_course.progress_file import ProgressError
from tl_course.quizzes import records
from tl_course.quizzes.page import head, page, result_html
from tl_course.quizzes.questions import Answer, Question, judge, read_number

_OPEN = "\N{EM DASH}"  # a step without a place


def show(questions: Sequence[Question]) -> None:
    """Show a quiz in a notebook."""
    views = [QuestionView(question, number, len(questions)) for number, question in enumerate(questions, 1)]
    present(widgets.VBox([view.box for view in views]), _("Quiz"), page(questions))


class QuestionView(View):
    """One question, and what the last answer to it was worth."""

    def __init__(self, question: Question, number: int, count: int) -> None:
        super().__init__()
        self.question = question
        place = _("Question {number} of {count}").format(number=number, count=count)
        self.field = _FIELDS[question.kind](question)
        self.send = self.button(_("Answer"), self._answer, primary=True)
        self.result = widgets.HTML()
        title = widgets.HTML(f"<h4>{markup(place)}</h4>{head(question)}")
        self.box.children = (title, self.field.box, row(self.send), self.trouble, self.result)
        try:
            self._again(records.last(question))
        except ProgressError as error:
            self.tell(error)

    def _again(self, before: Answer | None) -> None:
        """Show the last answer again, unless there is none or it was to an older form of the question."""
        with suppress(BadInput):
            if before is not None:
                self._show(before)
                self.field.put(before)

    def _answer(self) -> None:
        answer = self.field.given()
        self._show(answer)
        records.record(self.question, answer)

    def _show(self, answer: Answer) -> None:
        self.result.value = result_html(self.question, answer, judge(self.question, answer))


class _One:
    """One option out of some."""

    def __init__(self, question: Question) -> None:
        options = [(f"{number}. {option.text}", number) for number, option in enumerate(question.shown, 1)]
        self.box = widgets.RadioButtons(
            options=options, value=None, description=_("Your answer"), layout=widgets.Layout(width="auto")
        )

    def given(self) -> Answer:
        """The chosen number."""
        if self.box.value is None:
            raise BadInput(_("one of the options"), _("none"), _("choose one, then answer"))
        return self.box.value

    def put(self, answer: Answer) -> None:
        """Choose again what was chosen."""
        (self.box.value,) = answer if isinstance(answer, (list, tuple)) else (answer,)


class _Some:
    """Any number of options."""

    def __init__(self, question: Question) -> None:
        self._checks = {
            number: widgets.Checkbox(description=f"{number}. {option.text}", indent=False)
            for number, option in enumerate(question.shown, 1)
        }
        self.box = widgets.VBox(list(self._checks.values()))

    def given(self) -> Answer:
        """The chosen numbers."""
        chosen = [number for number, check in self._checks.items() if check.value]
        if not chosen:
            raise BadInput(_("at least one of the options"), _("none"), _("choose all that are right, then answer"))
        return chosen

    def put(self, answer: Answer) -> None:
        """Choose again what was chosen."""
        for number, check in self._checks.items():
            check.value = isinstance(answer, (list, tuple)) and number in answer


class _Number:
    """A number."""

    def __init__(self, question: Question) -> None:
        self.box = widgets.Text(description=_("Your answer"), placeholder=question.unit)

    def given(self) -> Answer:
        """The number."""
        return read_number(self.box.value)

    def put(self, answer: Answer) -> None:
        """Show again what was given."""
        self.box.value = f"{answer:g}" if isinstance(answer, (int, float)) else ""


class _Steps:
    """Steps, each with its place."""

    def __init__(self, question: Question) -> None:
        places = [(_OPEN, 0), *((str(place), place) for place in range(1, len(question.options) + 1))]
        self._places = {}
        rows = []
        for number, option in enumerate(question.shown, 1):
            label = _("Place of step {number}").format(number=number)
            layout = widgets.Layout(width="15em")
            self._places[number] = widgets.Dropdown(
                options=places, value=0, description=label, style=LABEL, layout=layout
            )
            text = widgets.HTML(markup(f"{number}. {option.text}"), layout=widgets.Layout(flex="1 1 20em"))
            rows.append(row(self._places[number], text))
        self.box = widgets.VBox(rows)

    def given(self) -> Answer:
        """The steps' numbers in their order."""
        places = {field.value: number for number, field in self._places.items()}
        if sorted(places) != list(range(1, len(self._places) + 1)):
            raise BadInput(
                _("every place once"),
                ", ".join(str(field.value or _OPEN) for field in self._places.values()),
                _("give each step a place of its own"),
            )
        return [places[place] for place in sorted(places)]

    def put(self, answer: Answer) -> None:
        """Show again the places that were given."""
        for place, number in enumerate(answer if isinstance(answer, (list, tuple)) else [], 1):
            self._places[number].value = place


_FIELDS = {"single": _One, "plot": _One, "multiple": _Some, "numeric": _Number, "order": _Steps}
