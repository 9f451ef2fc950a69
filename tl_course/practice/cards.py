"""Question cards of the interview bank: data files with a checked schema, one file a topic."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

from tl_course.errors import BadInput
from tl_course.i18n import _
from tl_course.practice.schema import Text, check_count, check_fields, read_text, read_texts, read_toml

FOLDER = Path(__file__).parent / "cards"

Kind = Literal["concept", "debugging", "design"]
Level = Literal["junior", "mid", "senior"]


@dataclass(frozen=True)
class WrongAnswer:
    """An answer that people give and that is wrong.

    Attributes:
        claim: the answer.
        why: what is wrong with it.
    """

    claim: Text
    why: Text


@dataclass(frozen=True)
class FollowUp:
    """What an interviewer asks next.

    Attributes:
        question, answer: see `Card`.
    """

    question: Text
    answer: Text


@dataclass(frozen=True)
class Card:
    """One question, its answer, and what a full answer must contain.

    Attributes:
        id: kebab-case, unique.
        topic: the name of its file.
        kind: what is asked for.
        level: who is asked.
        lesson: the section that teaches it: a lesson's id, "#", and the beginning of a heading.
        measured: sections, named likewise, that measure the numbers in the answer.
        sources: authors, title, year.
        question, answer: in both languages.
        key_points: what a full answer contains, 3 to 6 sentences.
        wrong: common wrong answers, 1 to 3.
        follow_up: the next question.
    """

    id: str
    topic: str
    kind: Kind
    level: Level
    lesson: str
    sources: tuple[str, ...]
    question: Text
    answer: Text
    key_points: tuple[Text, ...]
    wrong: tuple[WrongAnswer, ...]
    follow_up: FollowUp
    measured: tuple[str, ...] = ()


@cache
def all_cards() -> tuple[Card, ...]:
    """Every card of the bank, topic by topic.

    Raises:
        BadInput: a file or a card does not keep to the schema, or an id occurs twice; the message names the card.
    """
    cards = tuple(card for file in sorted(FOLDER.glob("*.toml")) for card in read(file))
    seen: set[str] = set()
    for card in cards:
        if card.id in seen:
            raise BadInput(_("ids that occur once"), card.id, _("rename one of the two cards"))
        seen.add(card.id)
    return cards


def read(file: Path) -> list[Card]:
    """The cards of one file.

    Raises:
        BadInput: not TOML, or a card that does not keep to the schema.
    """
    rows = read_toml(file).get("card", [])
    return [_card(row, file.stem, f"{file.name}, card {place}") for place, row in enumerate(rows, 1)]


def _card(row: Mapping[str, Any], topic: str, place: str) -> Card:
    where = f"{place} ({row.get('id', '?')})"
    check_fields(row, set(Card.__dataclass_fields__), {"measured"}, where)
    for name, allowed in (("kind", get_args(Kind)), ("level", get_args(Level)), ("topic", (topic,))):
        if row[name] not in allowed:
            raise BadInput(
                _("{name} among {allowed}").format(name=name, allowed=", ".join(allowed)),
                f"{row[name]!r}",
                _("see {where}").format(where=where),
            )
    for name, least, most in (("key_points", 3, 6), ("wrong", 1, 3), ("sources", 1, 6)):
        check_count(row, name, least, most, where)
    return Card(
        id=row["id"],
        topic=row["topic"],
        kind=row["kind"],
        level=row["level"],
        lesson=row["lesson"],
        sources=tuple(row["sources"]),
        question=read_text(row["question"], where),
        answer=read_text(row["answer"], where),
        key_points=tuple(read_text(point, where) for point in row["key_points"]),
        wrong=tuple(WrongAnswer(*read_texts(answer, ("claim", "why"), where)) for answer in row["wrong"]),
        follow_up=FollowUp(*read_texts(row["follow_up"], ("question", "answer"), where)),
        measured=tuple(row.get("measured", ())),
    )
