"""The report on a graded class as one HTML page that needs no other file."""

import html
import math
from collections.abc import Sequence

from tl_course.grading.class_figures import ENOUGH, Item, graded, histogram, items, shares, spread
from tl_course.grading.outcome import Report, Row
from tl_course.grading.report_style import STYLE, histogram_svg
from tl_course.grading.report_texts import (
    Finding,
    clean,
    counts,
    diagnoses,
    noticed,
    problems,
    state_name,
    undiagnosed,
    waiting,
)
from tl_course.grading.seeds import Drawn, drawn, whole_notebooks
from tl_course.i18n import _, language
from tl_course.practice.card_html import HTML_LANGUAGE

_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(report: Report) -> str:
    """The whole page."""
    title = told(_("Class report: {assignment}").format(assignment=report.assignment))
    sections = (_head, _scores, _waiting, _exercises, _misconceptions, _mended, _noticed, _seeds, _students)
    body = "".join(section(report) for section in sections)
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}"><title>{title}</title><style>{STYLE}</style>'
    )
    content = f"<main><h1>{title}</h1>{body}</main>"
    return (
        f'<!doctype html>\n<html lang="{HTML_LANGUAGE[language()]}"><head>{head}</head><body>{content}</body></html>\n'
    )


def told(text: str) -> str:
    """Text as HTML, whoever wrote it."""
    return html.escape(clean(text))


def name(text: str) -> str:
    """A student's name as HTML; names written from right to left stay where they are."""
    return f"<bdi>{told(text)}</bdi>"


def paragraph(text: str, kind: str = "") -> str:
    return f'<p class="{kind}">{told(text)}</p>' if kind else f"<p>{told(text)}</p>"


def table(kind: str, label: str, heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int]) -> str:
    """A table that scrolls by itself where it is too wide.

    Args:
        kind: its class in CSS.
        label: its name for who cannot see it.
        heads: text of the columns' heads.
        rows: cells as HTML; the first of a row names it.
        numbers: columns that hold numbers, from 0.
    """
    kinds = [' class="number"' if column in numbers else "" for column in range(len(heads))]
    top = "".join(f'<th scope="col"{mark}>{told(head)}</th>' for head, mark in zip(heads, kinds, strict=True))
    lines = "".join(
        "<tr>"
        + f'<th scope="row">{row[0]}</th>'
        + "".join(f"<td{mark}>{cell}</td>" for cell, mark in zip(row[1:], kinds[1:], strict=True))
        + "</tr>"
        for row in rows
    )
    inside = f'<table class="{kind}"><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>'
    return f'<div class="wide" role="region" aria-label="{told(label)}" tabindex="0">{inside}</div>'


def _section(title: str, *parts: str) -> str:
    return f"<section><h2>{told(title)}</h2>{''.join(parts)}</section>"


def _head(report: Report) -> str:
    number, five = counts(report.rows), spread(shares(report.rows))
    shown = [
        (_("submissions"), f"{number.submissions}"),
        (_("graded"), f"{number.graded}"),
        (_("need a look"), f"{number.needs_look}"),
        (_("failed"), f"{number.failed}"),
        (_("judged now"), f"{number.now}"),
        (_("unchanged"), f"{number.unchanged}"),
        (_("median share"), f"{five.median:.0%}" if five else "–"),
        (_("seconds"), f"{report.seconds:.1f}"),
    ]
    tiles = "".join(f"<div><dt>{told(key)}</dt><dd>{value}</dd></div>" for key, value in shown)
    missing = ", ".join(report.unprotected)
    said = _("Graded without these protections: {names}").format(names=missing)
    return f'<dl class="numbers">{tiles}</dl>' + (paragraph(said, "warn") if missing else "")


def _scores(report: Report) -> str:
    values = shares(report.rows)
    five = spread(values)
    if five is None:
        return _section(_("Scores"), paragraph(_("No score yet.")))
    said = _(
        "Of {count} graded submissions: median {median:.0%}, quartiles {first_quartile:.0%} and {third_quartile:.0%}, "
        "from {low:.0%} to {high:.0%} of the points. Those that need a look are left out."
    ).format(count=len(values), **vars(five))
    return _section(_("Scores"), paragraph(said), histogram_svg(histogram(values)))


def _waiting(report: Report) -> str:
    rows = [
        [f'{name(row.student)}<br><span class="soft">{told(state_name(row.state))}</span>', told(row.reason) or "–"]
        for row in waiting(report.rows)
    ]
    title = _("To look at")
    if not rows:
        return _section(title, paragraph(_("Nothing.")))
    return _section(title, table("reasons", title, (_("Student"), _("Reason")), rows, ()))


def _exercises(report: Report) -> str:
    found, title = items(report), _("Exercises")
    if not found:
        return _section(title, paragraph(_("No graded submission.")))
    heads = (
        _("Exercise"),
        _("Points"),
        _("n"),
        _("Answered"),
        _("Full marks"),
        _("Mean share"),
        _("Frameworks"),
        _("Item–rest r"),
        _("D"),
        _("Separates"),
    )
    rows = [_item_row(item) for item in found]
    return _section(title, table("exercises", title, heads, rows, (1, 2, 3, 4, 5, 7, 8)), *_explained(report))


def _item_row(item: Item) -> list[str]:
    few = item.count < ENOUGH
    used = "<br>".join(told(f"{framework} {count}") for framework, count in item.frameworks.items())
    first = [
        told(item.name),
        f"{item.points:g}",
        f"{item.count}",
        f"{item.answered / item.count:.0%}",
        f"{item.full / item.count:.0%}",
        f"{item.mean:.0%}",
        used or "–",
    ]
    indices = ["–" if few or value is None else f"{value:.2f}" for value in (item.correlation, item.discrimination)]
    return [*first, *indices, told(_reading(item, few))]


def _reading(item: Item, few: bool) -> str:
    """What the two indices say of an exercise, or why they say nothing."""
    if item.alone:
        return _("no other exercise to compare with")
    if few:
        return _("too few submissions to say (n = {count}, at least {enough})").format(count=item.count, enough=ENOUGH)
    if item.discrimination is None:
        return _("no variance: all totals are the same")
    if item.correlation is None:
        return _("no variance: all did the same on it, or on the others")
    if max(item.correlation, item.discrimination) < 0:
        return _("the wrong way round: look at the exercise and its judge")
    words = ((0.4, _("very well")), (0.3, _("well")), (0.2, _("somewhat")))  # Ebel's bounds
    return next((word for bound, word in words if item.discrimination >= bound), _("hardly"))


def _explained(report: Report) -> list[str]:
    """What the columns mean, and how much they can be trusted."""
    count = len(graded(report.rows))
    about = _(
        "An exercise separates when those who do well on it do well on the rest. Item–rest r is the corrected "
        "item-total correlation: Pearson's, of the share of its points with the total of all other exercises "
        "(Henrysson 1963; Lord and Novick 1968). D is the mean share of the 27 % with the highest totals less that of "
        "the 27 % with the lowest (Kelley 1939); ties at a boundary count in part. From 0.4 an exercise separates very "
        "well, from 0.3 well, from 0.2 somewhat (Ebel 1972). One that nearly all solve cannot separate, and need not."
    )
    trust = _("Both are shown from {enough} submissions on. With n = {count}, r is uncertain by about ±{width:.2f}.")
    lines = [paragraph(about, "soft")]
    if count >= ENOUGH:
        lines.append(paragraph(trust.format(enough=ENOUGH, count=count, width=2 / math.sqrt(count - 1)), "soft"))
    else:
        few = _("Both are shown from {enough} submissions on; {count} are graded.")
        lines.append(paragraph(few.format(enough=ENOUGH, count=count), "soft"))
    return lines


def _misconceptions(report: Report) -> str:
    """Each exercise with what its answers show, the exercise with the most frequent diagnosis first."""
    rows: dict[str, list[list[str]]] = {}
    for found, text in (
        (diagnoses(report), "{message}"),
        (problems(report), _("could not be observed: {message}")),
        (undiagnosed(report), "{message}"),
    ):
        for one in found:
            rows.setdefault(one.exercise, []).append(_finding_row(one, text))
    heads = (_("What answers show"), _("Count"), _("Students"))
    parts = [
        f"<h3>{told(exercise)}</h3>" + table("findings", exercise, heads, lines, (1,))
        for exercise, lines in rows.items()
    ]
    return _section(_("Misconceptions"), *(parts or [paragraph(_("None was found."))]))


def _finding_row(one: Finding, text: str) -> list[str]:
    return [told(text.format(message=one.message)), f"{len(one.students)}", ", ".join(map(name, one.students))]


def _mended(report: Report) -> str:
    rows = [[name(row.student), _list(row.notes)] for row in report.rows if row.notes]
    if not rows:
        return ""
    title = _("Mended before grading")
    return _section(title, table("reasons", title, (_("Student"), _("What was mended")), rows, ()))


def _list(lines: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{told(line)}</li>" for line in lines) + "</ul>"


def _noticed(report: Report) -> str:
    rows = [[name(student), told(f"{exercise}: {line}")] for student, exercise, line in noticed(report)]
    if not rows:
        return ""
    title = _("Noticed imports and paths")
    said = paragraph(_("These cost no points: read the answer, and ask."), "soft")
    return _section(title, said, table("reasons", title, (_("Student"), _("Exercise and line")), rows, ()))


def _seeds(report: Report) -> str:
    found, title = drawn(report), _("Seeds, for appeals")
    if not found:
        return ""
    said = _(
        "The command judges an answer again on the inputs that it was graded with. Put the answer's text into FILE; it "
        "runs outside the sandbox, so read it first."
    )
    parts = [paragraph(said, "soft")]
    if more := whole_notebooks(report):
        text = _(
            "{count} answers were judged within their whole notebook: FILE needs the cells that they build on too."
        )
        parts.append(paragraph(text.format(count=more), "soft"))
    heads = (_("Exercise"), _("Seed"), _("Students"), _("Command"))
    return _section(title, *parts, table("seeds", title, heads, [_seed_row(one) for one in found], (1,)))


def _seed_row(one: Drawn) -> list[str]:
    who = (
        told(_("all others") if one.rest else _("all")) if one.students is None else ", ".join(map(name, one.students))
    )
    return [
        told(one.exercise),
        f"{one.seed}",
        who,
        "".join(f"<code>{told(line)}</code> " for line in one.commands) or "–",
    ]


def _students(report: Report) -> str:
    title = _("Students")
    if not report.rows:
        return _section(title, paragraph(_("No submission.")))
    heads = (_("Student"), _("Score"), _("Of"), _("Share"), _("State"))
    return _section(title, table("students", title, heads, [_student_row(row) for row in report.rows], (1, 2, 3)))


def _student_row(row: Row) -> list[str]:
    state = told(state_name(row.state))
    if row.score is None or row.max_score is None:
        return [name(row.student), "–", "–", "–", state]
    share = f"{row.score / row.max_score:.0%}" if row.max_score else "–"
    return [name(row.student), f"{round(row.score, 2):g}", f"{round(row.max_score, 2):g}", share, state]
