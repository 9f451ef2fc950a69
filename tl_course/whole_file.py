"""A file that is written whole or not at all."""

import os
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from tl_course.errors import BadInput
from tl_course.i18n import _


@contextmanager
def draft(path: Path, endings: Collection[str]) -> Iterator[Path]:
    """A file to write, in a new folder beside ``path``; it takes the place of ``path`` when the block ends well.

    Raises:
        BadInput: another ending than these, or a path that cannot be written; what was there stays.
    """
    if path.suffix.lower() not in endings:
        names = _(" or ").join(sorted(endings))
        raise BadInput(_("a file name in {names}").format(names=names), str(path), _("give it that ending"))
    try:
        with tempfile.TemporaryDirectory(prefix="tl_course_", dir=path.parent) as folder:
            file = Path(folder) / path.name
            yield file
            os.replace(file, path)
    except OSError as error:
        reason = f"{path}: {error.strerror or error}"
        raise BadInput(_("a place that can be written to"), reason, _("name a file in a folder of yours")) from error
