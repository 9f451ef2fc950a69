"""From the bytes of a notebook's file to its JSON, with a plain word on what had to be mended."""

import codecs
import json
import re
import warnings
from typing import Any

import nbformat

from tl_course.i18n import _

_LONGEST_NUMBER = 1000  # digits; Python itself refuses to read integers of more than 4300
_CONFLICT_START = re.compile(r"^<{7}", re.MULTILINE)


class NotANotebook(Exception):
    """The bytes are no notebook; the message says why."""


def parse(content: bytes) -> tuple[dict[str, Any], list[str]]:
    """The notebook as a dictionary of nbformat 4, unchecked beyond that, and what was mended.

    Raises:
        NotANotebook: nothing that could be a notebook.
    """
    notes: list[str] = []
    text = _text(content, notes)
    if not text.strip():
        raise NotANotebook(_("is empty"))
    found = _json(text, notes)
    if not isinstance(found, dict) or not {"cells", "worksheets", "nbformat"} & found.keys():
        raise NotANotebook(_("is not a notebook, although it is JSON"))
    return _current(found, notes), notes


def _text(content: bytes, notes: list[str]) -> str:
    if content.startswith(codecs.BOM_UTF8):
        notes.append(_("a byte order mark was removed"))
        content = content[len(codecs.BOM_UTF8) :]
    encoding = _utf16(content)
    try:
        text = content.decode(encoding or "utf-8")
    except UnicodeDecodeError:
        return _nearly_utf8(content, notes) or _latin1(content, notes)
    if encoding:
        notes.append(_("it was UTF-16"))
    return text.removeprefix("\ufeff")


def _nearly_utf8(content: bytes, notes: list[str]) -> str | None:
    """UTF-8 with stray bytes: most of what is not ASCII is well formed, which text in other encodings is not."""
    text = content.decode("utf-8", "replace")
    bad = text.count("\ufffd") - content.count("\ufffd".encode())
    if 2 * bad > sum(character > "\x7f" for character in text):
        return None
    notes.append(_("bytes that are not UTF-8 were replaced ({count})").format(count=bad))
    return text


def _latin1(content: bytes, notes: list[str]) -> str:
    notes.append(_("it was not UTF-8 and was read as Latin-1"))
    return content.decode("latin-1")


def _utf16(content: bytes) -> str | None:
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    start = content.lstrip(b" \r\n\t\0")[:1] == b"{"
    if start and content[:64].count(0) >= len(content[:64]) // 3 > 0:
        return "utf-16-be" if content[0] == 0 else "utf-16-le"
    return None


def _json(text: str, notes: list[str]) -> Any:
    """The first JSON value of a text; of a merge conflict, the first side that can be read."""
    if _CONFLICT_START.search(text):
        for side in ("first", "second"):
            try:
                found = _decode(_one_side(text, side), [])
            except NotANotebook:
                continue
            version = _("first") if side == "first" else _("second")
            notes.append(_("it held a merge conflict; the {version} version was taken").format(version=version))
            return found
        raise NotANotebook(_("holds the marks of a merge conflict and cannot be read"))
    return _decode(text, notes)


def _one_side(text: str, side: str) -> str:
    """A text with one version of what a merge left open; the common ancestor goes as well."""
    kept, now = [], ""
    for line in text.splitlines(keepends=True):
        if line.startswith("<<<<<<<"):
            now = "first"
        elif now and line.startswith(("|||||||", "=======")):
            now = "second" if line[0] == "=" else "ancestor"
        elif now and line.startswith(">>>>>>>"):
            now = ""
        elif now in ("", side):
            kept.append(line)
    return "".join(kept)


def _decode(text: str, notes: list[str]) -> Any:
    odd: set[str] = set()

    def constant(name: str) -> None:
        odd.add(name)

    def integer(digits: str) -> int | None:
        if len(digits) <= _LONGEST_NUMBER:
            return int(digits)
        odd.add(_("a number of {count} digits").format(count=len(digits)))
        return None

    decoder = json.JSONDecoder(parse_constant=constant, parse_int=integer, strict=False)
    start = len(text) - len(text.lstrip())
    try:
        found, end = decoder.raw_decode(text, start)
    except RecursionError:
        raise NotANotebook(_("is nested too deeply to be read")) from None
    except json.JSONDecodeError as error:
        where = _("is not JSON: {problem} in line {line}").format(problem=error.msg, line=error.lineno)
        raise NotANotebook(where) from None
    if text[end:].strip("\0 \r\n\t"):
        notes.append(_("text after the notebook's end was left out"))
    notes.extend(_("{name} is no JSON and was left out").format(name=name) for name in sorted(odd))
    return found


def _current(found: dict[str, Any], notes: list[str]) -> dict[str, Any]:
    """The notebook in nbformat 4."""
    version = found.get("nbformat")
    if "cells" in found or "worksheets" not in found:
        if isinstance(version, int) and version > 4:
            notes.append(_("nbformat {version} is not known and was read as 4").format(version=version))
        return found
    version = 2 if version == 2 else 3
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            old = nbformat.from_dict({"metadata": {}, **found, "nbformat": version, "nbformat_minor": 0})
            upgraded = nbformat.convert(old, 4)
    except Exception:  # whatever the old notebook's shape makes nbformat's converter stumble over
        reason = _("was written in nbformat {version} and cannot be brought up to date").format(version=version)
        raise NotANotebook(reason) from None
    notes.append(_("it was written in nbformat {version}").format(version=version))
    return upgraded
