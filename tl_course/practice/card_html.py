"""What the exports of the question cards share: their words in both languages, and a card's texts as HTML."""

import html
import re
from collections.abc import Sequence
from typing import cast, get_args

from tl_course.errors import BadInput
from tl_course.i18n import Language, _
from tl_course.practice.cards import Card
from tl_course.practice.schema import Text

HTML_LANGUAGE: dict[Language, str] = {"en": "en", "zh": "zh-Hans"}
"""Values of HTML's lang attribute."""

FONTS = (
    '"Segoe UI", "Helvetica Neue", Arial, "Liberation Sans", Roboto, "Noto Sans", "PingFang SC", "Hiragino Sans GB", '
    '"Microsoft YaHei", "Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Micro Hei", sans-serif'
)
"""Installed fonts, for CSS: nothing is fetched."""

TOPICS = {
    "concepts": Text("Concepts", "基本概念"),
    "pretraining": Text("Pretraining", "预训练"),
    "feature_extraction": Text("Feature extraction", "特征提取"),
    "fine_tuning": Text("Fine-tuning", "微调"),
    "fine_tuning_text": Text("Fine-tuning text", "文本微调"),
    "distillation": Text("Distillation", "知识蒸馏"),
    "attention": Text("Attention", "注意力"),
    "when_transfer_fails": Text("When transfer fails", "迁移失效"),
    "choosing_a_model": Text("Choosing a model", "模型选择"),
    "making_it_small": Text("Making it small", "模型压缩"),
    "applications": Text("Applications", "应用与案例"),
}
"""Topics in the order of the course."""

WORDS = {
    "title": Text("Transfer learning", "迁移学习"),
    "language": Text("English", "中文"),
    "answer": Text("Answer", "答案"),
    "key_points": Text("Key points", "要点"),
    "wrong": Text("Common wrong answers", "常见错误回答"),
    "follow_up": Text("Follow-up", "追问"),
    "lesson": Text("Taught in", "对应课程"),
    "measured": Text("Measured in", "实测见"),
    "sources": Text("Sources", "参考文献"),
    "concept": Text("concept", "概念"),
    "debugging": Text("debugging", "排错"),
    "design": Text("design", "设计"),
    "junior": Text("junior", "初级"),
    "mid": Text("mid-level", "中级"),
    "senior": Text("senior", "高级"),
}

_CODE = re.compile(r"`([^`]+)`")
_FORMULA = re.compile(r"\$([^$]+)\$")
_POWER = re.compile(r"\^(\w)")


def pick(text: Text, language: Language) -> str:
    """The text in one of its languages."""
    return text.zh if language == "zh" else text.en


def word(name: str, language: Language) -> str:
    """One of `WORDS` in this language."""
    return pick(WORDS[name], language)


def topic_name(topic: str, language: Language) -> str:
    """A topic in words; one that is not among `TOPICS` keeps its file's name."""
    return pick(TOPICS[topic], language) if topic in TOPICS else topic.replace("_", " ")


def check_choice(cards: Sequence[Card], languages: Sequence[str]) -> tuple[Language, ...]:
    """The languages of an export, the first one leading.

    Raises:
        BadInput: no card at all, or something other than "en", "zh" or both.
    """
    known = get_args(Language)
    if not languages or len(set(languages)) < len(languages) or not set(languages) <= set(known):
        raise BadInput(_("languages out of en, zh, each once"), repr(languages), _('give ("en",), ("zh",) or both'))
    if not cards:
        raise BadInput(_("at least one card"), _("none"), _("choose a topic, level or lesson that has cards"))
    return tuple(cast(Language, language) for language in languages)


def markup(text: str) -> str:
    """Plain text with `code` as HTML; quotation marks stay, so that they can be searched for."""
    return _CODE.sub(r"<code>\1</code>", html.escape(text, quote=False))


def about(card: Card, language: Language) -> str:
    """Level and kind: "senior · design"."""
    return f"{word(card.level, language)} · {word(card.kind, language)}"


def key_points(card: Card, language: Language) -> str:
    """A list."""
    items = "".join(f"<li>{markup(pick(point, language))}</li>" for point in card.key_points)
    return f'<ul class="points">{items}</ul>'


def wrong_answers(card: Card, language: Language) -> str:
    """A description list: the claim, then why it is wrong."""
    items = "".join(
        f"<dt>{markup(pick(answer.claim, language))}</dt><dd>{markup(pick(answer.why, language))}</dd>"
        for answer in card.wrong
    )
    return f"<dl>{items}</dl>"


def section(link: str) -> str:
    """A section of a lesson: "06_distillation › 3. Why T²". Lessons' headings are English."""
    lesson, _mark, heading = link.partition("#")
    shown = _FORMULA.sub(lambda found: "<i>" + _POWER.sub(r"<sup>\1</sup>", found[1]) + "</i>", markup(heading))
    return f'<span lang="en">{html.escape(lesson)} › {shown}</span>'


def origins(card: Card, language: Language) -> str:
    """Where it is taught, where its numbers are measured, and the sources, each with its word in front."""
    rows = [("lesson", section(card.lesson))]
    if card.measured:
        rows.append(("measured", "<br>".join(map(section, card.measured))))
    sources = "".join(f"<li>{markup(source)}</li>" for source in card.sources)
    rows.append(("sources", f'<ul lang="en">{sources}</ul>'))
    return "".join(f"<div><b>{word(name, language)}</b> {content}</div>" for name, content in rows)
