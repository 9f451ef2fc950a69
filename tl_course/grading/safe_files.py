"""Reading what somebody else put into a folder: no link is followed, nothing blocks, everything has a limit."""

import errno
import heapq
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tl_course.i18n import _

MAX_ENTRIES = 10_000  # names looked at in a submission
MAX_LISTED = 1_000_000  # names of one folder out of which the first are taken
MAX_DEPTH = 16  # folders below each other
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KINDS = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFLNK: "link"}


class Unusable(Exception):
    """A file that cannot be read; the message says why in plain words."""


@dataclass(frozen=True)
class Entry:
    """A name in a folder that is open as ``parent``. ``kind`` is "file", "folder", "link" or "other"."""

    parts: tuple[str, ...]
    kind: str
    parent: int

    @property
    def name(self) -> str:
        """The last part."""
        return self.parts[len(self.parts) - 1]

    @property
    def path(self) -> str:
        """Relative path; bytes that are no UTF-8 are escaped with backslashes."""
        return readable("/".join(self.parts))


def readable(name: str) -> str:
    """A file's name as text that can be printed and stored."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def is_text(name: str) -> bool:
    """Whether a file's name is UTF-8."""
    return readable(name) == name


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """The descriptor of a folder that is no link.

    Raises:
        Unusable: it is a link, no folder, or cannot be opened.
    """
    try:
        descriptor = os.open(folder, _FOLDER)
    except (OSError, ValueError) as error:
        raise Unusable(_reason(error)) from None
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def is_there(parent: int, name: str) -> bool:
    """Whether an open folder has something of this name, be it a link that leads nowhere."""
    try:
        os.stat(name, dir_fd=parent, follow_symlinks=False)
    except (OSError, ValueError):
        return False
    return True


def read(parent: int, name: str, limit: int) -> bytes:
    """Bytes of a regular file in an open folder.

    Raises:
        Unusable: there is none, it is a link or another kind of thing, it is larger than ``limit`` bytes or unreadable.
    """
    with _descriptor(parent, name) as descriptor:
        if os.fstat(descriptor).st_size > limit:
            raise Unusable(_("is larger than {size:.0f} MB").format(size=limit / 1e6))
        content = _take(descriptor, limit + 1)
    if len(content) > limit:
        raise Unusable(_("is larger than {size:.0f} MB").format(size=limit / 1e6))
    return content


def head(parent: int, name: str, limit: int) -> tuple[bytes, tuple[int, ...]]:
    """At most ``limit`` bytes of a file, and what tells a longer one from another: size and time of change.

    Raises:
        Unusable: it is no regular file or unreadable.
    """
    with _descriptor(parent, name) as descriptor:
        known = os.fstat(descriptor)
        content = _take(descriptor, min(limit, known.st_size))
        return content, (known.st_size,) if known.st_size <= limit else (known.st_size, known.st_mtime_ns)


def entries(folder: int) -> Iterator[Entry]:
    """Everything below an open folder, folders before what they hold. Use an entry before taking the next.

    In each folder notebooks come first, then other files, then folders, each by name: the walk stops after
    `MAX_ENTRIES` names and `MAX_DEPTH` folders deep, and a data set must not hide the notebook beside it.
    """
    yield from islice(_below(folder, ()), MAX_ENTRIES)


def _below(folder: int, above: tuple[str, ...]) -> Iterator[Entry]:
    for name in _names(folder):
        entry = Entry((*above, name), _kind(folder, name), folder)
        yield entry
        if entry.kind == "folder" and len(entry.parts) < MAX_DEPTH:
            try:
                inner = os.open(name, _FOLDER, dir_fd=folder)
            except OSError:
                continue
            try:
                yield from _below(inner, entry.parts)
            finally:
                os.close(inner)


def _names(folder: int) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return [name for *_order, name in heapq.nsmallest(MAX_ENTRIES, map(_ordered, islice(found, MAX_LISTED)))]
    except OSError:
        return []


def _ordered(entry: os.DirEntry[str]) -> tuple[bool, bool, str]:
    return entry.is_dir(follow_symlinks=False), not entry.name.lower().endswith(".ipynb"), entry.name


def _kind(folder: int, name: str) -> str:
    try:
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
    except OSError:
        return "other"
    return _KINDS.get(stat.S_IFMT(mode), "other")


@contextmanager
def _descriptor(parent: int, name: str) -> Iterator[int]:
    try:
        descriptor = os.open(name, _FILE, dir_fd=parent)
    except (OSError, ValueError) as error:
        raise Unusable(_reason(error)) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Unusable(_("is not a regular file"))
        yield descriptor
    except OSError as error:
        raise Unusable(_reason(error)) from None
    finally:
        os.close(descriptor)


def _take(descriptor: int, count: int) -> bytes:
    parts = []
    while count > 0 and (part := os.read(descriptor, min(count, 1 << 20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _reason(error: Exception) -> str:
    code = getattr(error, "errno", None)
    if code == errno.ENOENT:
        return _("is missing")
    if code == errno.ELOOP:
        return _("is a link; links are not followed")
    if code in (errno.ENXIO, errno.ENODEV):
        return _("is not a regular file")
    if code == errno.ENOTDIR:
        return _("is not a folder, or is a link")
    return _("cannot be read ({reason})").format(reason=getattr(error, "strerror", None) or error)
