"""Question cards as a package for Anki (.apkg): a deck for each topic, a note for each card.

Identities are stable: an import of a later export updates the notes it knows and keeps their schedule.
"""

import hashlib
import sqlite3
import time
import zipfile
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from tl_course.i18n import Language
from tl_course.practice.card_html import (
    FONTS,
    HTML_LANGUAGE,
    about,
    check_choice,
    key_points,
    markup,
    origins,
    pick,
    topic_name,
    word,
    wrong_answers,
)
from tl_course.practice.cards import Card
from tl_course.whole_file import draft

if TYPE_CHECKING:
    from genanki import Deck, Model, Note

MODEL_IDS: dict[tuple[Language, ...], int] = {
    ("en",): 1_873_206_511,
    ("zh",): 1_873_206_512,
    ("en", "zh"): 1_873_206_513,
    ("zh", "en"): 1_873_206_514,
}
"""Anki knows a note type by its number. A note type whose fields change needs a new one."""

PARTS = ("About", "Question", "Answer", "Key points", "Wrong answers", "Follow-up", "Origins")
"""Fields of a note in each language; the field before them holds the card's id."""

CSS = f"""
.card {{
  --ink: #1b1b1b; --soft: #595959; --line: #c4c8cc; --field: #f0f2f4; --mark: #005a8c;
  font: 1.05rem/1.55 {FONTS}; text-align: left; color: var(--ink); background: #fff;
  max-width: 42rem; margin: 0 auto; padding: 0.75rem; overflow-wrap: break-word;
}}
.card.nightMode, .card.night_mode {{
  --ink: #ececec; --soft: #b4b8bc; --line: #50565c; --field: #2b3035; --mark: #7cc4f5;
  color: var(--ink); background: #1c1f22;
}}
.question {{ font-size: 1.2em; font-weight: 600; line-height: 1.4; margin: 0.3em 0; }}
.about, .origins {{ color: var(--soft); font-size: 0.85em; margin: 0; }}
h2 {{ font-size: 0.95em; color: var(--mark); margin: 1.2em 0 0.3em; }}
p, dl {{ margin: 0.4em 0; }}
ul {{ margin: 0.3em 0; padding-left: 1.3em; }}
li {{ margin: 0.25em 0; }}
dt::before {{ content: "✗ "; color: var(--mark); font-weight: 600; }}
dd {{ margin: 0 0 0.6em 1.3em; }}
code {{ font-size: 0.92em; background: var(--field); border-radius: 3px; padding: 0 0.2em; overflow-wrap: anywhere; }}
hr {{ border: 0; border-top: 1px solid var(--line); margin: 1em 0; }}
details {{ border: 1px solid var(--line); border-radius: 6px; margin: 0.6em 0; padding: 0 0.8em; }}
summary {{ color: var(--mark); cursor: pointer; padding: 0.5em 0; }}
details > :last-child:not(summary) {{ margin-bottom: 0.7em; }}
.origins {{ border-top: 1px solid var(--line); margin-top: 1.2em; padding-top: 0.6em; }}
"""


def export(cards: Sequence[Card], path: Path | str, languages: Sequence[str] = ("en",)) -> None:
    """Write cards as a package that Anki imports on every system.

    Args:
        cards: at least one, such as `all_cards()`.
        path: a file name in .apkg; replaced when it exists.
        languages: "en", "zh" or both; of both, the first one is shown and the other one folded below it.

    Raises:
        BadInput: no card, unknown languages, another ending, or a path that cannot be written.
    """
    chosen = check_choice(cards, languages)
    with draft(Path(path), {".apkg"}) as file:
        _write(_decks(cards, chosen), file)


def guid(card: Card, languages: Sequence[Language]) -> str:
    """What Anki knows the note by: the same in each export, another one for each card and choice of languages."""
    from genanki import guid_for

    return guid_for("tl_course", card.id, *languages)


def _decks(cards: Sequence[Card], languages: tuple[Language, ...]) -> "list[Deck]":
    from genanki import Deck

    model = _model(languages)
    decks: dict[str, Deck] = {}
    for card in cards:
        name = f"{_joined('title', languages)}::{' '.join(topic_name(card.topic, each) for each in languages)}"
        decks.setdefault(card.topic, Deck(_number("deck", card.topic, *languages), name)).add_note(
            _note(card, languages, model)
        )
    return list(decks.values())


def _joined(name: str, languages: Sequence[Language]) -> str:
    return " ".join(word(name, each) for each in languages)


def _number(*names: str) -> int:
    """A number between 2^30 and 2^31, as Anki wants it for a deck: always the same for the same names."""
    return (1 << 30) + int.from_bytes(hashlib.sha256("/".join(names).encode()).digest()[:8]) % (1 << 30)


def _note(card: Card, languages: Sequence[Language], model: "Model") -> "Note":
    from genanki import Note

    fields = [card.id, *(part for language in languages for part in _parts(card, language))]
    lesson = card.lesson.partition("#")[0]
    tags = [f"level::{card.level}", f"kind::{card.kind}", f"topic::{card.topic}", f"lesson::{lesson}"]
    return Note(model=model, fields=fields, guid=guid(card, languages), tags=tags)


def _parts(card: Card, language: Language) -> tuple[str, ...]:
    """The fields of a note in one language, in the order of `PARTS`."""
    question, answer = (markup(pick(text, language)) for text in (card.follow_up.question, card.follow_up.answer))
    return (
        about(card, language),
        markup(pick(card.question, language)),
        markup(pick(card.answer, language)),
        key_points(card, language),
        wrong_answers(card, language),
        f"<p>{question}</p><details><summary>{word('answer', language)}</summary><div>{answer}</div></details>",
        origins(card, language),
    )


def _model(languages: tuple[Language, ...]) -> "Model":
    """The note type: its fields, both sides and their style."""
    from genanki import Model

    fields = ["Card", *(f"{part} {language}" for language in languages for part in PARTS)]
    front = "\n".join(_side(_front(language), language, folded) for folded, language in enumerate(languages))
    back = "\n".join(_side(_back(language), language, folded) for folded, language in enumerate(languages))
    return Model(
        MODEL_IDS[languages],
        f"{_joined('title', languages)} ({'+'.join(languages)})",
        fields=[{"name": name} for name in fields],
        templates=[{"name": "Card", "qfmt": front, "afmt": f'{{{{FrontSide}}}}\n<hr id="answer">\n{back}'}],
        css=CSS,
        sort_field_index=fields.index(f"Question {languages[0]}"),
    )


def _front(language: Language) -> str:
    return f'<p class="about">{_slot("About", language)}</p>\n<p class="question">{_slot("Question", language)}</p>'


def _back(language: Language) -> str:
    headed = {"key_points": "Key points", "wrong": "Wrong answers", "follow_up": "Follow-up"}
    sections = "\n".join(f"<h2>{word(name, language)}</h2>{_slot(part, language)}" for name, part in headed.items())
    origins_line = f'<div class="origins">{_slot("Origins", language)}</div>'
    return f"<p>{_slot('Answer', language)}</p>\n{sections}\n{origins_line}"


def _slot(part: str, language: Language) -> str:
    """Where Anki puts a field."""
    return f"{{{{{part} {language}}}}}"


def _side(content: str, language: Language, folded: int) -> str:
    """A side in one language, with a fold around it where it is not the first language."""
    code = HTML_LANGUAGE[language]
    side = f'<div lang="{code}">\n{content}\n</div>'
    summary = f'<summary lang="{code}">{word("language", language)}</summary>'
    return f"<details>{summary}\n{side}\n</details>" if folded else side


def _write(decks: "list[Deck]", file: Path) -> None:
    """The package, compressed. genanki's own `write_to_file` leaves its database behind in the temporary folder."""
    from genanki import Package

    database, now = file.with_suffix(".anki2"), time.time()
    with closing(sqlite3.connect(database)) as connection:
        Package(decks).write_to_db(connection.cursor(), now, count(int(now * 1000)))
        connection.commit()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as package:
        package.write(database, "collection.anki2")
        package.writestr("media", "{}")
