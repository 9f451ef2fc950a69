"""The start page: the lessons as a map, what is done and due, where to go on, and the three ways to use the course.

JupyterLab's start page and `tl_course.home()` show the same HTML; they differ in what opens a lesson.
"""

import html
from collections.abc import Callable

from tl_course import exercises
from tl_course.i18n import _
from tl_course.standing import LessonStanding, Standing

Link = Callable[[str, str | None, str], str]
"""A lesson's id, an exercise of it or None, and HTML -> the HTML as something that opens the lesson there."""

# Colours of the notebook's own theme, so that light and dark both work.
STYLE = """<style>
.tl-home { max-width: 74em; margin: 0 auto; padding: .5em 1.5em 2em; line-height: 1.5; overflow-wrap: anywhere;
  font-family: var(--jp-content-font-family, system-ui, sans-serif); font-size: var(--jp-content-font-size1, 14px);
  color: var(--jp-content-font-color1, inherit); }
.tl-home h1 { font-size: 1.7em; margin: .6em 0 .1em; } .tl-home h2 { font-size: 1.25em; margin: 1.4em 0 .5em; }
.tl-home p { margin: .3em 0; }
.tl-home .tl-next { border: 1px solid var(--jp-border-color1, GrayText); border-left: 5px solid #1a8f5c;
  border-radius: 4px; padding: .7em 1em; margin: 1em 0; }
.tl-home .tl-row { display: grid; gap: .8em; grid-template-columns: repeat(auto-fit, minmax(14em, 1fr));
  margin: 0 0 .2em; }
.tl-home .tl-down { text-align: center; line-height: 1.1; color: var(--jp-content-font-color2, inherit); }
.tl-home .tl-card { border: 1px solid var(--jp-border-color1, GrayText); border-radius: 4px; padding: .6em .9em; }
.tl-home .tl-done { border-left: 5px solid #1a8f5c; } .tl-home .tl-begun { border-left: 5px solid #c4570c; }
.tl-home h3 { font-size: 1.05em; margin: 0 0 .2em; }
.tl-home small { color: var(--jp-content-font-color2, inherit); font-size: .93em; }
.tl-home .tl-bar { height: .4em; margin: .45em 0; background: var(--jp-border-color2, #8884); border-radius: .2em; }
.tl-home .tl-bar div { height: 100%; background: #1a8f5c; border-radius: .2em; }
.tl-home code { font-family: var(--jp-code-font-family, monospace); font-size: .95em; }
.tl-home button.tl-open { font: inherit; background: none; border: 0; padding: 0; text-align: left; cursor: pointer;
  color: var(--jp-content-link-color, LinkText); text-decoration: underline; }
.tl-home .tl-next button.tl-open { font-weight: 600; font-size: 1.1em; }
.tl-home :is(button, a):focus-visible { outline: 2px solid var(--jp-brand-color1, Highlight); outline-offset: 2px; }
</style>"""


def as_html(standing: Standing, link: Link) -> str:
    """The page."""
    parts = [
        f"<h1>{_text(_('Transfer learning, measured'))}</h1>",
        _next(standing, link),
        f"<h2>{_text(_('The way through the course'))}</h2>",
        _map(standing, link),
        f"<h2>{_text(_('Three ways to use it'))}</h2>",
        _ways(),
    ]
    return f"{STYLE}<div class='tl-home'>{''.join(parts)}</div>"


def as_text(standing: Standing) -> str:
    """The same for a terminal, in short."""
    lines = [_go_on(standing), _due(standing)]
    for lesson in standing.lessons:
        after = _after(lesson, standing)
        lines.append(f"{lesson.title}: {_exercises(lesson)}, {_quiz(lesson)}" + (f" ({after})" if after else ""))
    return "\n".join(line for line in lines if line)


def _next(standing: Standing, link: Link) -> str:
    lesson, exercise = standing.next
    going = _text(_go_on(standing))
    shown = going if lesson is None else link(lesson, exercise, going)
    due = f"<p>{_text(_due(standing))}</p>"
    spent = _("{minutes} min at exercises so far").format(minutes=round(standing.minutes))
    worked = f"<small>{_text(spent)}</small>" if standing.minutes >= 1 else ""
    return f"<div class='tl-next'>{shown}{due}{worked}</div>"


def _go_on(standing: Standing) -> str:
    lesson, exercise = standing.next
    if lesson is None:
        return _("Every exercise of every lesson is solved.")
    title = next(row.title for row in standing.lessons if row.id == lesson)
    if not any(row.begun for row in standing.lessons):
        return _("Begin here: {lesson}").format(lesson=title)
    if exercise is None:
        return _("Go on with {lesson}").format(lesson=title)
    return _("Go on where you left off: {lesson}, {exercise}").format(
        lesson=title, exercise=exercises.get(exercise).title
    )


def _due(standing: Standing) -> str:
    text = _("{cards} of {all} question cards and {questions} quiz questions are due; {new} cards are new.")
    return text.format(
        cards=standing.cards_due, all=standing.cards, questions=standing.questions_due, new=standing.cards_new
    )


def _map(standing: Standing, link: Link) -> str:
    """The lessons in rows: what stands in a row needs only what stands above it."""
    depth: dict[str, int] = {}
    for lesson in standing.lessons:
        depth[lesson.id] = 1 + max((depth[name] for name in lesson.after), default=-1)
    rows = []
    for level in sorted(set(depth.values())):
        cards = "".join(_card(one, standing, link) for one in standing.lessons if depth[one.id] == level)
        rows.append(f"<div class='tl-row' role='list'>{cards}</div>")
    return "<div class='tl-down' aria-hidden='true'>↓</div>".join(rows)


def _card(lesson: LessonStanding, standing: Standing, link: Link) -> str:
    state = " tl-done" if lesson.done else " tl-begun" if lesson.begun else ""
    mark = "✓ " if lesson.done else ""
    counts = _exercises(lesson)
    share = 100 * len(lesson.solved) // max(1, len(lesson.exercises))
    bar = f"role='progressbar' aria-label='{_text(counts)}' aria-valuenow='{share}'"
    facts = [_("about {minutes} min").format(minutes=lesson.minutes), counts, _quiz(lesson)]
    if lesson.due:
        facts.append(_("{count} due again").format(count=lesson.due))
    after = _after(lesson, standing)
    more = f"<br>{_text(after)}" if after else ""
    return (
        f"<div class='tl-card{state}' role='listitem'><h3>{mark}{link(lesson.id, None, _text(lesson.title))}</h3>"
        f"<div class='tl-bar' {bar}><div style='width:{share}%'></div></div><small>{_facts(facts)}{more}</small></div>"
    )


def _facts(facts: list[str]) -> str:
    """Facts in a line that is broken between them only."""
    return " · ".join(f"<span style='white-space:nowrap'>{_text(fact)}</span>" for fact in facts)


def _exercises(lesson: LessonStanding) -> str:
    return _("{done} of {all} exercises").format(done=len(lesson.solved), all=len(lesson.exercises))


def _quiz(lesson: LessonStanding) -> str:
    return _("quiz {known} of {all}").format(known=lesson.known, all=lesson.questions)


def _after(lesson: LessonStanding, standing: Standing) -> str:
    """Which lessons come first; those that are done have a mark."""
    done = {row.id for row in standing.lessons if row.done}
    names = ", ".join(name[:2] + (" ✓" if name in done else "") for name in lesson.after)
    return _("after {lessons}").format(lessons=names) if names else ""


def _ways() -> str:
    ways = [
        (
            _("By yourself"),
            _(
                "Open a lesson, run its cells with Shift + Enter, answer the exercises. Under each one: Check, Hint, "
                "Compare, Reset and Restore."
            ),
            "check · hint · compare · reset · restore · progress",
        ),
        (
            _("In a class"),
            _("The lessons are nbgrader assignments: release, collect, grade in a sandbox, correct, export the marks."),
            "tl-course grade ASSIGNMENT",
        ),
        (
            _("For interviews"),
            _("Question cards that come back when they are due, coding problems, faulty programs, mock interviews."),
            "tl-course practice",
        ),
    ]
    cards = "".join(
        f"<div class='tl-card'><h3>{_text(title)}</h3><p>{_text(text)}</p><code>{_text(code)}</code></div>"
        for title, text, code in ways
    )
    return f"<div class='tl-row'>{cards}</div>"


def _text(text: str) -> str:
    return html.escape(text)
