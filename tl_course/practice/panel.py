"""Interview practice in a notebook: cards, mock interviews, progress, and the cases of the clinic.

All of it is a view: what is asked, kept and scored is the same as in the terminal (`tl-course practice`).
"""

import ipywidgets as widgets

from tl_course import i18n
from tl_course.i18n import _
from tl_course.practice import clinic as cases
from tl_course.practice import panel_clinic
from tl_course.practice.panel_cards import CardsView
from tl_course.practice.panel_mock import MockView
from tl_course.practice.panel_parts import present
from tl_course.practice.panel_progress import ProgressView
from tl_course.shown import Shown

_open: list[MockView] = []  # the one whose clock may be running


def show(language: str | None = None, estimate: bool = True) -> None:
    """Show the panel: question cards, mock interviews, progress.

    Args:
        language: "en" or "zh", for this kernel from now on; the system's where left away.
        estimate: whether to estimate which key points an answer covers.

    Raises:
        BadInput: no such language.
    """
    if language is not None:
        i18n.use_language(language)
    while _open:
        _open.pop().close()
    interviews, progress = MockView(estimate), ProgressView()
    _open.append(interviews)
    tabs = widgets.Tab([CardsView(estimate).box, interviews.box, progress.box])
    tabs.titles = (_("Cards"), _("Mock interview"), _("Progress"))
    tabs.observe(lambda change: progress.refresh() if change["new"] == 2 else None, "selected_index")
    present(tabs, _("Interview practice"))


def clinic(case_id: str) -> None:
    """Show one program of the clinic, to predict what it does and to name the lines with a fault.

    Raises:
        BadInput: there is no such case.
    """
    case = cases.get(case_id)
    present(panel_clinic.CaseView(case).box, str(case.title))


def review(case_id: str, anyway: bool = False) -> Shown:
    """Every fault of a case with its review, once you have tried to mend it (or ``anyway=True``).

    Raises:
        BadInput: there is no such case.
    """
    return panel_clinic.review(cases.get(case_id), anyway)
