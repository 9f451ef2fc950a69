"""The gradebook's database, whichever it is, and what it says when something is wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

from nbgrader import api
from nbgrader.coursedir import CourseDirectory
from sqlalchemy import MetaData, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from tl_course.errors import BadInput
from tl_course.i18n import _

SHOWN = 300  # characters of a database's message


def open_gradebook(coursedir: CourseDirectory, tables: MetaData) -> api.Gradebook:
    """The course's gradebook, with these tables beside nbgrader's own.

    Raises:
        BadInput: its database cannot be reached, or what talks to it is not installed.
    """
    try:
        gradebook = api.Gradebook(coursedir.db_url, coursedir.course_id or "default_course")
        tables.create_all(gradebook.engine)
    except (SQLAlchemyError, ImportError) as error:
        raise _unreachable(coursedir, error) from error
    return gradebook


@contextmanager
def reached(coursedir: CourseDirectory) -> Iterator[None]:
    """Say in one line what a database does not do, also after it was opened.

    Raises:
        BadInput: it is gone, locked by another program, or its tables are of another version.
    """
    try:
        yield
    except SQLAlchemyError as error:
        raise _unreachable(coursedir, error) from error


def why(error: BaseException) -> str:
    """What a database said, on one line, without the statement that it was told."""
    return " ".join(str(getattr(error, "orig", None) or error).split())[:SHOWN]


def _unreachable(coursedir: CourseDirectory, error: BaseException) -> BadInput:
    got = f"{_address(coursedir.db_url)}: {why(error)}"
    remedy = _("start its database, or mend CourseDirectory.db_url in nbgrader_config.py")
    return BadInput(_("a gradebook that can be reached"), got, remedy)


def _address(url: str) -> str:
    """A database's address without its password."""
    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "CourseDirectory.db_url"
