"""A case of the clinic in the notebook panel: read, predict, name the faulty lines; and the review after mending."""

import json
import re

import ipywidgets as widgets

from tl_course import records
from tl_course.errors import BadInput
from tl_course.exercises.engine.render import box
from tl_course.i18n import _
from tl_course.practice import clinic
from tl_course.practice.clinic import Case, Search
from tl_course.practice.panel_parts import (
    View,
    lesson_link,
    listed,
    markup,
    paragraphs,
    program,
    row,
    soft,
    titled,
)
from tl_course.shown import Shown

FOUND, MISSED = "\N{CHECK MARK}", "\N{BALLOT X}"


class CaseView(View):
    """One program to read; what was predicted and named is kept before anything is shown."""

    def __init__(self, case: Case) -> None:
        super().__init__()
        self.case = case
        head = f"<div class='tl-question'>{markup(case.title)} ({case.framework})</div>{paragraphs(case.task)}"
        source = program(case.program, _("The program"), numbers=True)
        self.prediction = widgets.RadioButtons(
            options=[(str(option.text), number) for number, option in enumerate(case.options, 1)],
            value=None,
            description=_("Your prediction"),
            layout=widgets.Layout(width="auto"),
        )
        self.lines = widgets.Text(
            description=_("Lines with a fault"), placeholder="2 5 9", style={"description_width": "initial"}
        )
        self.lines.continuous_update = False
        count = _("{count} faults; a missing step counts where it should stand.").format(count=len(case.faults))
        self.compare = self.button(_("Compare"), self._compare, primary=True)
        self.result = widgets.HTML()
        self.box.children = (
            widgets.HTML(head + source + titled(str(case.question), "")),
            self.prediction,
            widgets.HTML(soft(count)),
            row(self.lines, self.compare),
            self.trouble,
            self.result,
        )

    def _compare(self) -> None:
        if self.prediction.value is None:
            expected, remedy = _("a prediction of what happens"), _("choose one, then compare")
            raise BadInput(expected, _("none"), remedy)
        found = clinic.record(self.case, self.prediction.value, _numbers(self.lines.value))
        self.result.value = box(_result(self.case, self.prediction.value, found))


def review(case: Case, anyway: bool) -> Shown:
    """Every fault and the review, once there was an attempt at mending."""
    attempts = records.attempts(case.id)
    if not attempts and not anyway:
        text = _(
            "First mend the program in the exercise's cell and check it. To see the review all the same: "
            "panel.review({id}, anyway=True)"
        ).format(id=repr(case.id))
        return Shown(text, box(markup(text)))
    readings = clinic.history(case)
    found = clinic.search(case, json.loads(readings[-1]["named"])) if readings else None
    score = _score(found, max((attempt["score"] for attempt in attempts), default=0.0))
    plain = [score, *(f"{fault.name}: {fault.what} {fault.production} {fault.review}" for fault in case.faults)]
    return Shown("\n\n".join(plain), box(f"<strong>{markup(score)}</strong>" + _review(case, found)))


def _numbers(text: str) -> list[int]:
    """Line numbers as people write them.

    Raises:
        BadInput: something else.
    """
    words = [word for word in re.split(r"[\s,;，、；]+", text) if word]
    wrong = next((word for word in words if not word.isdecimal()), None)
    if wrong is not None:
        raise BadInput(_("line numbers, like 2 5 9"), repr(wrong), _("separate them with blanks or commas"))
    return [int(word) for word in words]


def _result(case: Case, predicted: int, found: Search) -> str:
    """What happens, what was found, and false alarms; what was missed stays open."""
    right = case.options[case.right - 1]
    told = _("What happens: {text}") if predicted == case.right else _("Not what you predicted. What happens: {text}")
    parts = [titled(told.format(text=right.text), paragraphs(right.why))]
    if predicted != case.right:
        chosen = case.options[predicted - 1]
        parts.append(titled(str(chosen.text), paragraphs(chosen.why)))
    alarms = ", ".join(map(str, found.false_alarms)) or _("none")
    text = _("{found} of {count} faults found; false alarms: {alarms}")
    text = text.format(found=len(found.found), count=len(case.faults), alarms=alarms)
    parts.append(titled(text, listed(f"{FOUND} {markup(fault.name)}" for fault in found.found)))
    mend = _("Now mend every fault in the exercise's cell below, check it, and then read the review.")
    return "".join(parts) + f"<p>{markup(mend)}</p>"


def _score(found: Search | None, mended: float) -> str:
    if found is None:
        return _("Not read yet, mended {mended:.0%}").format(mended=mended)
    text = _("Found {found:.0%} (false alarms count against it), mended {mended:.0%}: {score:.0%} in all.")
    return text.format(found=found.score, mended=mended, score=(found.score + mended) / 2)


def _review(case: Case, found: Search | None) -> str:
    parts = []
    for fault in case.faults:
        mark = FOUND if found and fault in found.found else MISSED
        lines = ", ".join(map(str, sorted(case.line_numbers(fault))))
        heading = _("{mark} {name} (line {lines})").format(mark=mark, name=fault.name, lines=lines)
        production = _("In production: {text}").format(text=fault.production)
        judged = _("The review: {text}").format(text=fault.review)
        parts.append(titled(heading, paragraphs(fault.what) + paragraphs(production) + paragraphs(judged)))
    parts.append(titled(_("Read on"), listed([lesson_link(case.lesson)])))
    parts.append(titled(_("Sources"), listed(map(markup, case.sources))))
    return "".join(parts)
