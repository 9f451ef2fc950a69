"""Translation of what learners read. Catalogues live in tl_course/locale; without one, English is shown."""

import gettext
from pathlib import Path
from typing import Literal, get_args

from tl_course.errors import BadInput

Language = Literal["en", "zh"]

_FOLDER = Path(__file__).parent / "locale"
_translations = gettext.translation("tl_course", localedir=_FOLDER, fallback=True)


def _(message: str) -> str:
    """The message in the learner's language: the one of `use_language`, or of LANGUAGE, LC_ALL, LC_MESSAGES or LANG."""
    return _translations.gettext(message)


def language() -> Language:
    """The language in which learners are spoken to."""
    return "zh" if _translations.info().get("language", "").startswith("zh") else "en"


def use_language(name: str) -> None:
    """Speak another language from now on, in this process.

    Raises:
        BadInput: neither "en" nor "zh".
    """
    global _translations
    if name not in get_args(Language):
        raise BadInput(_("a language out of en, zh"), repr(name), _("name one of them"))
    _translations = gettext.translation("tl_course", localedir=_FOLDER, languages=[name], fallback=name == "en")
