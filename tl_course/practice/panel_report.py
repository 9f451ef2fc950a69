"""What a mock interview showed, as HTML for the notebook panel."""

from tl_course.i18n import _
from tl_course.practice import mock
from tl_course.practice.mock import Mock
from tl_course.practice.mock_report import Line, compare, compare_columns, report, section
from tl_course.practice.names import title
from tl_course.practice.panel_parts import folded, lesson_link, listed, markup, paragraphs, program, table, titled
from tl_course.practice.timing import clock


def report_html(known: Mock) -> str:
    """Score by area, each question with what was missed, what to study, the code, and earlier interviews."""
    found = report(known)
    total = _("{score:.0%} in all; questions that were not reached count as 0.").format(score=found.score)
    areas = [{"area": title(kind), "score": f"{value:.0%}"} for kind, value in found.areas.items()]
    links = {section(link): lesson_link(link) for link in map(_lesson, known.items)}
    study = listed(links[text] for text in found.study)
    enough = markup(_("Nothing fell below three quarters. Try a higher level."))
    earlier = compare(mock.finished())
    parts = {
        _("Report"): f"<p><strong>{markup(total)}</strong></p>",
        _("By area"): table(areas, {"area": "", "score": _("score")}),
        _("Question by question"): listed(map(_line, found.lines), "ol"),
        _("Study next"): study if found.study else enough,
        _("About your code"): "".join(map(_after_coding, known.items)),
        _("Your interviews"): table(earlier, compare_columns()),
    }
    return "".join(titled(name, content) for name, content in parts.items())


def _lesson(item: mock.Item) -> str:
    return item.exercise.lesson if item.kind == "coding" else item.card.lesson


def _line(line: Line) -> str:
    score = _("not reached") if line.score is None else f"{line.score:.0%}"
    spent = f"{clock(line.seconds)} / {line.item.minutes}:00"
    head = f"<strong>{markup(score)}</strong> \N{MIDDLE DOT} {title(line.item.kind)} \N{MIDDLE DOT} {spent}"
    missed = [markup(_("missed: {point}").format(point=point)) for point in line.missed]
    return f"{head}<br>{markup(line.title)}{listed(missed) if missed else ''}"


def _after_coding(item: mock.Item) -> str:
    """What is asked about the code once it was written, and the answer that the course teaches."""
    if item.kind != "coding":
        return ""
    exercise = item.exercise
    reference = exercise.variant(item.framework or "numpy").reference.strip()
    taught = folded(_("What we teach"), program(reference, _("What we teach")))
    return "".join(folded(asked.question, paragraphs(asked.answer)) for asked in exercise.questions_after()) + taught
