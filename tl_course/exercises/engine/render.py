"""Verdicts, hints and solutions as HTML for notebooks and as text for terminals."""

from html import escape

from tl_course.exercises.engine.verdict import Verdict
from tl_course.i18n import _

# Marks as well as colours, so that neither alone carries the meaning. Colours keep 4.5:1 on light and dark pages.
PASS, FAIL = "\N{CHECK MARK}", "\N{BALLOT X}"
_BOX = "border-left:4px solid {colour};padding:.4em .9em;margin:.4em 0;max-width:60em"
GREEN, ORANGE, _GREY = "#1a8f5c", "#c4570c", "#7a7a7a"


def headline(verdict: Verdict) -> str:
    """The verdict in one line."""
    name = f"{verdict.exercise} ({verdict.framework})"
    if not verdict.answered:
        return _("{name}: not answered yet").format(name=name)
    earned, points = verdict.score * verdict.points, verdict.points
    if verdict.passed:
        return _("{name}: right, {points:g} of {points:g} points").format(name=name, points=points)
    return _("{name}: not yet, {earned:.3g} of {points:g} points").format(name=name, earned=earned, points=points)


def as_text(verdict: Verdict) -> str:
    """The verdict for a terminal."""
    lines = [headline(verdict)]
    if verdict.problem:
        lines.append("  " + verdict.problem)
    for finding in verdict.findings if verdict.answered else []:
        lines.append(f"  {PASS if finding.passed else FAIL} {finding.text}")
        if finding.message:
            lines.append(f"      {finding.message}")
    if verdict.diagnosis:
        lines.append("  " + _("What this looks like: {diagnosis}").format(diagnosis=verdict.diagnosis))
    if verdict.output:
        lines.append("  " + _("It printed:"))
        lines += ["    " + line[:200] for line in verdict.output.splitlines()[:20]]
    return "\n".join(lines)


def as_html(verdict: Verdict) -> str:
    """The verdict for a notebook; everything that came from the learner's code is escaped."""
    colour = _GREY if not verdict.answered else GREEN if verdict.passed else ORANGE
    parts = [f"<strong>{escape(headline(verdict))}</strong>"]
    if verdict.problem:
        parts.append(f"<p style='margin:.4em 0'>{escape(verdict.problem)}</p>")
    if verdict.answered:
        parts.append(_criteria(verdict))
    if verdict.diagnosis:
        text = _("What this looks like: {diagnosis}").format(diagnosis=verdict.diagnosis)
        parts.append(f"<p style='margin:.4em 0'><em>{escape(text)}</em></p>")
    if verdict.output:
        title = escape(_("What it printed"))
        parts.append(f"<details><summary>{title}</summary><pre>{escape(verdict.output)}</pre></details>")
    return box("".join(parts), colour)


def box(content: str, colour: str = _GREY) -> str:
    """A framed piece of HTML."""
    return f"<div role='status' style='{_BOX.format(colour=colour)}'>{content}</div>"


def _criteria(verdict: Verdict) -> str:
    rows = []
    for finding in verdict.findings:
        mark = f"<span style='color:{GREEN if finding.passed else ORANGE}'>{PASS if finding.passed else FAIL}</span>"
        message = f"<br><small>{escape(finding.message)}</small>" if finding.message else ""
        rows.append(f"<li style='margin:.15em 0'>{mark} {escape(finding.text)}{message}</li>")
    return f"<ul style='list-style:none;padding-left:0;margin:.4em 0'>{''.join(rows)}</ul>"
