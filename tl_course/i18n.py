"""Translation of what learners read. Catalogues live in tl_course/locale; without one, English is shown."""

import gettext
from pathlib import Path

_translations = gettext.translation("tl_course", localedir=Path(__file__).parent / "locale", fallback=True)


def _(message: str) -> str:
    """The message in the learner's language (chosen by LANGUAGE, LC_ALL, LC_MESSAGES or LANG)."""
    return _translations.gettext(message)
