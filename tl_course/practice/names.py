"""The names that data files use for topics, levels and kinds, as readers see them."""

from tl_course.i18n import _
from tl_course.practice.cards import Card


def title(name: str) -> str:
    """A topic, level or kind in the language of the interface."""
    return {
        "applications": _("applications"),
        "attention": _("attention"),
        "choosing_a_model": _("choosing a model"),
        "concepts": _("concepts"),
        "distillation": _("distillation"),
        "feature_extraction": _("feature extraction"),
        "fine_tuning": _("fine-tuning"),
        "fine_tuning_text": _("fine-tuning text"),
        "making_it_small": _("making it small"),
        "pretraining": _("pretraining"),
        "when_transfer_fails": _("when transfer fails"),
        "junior": _("junior"),
        "mid": _("mid"),
        "senior": _("senior"),
        "concept": _("concept"),
        "debugging": _("debugging"),
        "coding": _("coding"),
        "design": _("design"),
    }[name]


def headline(card: Card) -> str:
    """A card's topic, level and kind."""
    return " \N{MIDDLE DOT} ".join((title(card.topic), title(card.level), title(card.kind)))
