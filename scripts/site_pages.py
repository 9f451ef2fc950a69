"""Pages of the site that are made from the course's own data: lesson map, list of exercises, question cards."""

import html
import re
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from tl_course import exercises, lessons
from tl_course.i18n import Language
from tl_course.practice import card_html
from tl_course.practice.cards import Card
from tl_course.practice.schema import Text

Sections = Mapping[str, Sequence[tuple[str, str]]]
"""Lesson id -> its headings, each with the target that leads to it."""

_LESSON_NUMBER = re.compile(r"\b\d\d\b")
_MARKS = re.compile(r"([\\*_\[\]$<>#~^{}])")


def lesson_map() -> str:
    """A tile for each lesson: what it teaches, how long it takes, and what comes before it."""
    names = {name[:2]: name for name in lessons.names()}
    tiles = []
    for row in lessons.listing():
        header = lessons.header(row["id"])
        before = _LESSON_NUMBER.sub(
            lambda found: f"[{found[0]}](lessons/{names[found[0]]}.ipynb)", header["know_first"]
        )
        paragraphs = [
            f"**[{row['title']}](lessons/{row['id']}.ipynb)**",
            _sentence(header["aims"]),
            f"{row['minutes']} minutes · {len(row['exercises'])} exercises",
            f"*Know first:* {before}",
        ]
        tiles.append(":::{container} lesson-tile\n" + "\n\n".join(paragraphs) + "\n:::\n")
    return "::::{container} lesson-map\n" + "\n".join(tiles) + "::::\n"


def exercise_list() -> str:
    """Every exercise of the bank, by lesson, with a link to where it is set."""
    set_in = {exercise_id for row in lessons.listing() for exercise_id in row["exercises"]}
    titles = {row["id"]: row["title"] for row in lessons.listing()}
    rows = exercises.listing()
    minutes = sum(row["minutes"] for row in rows)
    parts = [f"# Exercises\n\n{len(rows)} exercises, about {round(minutes / 60)} hours. "]
    parts.append("Those without a link are for interview practice: `tl-course practice`.\n")
    for lesson, group in groupby(rows, key=lambda row: row["lesson"]):
        parts.append(
            f"\n## {titles[lesson]}\n\n| Exercise | In | Points | Minutes | Difficulty |\n|:--|:--|--:|--:|:--|"
        )
        parts += [_exercise_row(row, row["id"] in set_in) for row in group]
    return "\n".join(parts) + "\n"


def card_index(cards: Sequence[Card]) -> str:
    """The first page of the card bank."""
    counts = {topic: sum(card.topic == topic for card in cards) for topic in card_html.TOPICS}
    rows = "\n".join(
        f"| [{_topic(topic)}]({topic}.md) | {card_html.topic_name(topic, 'zh')} | {count} |"
        for topic, count in counts.items()
    )
    toctree = "\n".join(counts)
    return f"""# Question cards

{len(cards)} questions that interviewers ask, each with an answer of one or two minutes, the key points of a full
answer, wrong answers that people give, and what is asked next; in English and Chinese. Say your answer before you
unfold one. `tl-course practice` asks them when they are due, and exports them to Anki and to paper.

| Topic | 主题 | Cards |
|:--|:--|--:|
{rows}

```{{toctree}}
:hidden:

{toctree}
```
"""


def card_page(topic: str, cards: Sequence[Card], sections: Sections) -> str:
    """The cards of one topic: questions, with their answers folded."""
    return f"# {_topic(topic)}\n\n" + "\n".join(_card(card, sections) for card in cards if card.topic == topic)


def _card(card: Card, sections: Sections) -> str:
    taught = ", ".join(_section_link(link, sections) for link in (card.lesson, *card.measured))
    sources = "".join(f"<li>{card_html.markup(source)}</li>" for source in card.sources)
    return (
        f"(card-{card.id})=\n## {_plain(card.question.en)}\n\n{card_html.about(card, 'en')}\n\n"
        f"{_folded(card, 'en')}\n<p><b>Sources</b></p><ul>{sources}</ul>\n\n<b>Lessons</b> {taught}\n\n</details>\n\n"
        f"{_folded(card, 'zh')}\n</details>\n"
    )


def _folded(card: Card, language: Language) -> str:
    """The beginning of a folded answer; the caller ends it."""
    question = f"<p><b>{card_html.markup(card.question.zh)}</b></p>" if language == "zh" else ""
    asked = card.follow_up
    parts = {
        "key_points": card_html.key_points(card, language),
        "wrong": card_html.wrong_answers(card, language),
        "follow_up": f"<p>{_text(asked.question, language)}</p><p>{_text(asked.answer, language)}</p>",
    }
    body = "".join(f"<p><b>{card_html.word(name, language)}</b></p>{content}" for name, content in parts.items())
    summary = "Answer" if language == "en" else "中文"
    return (
        f'<details class="card" lang="{card_html.HTML_LANGUAGE[language]}"><summary>{summary}</summary>\n'
        f"{question}<p>{_text(card.answer, language)}</p>{body}"
    )


def _text(text: Text, language: Language) -> str:
    """Plain text with `code` as HTML; an empty line would end the HTML around it."""
    return re.sub(r"\s*\n\s*", "<br>", card_html.markup(card_html.pick(text, language)).strip())


def _section_link(link: str, sections: Sections) -> str:
    lesson, _mark, beginning = link.partition("#")
    target = next(target for target, heading in sections[lesson] if heading.startswith(beginning))
    return f"[{lesson[:2]}](#{target}) "


def _exercise_row(row: Mapping[str, Any], linked: bool) -> str:
    title = f"[{_plain(row['title'])}](#exercise-{row['id']})" if linked else _plain(row["title"])
    stars = "★" * row["difficulty"] + "☆" * (5 - row["difficulty"])
    return f"| {title} | {', '.join(row['frameworks'])} | {row['points']} | {row['minutes']} | {stars} |"


def _topic(topic: str) -> str:
    return card_html.topic_name(topic, "en")


def _plain(text: str) -> str:
    """Text that Markdown shows as it is, but for `code`."""
    pieces = text.split("`")
    return "`".join(piece if number % 2 else _MARKS.sub(r"\\\1", piece) for number, piece in enumerate(pieces))


def _sentence(text: str) -> str:
    return html.escape(text[0].upper() + text[1:] + ".", quote=False)
