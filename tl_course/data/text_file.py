"""The text of a file in whatever encoding it was saved: what it says of itself, UTF-8, or the likeliest guess."""

import codecs
from dataclasses import dataclass
from pathlib import Path

from tl_course.errors import BadInput
from tl_course.i18n import _

MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks; that of UTF-32 begins with that of UTF-16, so it comes first."""

LIKELY = ("gb18030", "big5", "cp932", "cp949", "cp1252", "cp1251", "cp1250")
"""Encodings that tables still come in when they are not Unicode: Chinese, Japanese, Korean, Western, Cyrillic, Central
European. Of two that are as plausible the first is taken."""

SAMPLE = 2**16
"""Bytes that the guess looks at, all from lines that are not plain ASCII."""

BINARY_SHARE = 0.01
"""Share of control bytes from which a file is no text."""

BINARY = bytes(sorted({*range(32), 127} - set(b"\t\n\v\f\r\x1b\x1a\0")))
"""Control bytes that texts do not hold."""

DAMAGE = 0.1
"""Of what is not ASCII, the share that may be broken in a file that is UTF-8 all the same."""


@dataclass(frozen=True)
class TextFile:
    """A file's text.

    Attributes:
        text: without a byte order mark and without NUL characters, line ends as they are.
        encoding: Python's name of it.
        notes: what the reader should know: that the encoding is a guess, what was left out.
    """

    text: str
    encoding: str
    notes: tuple[str, ...] = ()


def read_text(path: Path, encoding: str | None = None) -> TextFile:
    """Read a text file.

    Args:
        path: of the file.
        encoding: as Python names it; None finds out.

    Raises:
        BadInput: no such file, it cannot be read, is empty, is no text, or is not in the encoding given.
    """
    raw = _read(path)
    if encoding is not None:
        return _without_nul(_decode(raw, _known(encoding), path), encoding, ())
    for mark, name in MARKS:
        if raw.startswith(mark):
            return _without_nul(_decode(raw, name, path), name, ())
    if name := _utf16_without_mark(raw):
        return _without_nul(_decode(raw, name, path), name, ())
    _refuse_binary(raw, path)
    text, name, notes = _guessed(raw)
    return _without_nul(text, name, notes)


def _read(path: Path) -> bytes:
    expected = _("a text file")
    try:
        raw = path.read_bytes()
    except FileNotFoundError as error:
        raise BadInput(expected, _("no such file: {path}").format(path=path), _("check the path you pass")) from error
    except OSError as error:
        got = f"{path} ({error.strerror})"
        raise BadInput(expected, got, _("pass the path of a file that you may read")) from error
    if not raw.strip(b"\0 \t\r\n"):
        raise BadInput(expected, _("an empty file: {path}").format(path=path), _("check the path you pass"))
    return raw


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError as error:
        names = "utf-8, utf-16, gb18030, big5, cp1252, latin-1"
        raise BadInput(
            _("an encoding such as {names}").format(names=names), repr(encoding), _("leave it away to find out")
        ) from error


def _decode(raw: bytes, encoding: str, path: Path) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeError as error:
        line = raw.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise BadInput(
            _("text in {encoding}").format(encoding=encoding),
            _("{file}, which is something else in line {line}").format(file=path.name, line=line),
            _("save it as UTF-8, or name its encoding, or leave that away to find out"),
        ) from error


def _utf16_without_mark(raw: bytes) -> str | None:
    """UTF-16 of mostly Western text: every other byte is NUL."""
    even, odd = raw[0:SAMPLE:2], raw[1:SAMPLE:2]
    if min(len(even), len(odd)) < 2:
        return None
    high, low = odd.count(0) / len(odd), even.count(0) / len(even)
    if max(high, low) < 0.4 or min(high, low) > 0.01:
        return None
    return "utf-16-le" if high > low else "utf-16-be"


def _refuse_binary(raw: bytes, path: Path) -> None:
    strange = len(raw) - len(raw.translate(None, BINARY))
    if strange > BINARY_SHARE * len(raw) or raw.count(0) > BINARY_SHARE * len(raw):
        raise BadInput(
            _("a text file"),
            _("{file}, which is binary (it begins with {start!r})").format(file=path.name, start=raw[:12]),
            _("export the table as CSV in UTF-8 and pass that"),
        )


def _guessed(raw: bytes) -> tuple[str, str, tuple[str, ...]]:
    """Text, encoding and notes of bytes that do not say what they are."""
    try:
        return raw.decode("utf-8"), "utf-8", ()
    except UnicodeDecodeError:
        text, encoding = raw.decode("utf-8", errors="replace"), "utf-8"
    broken = text.count("\ufffd")
    notes: tuple[str, ...] = ()
    if broken >= DAMAGE * (len(text) - len(text.encode("ascii", errors="ignore"))):
        encoding = _likeliest(raw)
        text = raw.decode(encoding, errors="replace")
        broken = text.count("\ufffd")
        note = _("the file is not in UTF-8 but probably in {encoding}: if letters look wrong, name its encoding")
        notes = (note.format(encoding=encoding),)
    if broken:
        notes = (
            *notes,
            _("{count} bytes that are no {encoding} were replaced").format(count=broken, encoding=encoding),
        )
    return text, encoding, notes


def _likeliest(raw: bytes) -> str:
    """The encoding that gives the most plausible text, by charset_normalizer."""
    from charset_normalizer import from_bytes

    lines: list[bytes] = []
    size = 0
    for line in raw.splitlines():
        if not line.isascii() and size < SAMPLE:
            lines.append(line)
            size += len(line)
    found = from_bytes(b"\n".join(lines), cp_isolation=list(LIKELY), preemptive_behaviour=False)
    if (best := found.best()) is None:
        return "cp1252"
    equal = [match for match in found if (match.chaos, match.coherence) == (best.chaos, best.coherence)]
    return min((name for match in equal for name in match.could_be_from_charset), key=LIKELY.index)


def _without_nul(text: str, encoding: str, notes: tuple[str, ...]) -> TextFile:
    text = text.removeprefix("\ufeff")
    if count := text.count("\0"):
        text = text.replace("\0", "")
        notes = (*notes, _("{count} NUL characters were left out").format(count=count))
    return TextFile(text, encoding, notes)
