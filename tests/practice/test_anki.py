"""The Anki package, read back as Anki reads it: a zip with an SQLite database."""

import json
import re
import sqlite3
import zipfile
from contextlib import closing
from dataclasses import replace

import pytest

from tl_course.errors import BadInput
from tl_course.practice import anki, card_html
from tl_course.practice.cards import all_cards
from tl_course.practice.schema import Text

BANK = all_cards()
CHOICES = [("en",), ("zh",), ("en", "zh")]
HOSTILE = Text("Is `a < b & c` right, or <script>alert(1)</script> 'it'?", "`a < b & c` 对吗？<b>粗体</b>")


def read_back(path, folder):
    """(note type, decks, notes, cards) of a package."""
    with zipfile.ZipFile(path) as package:
        assert json.loads(package.read("media")) == {}
        package.extract("collection.anki2", folder)
    with closing(sqlite3.connect(folder / "collection.anki2")) as database:
        models, decks = map(json.loads, database.execute("SELECT models, decks FROM col").fetchone())
        notes = database.execute("SELECT id, guid, mid, tags, flds, sfld FROM notes").fetchall()
        cards = database.execute("SELECT id, nid, did FROM cards").fetchall()
    (model,) = (model for number, model in models.items() if int(number) in {note[2] for note in notes})
    return model, decks, notes, cards


def exported(folder, cards, languages):
    path = folder / "cards.apkg"
    anki.export(cards, path, languages)
    return read_back(path, folder)


@pytest.mark.parametrize("languages", CHOICES, ids="+".join)
def test_every_card_is_one_note_in_the_deck_of_its_topic(tmp_path, languages):
    model, decks, notes, cards = exported(tmp_path, BANK, languages)
    assert len(notes) == len(cards) == len(BANK)
    assert len({card[0] for card in cards}) == len({note[0] for note in notes}) == len(BANK)
    decks_of = {note_id: decks[str(deck)]["name"] for _id, note_id, deck in cards}
    names = [field["name"] for field in model["flds"]]
    for card, (note_id, _guid, _mid, tags, fields, sort) in zip(BANK, notes, strict=True):
        shown = dict(zip(names, fields.split("\x1f"), strict=True))
        assert shown["Card"] == card.id
        topic = " ".join(card_html.topic_name(card.topic, each) for each in languages)
        root = " ".join(card_html.word("title", each) for each in languages)
        assert decks_of[note_id] == f"{root}::{topic}"
        lesson = card.lesson.split("#")[0]
        wanted = {f"level::{card.level}", f"kind::{card.kind}", f"topic::{card.topic}", f"lesson::{lesson}"}
        assert set(tags.split()) == wanted
        assert sort == shown[f"Question {languages[0]}"]
        for each in languages:
            assert shown[f"Answer {each}"] == card_html.markup(getattr(card.answer, each))
            assert shown[f"Key points {each}"].count("<li>") == len(card.key_points)
            assert shown[f"Wrong answers {each}"].count("<dd>") == len(card.wrong)
            assert card_html.markup(getattr(card.follow_up.answer, each)) in shown[f"Follow-up {each}"]
            assert all(card_html.markup(source) in shown[f"Origins {each}"] for source in card.sources)
            assert lesson in shown[f"Origins {each}"]


def test_the_decks_of_english_and_chinese():
    assert {card.topic for card in BANK} <= set(card_html.TOPICS)
    assert (card_html.topic_name("distillation", "en"), card_html.topic_name("distillation", "zh")) == (
        "Distillation",
        "知识蒸馏",
    )


def test_a_second_export_has_the_same_identities_and_other_cards_and_languages_have_others(tmp_path):
    identities = []
    for languages in [*CHOICES, *CHOICES]:
        model, decks, notes, _cards = exported(tmp_path, BANK, languages)
        identities.append((model["id"], sorted(decks), [note[1] for note in notes]))
    assert identities[:3] == identities[3:]
    assert len({guid for _model, _decks, guids in identities[:3] for guid in guids}) == 3 * len(BANK)
    assert len({model for model, _decks, _guids in identities[:3]}) == 3
    every_deck = [deck for _model, decks, _guids in identities[:3] for deck in decks if deck != "1"]
    assert len(set(every_deck)) == 3 * len({card.topic for card in BANK})


def test_identities_stay_for_ever():
    """A change of these numbers would give every learner each card a second time."""
    card = replace(BANK[0], id="some-card")
    assert (anki.guid(card, ("en",)), anki.guid(card, ("en", "zh"))) == ("cg/@%M;v#:", "ttepMt26%I")
    assert set(anki.MODEL_IDS.values()) == set(range(1_873_206_511, 1_873_206_515))


def test_a_changed_answer_changes_the_field_and_not_the_identity(tmp_path):
    old = exported(tmp_path, BANK[:1], ("en",))[2]
    new = exported(tmp_path, [replace(BANK[0], answer=Text("Another.", "另一个。"))], ("en",))[2]
    assert old[0][1] == new[0][1]
    assert "Another." in new[0][4] and "Another." not in old[0][4]


def test_texts_are_escaped_and_code_is_marked(tmp_path):
    card = replace(BANK[0], question=HOSTILE, answer=HOSTILE, lesson="06_distillation#3. Why $T^2$, `frozen` & <b>")
    fields = exported(tmp_path, [card], ("en", "zh"))[2][0][4]
    assert "Is <code>a &lt; b &amp; c</code> right, or &lt;script&gt;alert(1)&lt;/script&gt; 'it'?" in fields
    assert "<code>a &lt; b &amp; c</code> 对吗？&lt;b&gt;粗体&lt;/b&gt;" in fields
    assert "06_distillation › 3. Why <i>T<sup>2</sup></i>, <code>frozen</code> &amp; &lt;b&gt;" in fields
    assert "<script" not in fields and "<b>粗体" not in fields


@pytest.mark.parametrize("languages", [*CHOICES, ("zh", "en")], ids="+".join)
def test_both_sides_show_their_fields_and_fold_the_second_language(tmp_path, languages):
    model = exported(tmp_path, BANK[:1], languages)[0]
    (template,) = model["tmpls"]
    used = set(re.findall(r"\{\{(.+?)\}\}", template["qfmt"] + template["afmt"]))
    assert used == {field["name"] for field in model["flds"]} - {"Card"} | {"FrontSide"}
    for side in (template["qfmt"], template["afmt"]):
        assert side.count("<details>") == side.count("</details>") == len(languages) - 1
        shown, *folded = side.split("<details>")
        assert f"Question {languages[0]}" in shown or f"Answer {languages[0]}" in shown
        assert all(f" {languages[1]}}}}}" not in shown and f" {languages[1]}}}}}" in fold for fold in folded)
    assert "Answer" not in template["qfmt"]
    assert ".nightMode" in model["css"] and ".night_mode" in model["css"]
    assert not re.search(r"https?:|url\(|@import|src=", template["qfmt"] + template["afmt"] + model["css"])


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("cards.zip", {}, "a file name in .apkg"),
        ("cards", {}, "a file name in .apkg"),
        ("nowhere/cards.apkg", {}, "a place that can be written to"),
        ("cards.apkg", {"languages": ("en", "fr")}, "languages out of en, zh"),
        ("cards.apkg", {"languages": ("en", "en")}, "languages out of en, zh"),
        ("cards.apkg", {"languages": ()}, "languages out of en, zh"),
        ("cards.apkg", {"cards": []}, "at least one card"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, name, options, message):
    with pytest.raises(BadInput, match=message):
        anki.export(**{"cards": BANK[:2], "path": tmp_path / name, **options})
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_the_way_is_named(tmp_path):
    (tmp_path / "cards.apkg").mkdir()
    with pytest.raises(BadInput, match=r"a place that can be written to; got .*cards\.apkg"):
        anki.export(BANK[:2], tmp_path / "cards.apkg")
    assert [path.name for path in tmp_path.iterdir()] == ["cards.apkg"]


def test_what_was_there_stays_when_an_export_fails(tmp_path):
    path = tmp_path / "cards.apkg"
    anki.export(BANK[:2], path)
    before = path.read_bytes()
    with pytest.raises(AttributeError):
        anki.export([*BANK[:2], "no card"], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
