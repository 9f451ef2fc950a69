"""The first screen of interview practice: what there is, where the learner stands, and what to do next."""

from collections import defaultdict
from datetime import UTC, datetime

from tl_course import quizzes
from tl_course.i18n import _
from tl_course.practice import mock
from tl_course.practice.cards import all_cards
from tl_course.practice.mock_report import compare, compare_columns
from tl_course.practice.names import title
from tl_course.practice.schedule import standings
from tl_course.practice.terminal import Terminal
from tl_course.practice.timing import clock


def show(ui: Terminal) -> None:
    """Where the learner stands, in a few lines, and the commands."""
    known, now = standings(), datetime.now(UTC)
    due = sum(standing.due <= now for standing in known.values())
    cards = all_cards()
    new = len(cards) - sum(card.id in known for card in cards)
    ui.heading(_("Interview practice"))
    ui.say(_("{due} cards due, {new} new, {count} in all").format(due=due, new=new, count=len(cards)))
    ui.say(_("{due} quiz questions due").format(due=len(quizzes.due(now))))
    pending = mock.unfinished()
    rows = [
        {"key": "1", "name": _("Question cards"), "what": _("due ones first, then new ones"), "command": "cards"},
        {"key": "2", "name": _("Coding problem"), "what": _("a blank file, a timer, a verdict"), "command": "code"},
        {"key": "3", "name": _("The clinic"), "what": _("faulty programs to mend"), "command": "clinic"},
        {"key": "4", "name": _("Mock interview"), "what": _("45 minutes and a report"), "command": "mock"},
        {"key": "5", "name": _("Progress"), "what": _("by topic; past interviews"), "command": "progress"},
        {"key": "6", "name": _("Quizzes"), "what": _("due ones, or a lesson's"), "command": "quiz"},
        {"key": "q", "name": _("Quit"), "what": "", "command": ""},
    ]
    if pending:
        left = _("goes on: {level}, {left} left")
        rows[3]["what"] = left.format(level=title(pending.level), left=clock(pending.seconds_left))
    ui.say()
    for row in rows:
        row["command"] = f"tl-course practice {row['command']}" if row["command"] else ""
    ui.table(rows, {"key": "", "name": "", "what": "", "command": ""})
    ui.say()


def by_topic() -> list[dict[str, str]]:
    """How each topic stands, as rows: topic, seen, and once cards were seen: recall, weak."""
    known = standings()
    topics = defaultdict(list)
    for card in all_cards():
        topics[card.topic].append(known.get(card.id))
    rows = []
    for topic, standing in topics.items():
        seen = [one for one in standing if one is not None]
        row = {"topic": title(topic), "seen": f"{len(seen)}/{len(standing)}"}
        if seen:
            row["recall"] = f"{sum(one.recall for one in seen) / len(seen):.0%}"
            row["weak"] = str(sum(one.rating <= 2 for one in seen))
        rows.append(row)
    return rows


def topic_columns() -> dict[str, str]:
    """The titles of these rows."""
    return {"topic": _("topic"), "seen": _("seen"), "recall": _("likely known"), "weak": _("rated again or hard")}


def show_progress(ui: Terminal) -> None:
    """How each topic stands, and the interviews so far."""
    ui.heading(_("By topic"))
    ui.table(by_topic(), topic_columns())
    interviews = compare(mock.finished())
    if interviews:
        ui.heading(_("Your interviews"))
        ui.table(interviews, compare_columns())
