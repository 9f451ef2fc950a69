"""An answer that is being written: kept in a file at every change, so that no restart loses it or its time."""

import json
from dataclasses import dataclass
from pathlib import Path

from tl_course.i18n import _
from tl_course.practice.mock import Mock
from tl_course.progress_file import ProgressError, home


@dataclass(frozen=True)
class Draft:
    """What has been written so far.

    Attributes:
        text: the answer.
        seconds: how long its question was open.
    """

    text: str = ""
    seconds: float = 0.0


def read(mock: Mock, place: int) -> Draft:
    """The draft of an interview's answer; an empty one where there is none."""
    try:
        return Draft(**json.loads(_path(mock, place).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Draft()


def write(mock: Mock, place: int, draft: Draft) -> None:
    """Keep a draft.

    Raises:
        ProgressError: it cannot be written.
    """
    path = _path(mock, place)
    unfinished = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_text(json.dumps({"text": draft.text, "seconds": draft.seconds}), encoding="utf-8")
        unfinished.replace(path)
    except OSError as error:
        text = _("the draft is not kept: {path}: {reason}; make the folder writable, or set TL_COURSE_HOME to another")
        raise ProgressError(text.format(path=path, reason=error)) from error


def remove(mock: Mock, place: int) -> None:
    """Forget a draft, once its answer was written down."""
    _path(mock, place).unlink(missing_ok=True)


def _path(mock: Mock, place: int) -> Path:
    return home() / "drafts" / f"{mock.id}_{place}.json"
