"""The printable sheet: one HTML file with everything in it, and the PDF that Chromium makes of it."""

import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from tl_course.errors import BadInput, CourseError
from tl_course.practice import card_html, sheet
from tl_course.practice.cards import all_cards
from tl_course.practice.schema import Text

BANK = all_cards()
CHOICES = [("en",), ("zh",), ("en", "zh")]
FEW = [card for topic in ("distillation", "concepts") for card in BANK if card.topic == topic][17:22]
CHROMIUM = next(filter(None, map(shutil.which, sheet.BROWSERS)), None)
NEEDS_CHROMIUM = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]


def page_of(folder, cards=FEW, languages=("en",), answers=True):
    path = folder / "sheet.html"
    sheet.export(cards, path, languages, answers)
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@pytest.mark.parametrize("languages", CHOICES, ids="+".join)
def test_every_card_is_asked_once_and_answered_under_the_same_number(tmp_path, languages):
    page = page_of(tmp_path, BANK, languages)
    questions, answers = page.select("ol.questions > li"), page.select("article")
    assert len(questions) == len(answers) == len(BANK)
    order = sorted(BANK, key=lambda card: list(card_html.TOPICS).index(card.topic))
    for number, (card, question, answer) in enumerate(zip(order, questions, answers, strict=True), 1):
        assert (question["id"], answer["id"]) == (f"q{number}", f"a{number}")
        for each in languages:
            assert getattr(card.question, each).replace("`", "") in question.text
            assert getattr(card.question, each).replace("`", "") in answer.h4.text
            everything = [card.answer, *card.key_points, card.follow_up.question, card.follow_up.answer]
            everything += [text for wrong in card.wrong for text in (wrong.claim, wrong.why)]
            assert all(getattr(text, each).replace("`", "") in answer.text for text in everything)
        assert all(source in answer.footer.text for source in card.sources)
        assert card.lesson.split("#")[0] in answer.footer.text
    assert [each["start"] for each in page.select("ol.questions")][:2] == ["1", "21"]


@pytest.mark.parametrize("languages", CHOICES, ids="+".join)
def test_links_headings_and_languages_are_in_order(tmp_path, languages):
    page = page_of(tmp_path, BANK, languages)
    ids = [element["id"] for element in page.select("[id]")]
    assert len(ids) == len(set(ids))
    links = [link["href"] for link in page.select("a")]
    assert {link.removeprefix("#") for link in links} <= set(ids) and len(links) > 2 * len(BANK)
    levels = [int(heading.name[1]) for heading in page.find_all(re.compile(r"^h\d$"))]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(deeper <= level + 1 for level, deeper in pairwise(levels))
    topics = [element["id"] for element in page.select("section.topic")]
    assert [link["href"] for link in page.select("nav a")][::2] == [f"#{topic}" for topic in topics]
    assert page.html["lang"] == card_html.HTML_LANGUAGE[languages[0]]
    chinese = re.compile(r"[\u4e00-\u9fff]")
    for text in page.body.find_all(string=chinese):
        spoken = next(parent["lang"] for parent in text.parents if parent.get("lang"))
        assert spoken == "zh-Hans", text
    if languages == ("en",):
        assert not chinese.search(page.text)


def test_questions_alone(tmp_path):
    page = page_of(tmp_path, answers=False)
    assert len(page.select("ol.questions > li")) == len(FEW)
    assert not page.select("article, .answers, .jump")
    assert "Answers" not in page.text and FEW[0].answer.en not in page.text


def test_a_topic_that_the_course_does_not_have_comes_last_under_its_own_name(tmp_path):
    page = page_of(tmp_path, [replace(FEW[0], topic="my_<own>_cards"), *FEW])
    assert [heading.text for heading in page.select("h2")] == ["Contents", "Concepts", "Distillation", "my <own> cards"]


def test_texts_are_escaped_and_nothing_is_fetched(tmp_path):
    hostile = Text("`a < b` <img src=x onerror=alert(1)> </style> & 'it'", "甲 <b>")
    page = page_of(tmp_path, [replace(FEW[0], question=hostile, answer=hostile, topic="</style><b>")])
    written = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.select_one("article h4 code").text == "a < b"
    assert "<img src=x onerror=alert(1)> </style> & 'it'" in page.select_one("article h4").text
    assert not page.select("img, script, link, b > b")
    assert written.count("</style>") == 1
    assert not re.search(r"https?:|url\(|@import|\bsrc=\"", written)
    assert "default-src 'none'" in page.select_one("meta[http-equiv=Content-Security-Policy]")["content"]


def luminance(colour):
    """WCAG 2, of #rrggbb or #rgb."""
    digits = colour.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_contrast_is_that_of_good_print(tmp_path):
    palettes = re.findall(r"--ink: [^}]+", page_of(tmp_path).style.text)
    assert len(palettes) == 2
    for palette in palettes:
        colours = dict(re.findall(r"--(\w+): (#\w+)", palette))
        for text in ("ink", "soft", "mark"):
            for behind in ("page", "field"):
                dark, light = sorted(luminance(colours[name]) for name in (text, behind))
                assert (light + 0.05) / (dark + 0.05) >= 4.5, (text, behind)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("sheet.docx", {}, "a file name in .html or .pdf"),
        ("nowhere/sheet.html", {}, "a place that can be written to"),
        ("sheet.html", {"languages": ("de",)}, "languages out of en, zh"),
        ("sheet.html", {"cards": []}, "at least one card"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(tmp_path, name, options, message):
    with pytest.raises(BadInput, match=message):
        sheet.export(**{"cards": FEW, "path": tmp_path / name, **options})
    assert list(tmp_path.iterdir()) == []


def test_without_a_browser_a_pdf_is_refused_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadInput, match=r"write a file in \.html and print it from your browser"):
        sheet.export(FEW, tmp_path / "sheet.pdf")
    assert list(tmp_path.iterdir()) == []


def test_a_browser_that_fails_is_reported_in_its_words(tmp_path, monkeypatch):
    programs, target = tmp_path / "programs", tmp_path / "out"
    programs.mkdir()
    target.mkdir()
    (programs / "chromium").write_text("#!/bin/sh\necho no display >&2\nexit 1\n")
    (programs / "chromium").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(CourseError, match=r"made no PDF: no display; write a file in \.html"):
        sheet.export(FEW, target / "sheet.pdf")
    assert list(target.iterdir()) == []


class TestPdf:
    pytestmark = NEEDS_CHROMIUM

    @pytest.mark.parametrize("languages", CHOICES, ids="+".join)
    def test_pages_are_a4_and_each_part_starts_on_a_new_one(self, tmp_path: Path, languages):
        path = tmp_path / "sheet.pdf"
        sheet.export(FEW, path, languages)
        written = path.read_bytes()
        sizes = {tuple(map(float, box)) for box in re.findall(rb"/MediaBox \[0 0 ([\d.]+) ([\d.]+)\]", written)}
        ((width, height),) = sizes
        assert (width, height) == pytest.approx((595.28, 841.89), abs=1)
        pages = len(re.findall(rb"/Type /Page\b(?!s)", written))
        # contents; for each of two topics its questions, then two or three answers, of which two fit on a page
        assert 5 <= pages <= 1 + 2 + len(FEW)
        assert b"/Outlines" in written, "bookmarks"
        assert [each.name for each in tmp_path.iterdir()] == ["sheet.pdf"]
