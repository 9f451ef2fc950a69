"""Question cards as one printable file: a page of HTML that needs nothing else, or a PDF made from it.

Topic by topic, the questions come first and their answers start on a new page: who practises with paper has to recall
the answer before it comes into sight, and still finds it a few pages on, under the same number.
"""

import html
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from tl_course.errors import BadInput, CourseError
from tl_course.i18n import Language, _
from tl_course.practice.card_html import (
    HTML_LANGUAGE,
    TOPICS,
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
from tl_course.practice.schema import Text
from tl_course.practice.sheet_style import STYLE, running_head
from tl_course.whole_file import draft

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
PRINT_LIMIT = 240  # seconds for the browser to make the PDF; on an idle machine it takes ten

HEADINGS = {
    "title": Text("Transfer learning: interview questions", "迁移学习：面试题"),
    "contents": Text("Contents", "目录"),
    "questions": Text("Questions", "问题"),
    "answers": Text("Answers", "答案"),
}
HOW_TO = Text(
    "Say or write your answer before you turn to it. Then tick the key points you named: the empty boxes are what to "
    "study next.",
    "先说出或写下自己的回答，再翻到答案。然后勾出你答到的要点：没有勾的方框就是接下来要学的内容。",
)

Numbered = tuple[int, Card]


def export(cards: Sequence[Card], path: Path | str, languages: Sequence[str] = ("en",), answers: bool = True) -> None:
    """Write cards as a sheet to print, topics in the order of the course.

    Args:
        cards: at least one, such as `all_cards()`.
        path: a file name in .html, or in .pdf where a Chromium is installed; replaced when it exists.
        languages: "en", "zh" or both; both stand side by side.
        answers: False leaves only the questions.

    Raises:
        BadInput: no card, unknown languages, another ending, a path that cannot be written, or no browser for a PDF.
        CourseError: the browser made no PDF.
    """
    chosen, path = check_choice(cards, languages), Path(path)
    browser = _browser(path) if path.suffix.lower() == ".pdf" else None
    with draft(path, {".html", ".pdf"}) as file:
        page = file.with_suffix(".html")
        page.write_text(render(cards, chosen, answers), encoding="utf-8")
        if browser:
            _print(browser, page, file)


def render(cards: Sequence[Card], languages: tuple[Language, ...], answers: bool = True) -> str:
    """The sheet as HTML. Arguments as in `export`."""
    order = list(TOPICS)
    ordered = sorted(cards, key=lambda card: order.index(card.topic) if card.topic in order else len(order))
    topics = [(topic, list(group)) for topic, group in groupby(enumerate(ordered, 1), key=lambda row: row[1].topic)]
    heads = "".join(
        running_head(f"topic{place}", topic_name(topic, languages[0])) for place, (topic, _rows) in enumerate(topics)
    )
    body = [_introduction(len(ordered), languages, answers), _contents(topics, languages, answers), "<main>"]
    body += [_topic(place, topic, rows, languages, answers) for place, (topic, rows) in enumerate(topics)]
    first, width = languages[0], "two" if len(languages) == 2 else "one"
    return f"""<!DOCTYPE html>
<html lang="{HTML_LANGUAGE[first]}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{pick(HEADINGS["title"], first)}</title>
<style>{STYLE}{heads}</style>
</head>
<body class="{width}">
{chr(10).join(body)}
</main>
</body>
</html>
"""


def _tagged(text: str, language: Language, tag: str = "span") -> str:
    return f'<{tag} lang="{HTML_LANGUAGE[language]}">{text}</{tag}>'


def _joined(texts: Sequence[str], languages: Sequence[Language]) -> str:
    """The same text in each language, in one line."""
    return " ".join(_tagged(text, language) for text, language in zip(texts, languages, strict=True))


def _heading(name: str, languages: Sequence[Language]) -> str:
    return _joined([pick(HEADINGS[name], each) for each in languages], languages)


def _topic_heading(topic: str, languages: Sequence[Language]) -> str:
    return _joined([html.escape(topic_name(topic, each)) for each in languages], languages)


def _introduction(number: int, languages: Sequence[Language], answers: bool) -> str:
    lines = [f"<h1>{_heading('title', languages)}</h1>"]
    for language in languages:
        total = pick(Text(f"{number} questions.", f"共 {number} 题。"), language)
        lines.append(_tagged(f"{total} {pick(HOW_TO, language)}" if answers else total, language, "p"))
    return "<header>\n" + "\n".join(lines) + "\n</header>"


def _contents(topics: list[tuple[str, list[Numbered]]], languages: Sequence[Language], answers: bool) -> str:
    """Topics with the numbers of their questions; on paper, numbers find the page."""
    items = []
    for place, (topic, rows) in enumerate(topics):
        link = f'<a href="#topic{place}">{_topic_heading(topic, languages)}</a>, {rows[0][0]}–{rows[-1][0]}'
        link += f' · <a href="#answers{place}">{_heading("answers", languages)}</a>' if answers else ""
        items.append(f"<li>{link}</li>")
    label = pick(HEADINGS["contents"], languages[0])
    heading = f"<h2>{_heading('contents', languages)}</h2>"
    return f'<nav aria-label="{label}">\n{heading}\n<ol>\n{"".join(items)}\n</ol>\n</nav>'


def _topic(place: int, topic: str, rows: list[Numbered], languages: Sequence[Language], answers: bool) -> str:
    questions = "\n".join(_question(number, card, languages, answers) for number, card in rows)
    parts = [
        f'<section class="topic topic{place}" id="topic{place}">',
        f"<h2>{_topic_heading(topic, languages)}</h2>",
        f"<h3>{_heading('questions', languages)}</h3>",
        f'<ol class="questions" start="{rows[0][0]}">\n{questions}\n</ol>',
    ]
    if answers:
        parts += [f'<section class="answers" id="answers{place}">', f"<h3>{_heading('answers', languages)}</h3>"]
        parts += [_answer(number, card, languages) for number, card in rows]
        parts.append("</section>")
    return "\n".join([*parts, "</section>"])


def _question(number: int, card: Card, languages: Sequence[Language], answers: bool) -> str:
    lines = "".join(
        _tagged(f'<p>{markup(pick(card.question, each))}</p><p class="about">{about(card, each)}</p>', each, "div")
        for each in languages
    )
    jump = f' <a class="jump" href="#a{number}">{_heading("answers", languages[:1])}</a>' if answers else ""
    return f'<li id="q{number}"><div class="pair">{lines}</div>{jump}</li>'


def _answer(number: int, card: Card, languages: Sequence[Language]) -> str:
    back = f'<a href="#q{number}">{number}.</a>'
    heading = "<br>".join(_tagged(markup(pick(card.question, each)), each) for each in languages)
    columns = "\n".join(_column(card, each) for each in languages)
    return f"""<article id="a{number}">
<h4>{back} {heading}</h4>
<div class="pair">
{columns}
</div>
<footer class="origins" lang="{HTML_LANGUAGE[languages[0]]}">{origins(card, languages[0])}</footer>
</article>"""


def _column(card: Card, language: Language) -> str:
    """An answer with all that belongs to it, in one language."""
    follow_up = f"<p>{markup(pick(card.follow_up.question, language))}</p>"
    follow_up += f"<p>{markup(pick(card.follow_up.answer, language))}</p>"
    parts = {"key_points": key_points(card, language), "wrong": wrong_answers(card, language), "follow_up": follow_up}
    sections = "\n".join(f"<div><h5>{word(name, language)}</h5>{content}</div>" for name, content in parts.items())
    answer = f'<p class="about">{about(card, language)}</p><p>{markup(pick(card.answer, language))}</p>'
    return _tagged(f'{answer}\n<div class="parts">\n{sections}\n</div>', language, "div")


def _browser(path: Path) -> str:
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        raise BadInput(
            _("Chromium or Chrome to make a PDF"),
            _("neither on PATH, for {path}").format(path=path),
            _("write a file in .html and print it from your browser"),
        )
    return found


def _print(browser: str, page: Path, target: Path) -> None:
    """Have the browser print a page, without its own header and footer: page numbers are in the style."""
    with tempfile.TemporaryDirectory(prefix="tl_course_", ignore_cleanup_errors=True) as profile:
        command = [browser, "--headless", "--disable-gpu", f"--user-data-dir={profile}", "--no-pdf-header-footer"]
        command += ["--generate-pdf-document-outline", f"--print-to-pdf={target.resolve()}", page.resolve().as_uri()]
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")  # Chromium's sandbox refuses to run as root
        try:
            done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PRINT_LIMIT)
            words = done.stderr.strip()[-500:]
        except subprocess.TimeoutExpired:
            words = _("no answer within {seconds} s").format(seconds=PRINT_LIMIT)
    if not target.exists():
        remedy = _("write a file in .html and print it from your browser")
        raise CourseError(
            _("{browser} made no PDF: {words}; {remedy}").format(browser=browser, words=words, remedy=remedy)
        )
