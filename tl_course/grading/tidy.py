"""Notebook cells and metadata that are valid for nbformat 4.5, made out of whatever came in."""

import math
import re
from collections.abc import Callable
from typing import Any

from nbformat import NotebookNode

from tl_course.i18n import _

TYPES = ("code", "markdown", "raw")
PYTHON = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
_DEEPEST = 16  # levels of metadata that are kept
_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ATTACHMENT = re.compile(r"attachment:([^\s()<>\"']+)")
_JSON_TYPE = re.compile(r"application/(.*\+)?json")


def text(value: str) -> str:
    """A string that can be stored: halves of surrogate pairs become question marks."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


def plain(value: Any, depth: int = 0) -> Any:
    """A value that is JSON, as far as it is; what is not becomes None, as does what is nested too deeply."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, (bool, int)):
        return value
    if depth >= _DEEPEST:
        return None
    if isinstance(value, dict):
        return NotebookNode({text(str(key)): plain(item, depth + 1) for key, item in value.items()})
    return [plain(item, depth + 1) for item in value] if isinstance(value, (list, tuple)) else None


def tidy_cell(raw: dict[str, Any], shown: str, note: Callable[[str], None]) -> NotebookNode:
    """A cell without outputs and without an id (see `give_ids`), its text and metadata kept as far as they are valid.

    Args:
        raw: the cell as it came in.
        shown: how to name it ("Cell 3").
        note: is told what was mended, beyond what makes no difference.
    """
    kind = raw.get("cell_type")
    if kind not in TYPES:
        kind = "code" if kind is None and ("outputs" in raw or "execution_count" in raw) else "raw"
        note(_("{cell} was of no known type and is {type} now.").format(cell=shown, type=kind))
    cell = NotebookNode(cell_type=kind, metadata=_cell_metadata(raw.get("metadata")), source=_source(raw, shown, note))
    if kind == "code":
        cell.update(outputs=[], execution_count=None)
    elif "attachments" in raw:
        attachments = plain(raw["attachments"])
        if _are_attachments(attachments):
            cell["attachments"] = attachments
        else:
            note(_("{cell} had attachments that are none; they were left out.").format(cell=shown))
    if kind == "markdown":
        _complete_attachments(cell)
    return cell


def retype(cell: NotebookNode, kind: str) -> None:
    """Make a tidy cell one of another type."""
    cell["cell_type"] = kind
    if kind == "code":
        cell.pop("attachments", None)
        cell.update(outputs=[], execution_count=None)
    else:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)


def give_ids(wanted: list[tuple[NotebookNode, Any, str]]) -> None:
    """Set the cells' ids, each different: the id wanted where it is valid and free, else one made from the other name.

    Args:
        wanted: cell, the id it came with, and the name to make another from. The first to want an id gets it.
    """
    taken: set[str] = set()
    late: list[tuple[NotebookNode, str]] = []
    for cell, identity, other in wanted:
        if isinstance(identity, str) and _ID.fullmatch(identity) and identity not in taken:
            cell["id"] = identity
            taken.add(identity)
        else:
            late.append((cell, re.sub(r"[^a-zA-Z0-9_-]", "-", other)[:50] or "cell"))
    numbers: dict[str, int] = {}
    for cell, name in late:
        chosen = name
        while chosen in taken:
            numbers[name] = numbers.get(name, 1) + 1
            chosen = f"{name}-{numbers[name]}"
        cell["id"] = chosen
        taken.add(chosen)


def tidy_metadata(raw: Any, kernelspec: dict[str, Any] | None, note: Callable[[str], None]) -> NotebookNode:
    """A notebook's metadata with the assignment's kernel."""
    metadata = plain(raw) if isinstance(raw, dict) else NotebookNode()
    spec, language = metadata.get("kernelspec"), metadata.pop("language_info", None)
    wanted = _kernelspec(kernelspec)
    spec = spec if isinstance(spec, dict) else {}
    language = language if isinstance(language, dict) else {}
    if spec != wanted and _is_foreign(spec, language, wanted):
        name = str(spec.get("name") or spec.get("language") or language.get("name"))[:80]
        note(_("The notebook was written for the kernel {name}.").format(name=name))
        language = {}
    metadata["kernelspec"] = wanted
    if isinstance(language.get("name"), str):
        kept = ("name", "version", "file_extension", "mimetype", "pygments_lexer")
        metadata["language_info"] = NotebookNode(
            {key: language[key] for key in kept if isinstance(language.get(key), str)}
        )
    metadata.pop("orig_nbformat", None)
    metadata.pop("widgets", None)  # the state of outputs that are thrown away; nbconvert stops at what Colab saves
    if not isinstance(metadata.get("title", ""), str):
        del metadata["title"]
    if not isinstance(metadata.get("authors", []), list):
        del metadata["authors"]
    return metadata


def _source(raw: dict[str, Any], shown: str, note: Callable[[str], None]) -> str:
    """The cell's text; notebooks of old called a code cell's text its input."""
    found = raw.get("source", raw.get("input"))
    lines = found if isinstance(found, list) else [] if found is None else [found]
    kept = [line for line in lines if isinstance(line, str)]
    if len(kept) < len(lines):
        note(_("{cell} held something that is not text; it was left out.").format(cell=shown))
    joined = "".join(kept)
    clean = text(joined)
    if clean != joined:
        note(_("{cell} held characters that cannot be stored; they are question marks now.").format(cell=shown))
    return clean


def _cell_metadata(raw: Any) -> NotebookNode:
    metadata = plain(raw) if isinstance(raw, dict) else NotebookNode()
    metadata.pop("nbgrader", None)
    for key, is_valid in _VALID.items():
        if key in metadata and not is_valid(metadata[key]):
            del metadata[key]
    return metadata


def _are_tags(value: Any) -> bool:
    return (
        isinstance(value, list)
        and all(isinstance(tag, str) and tag and "," not in tag and "\n" not in tag for tag in value)
        and len(set(value)) == len(value)
    )


def _are_attachments(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(bundle, dict) and all(_JSON_TYPE.fullmatch(kind) or _is_data(data) for kind, data in bundle.items())
        for bundle in value.values()
    )


def _complete_attachments(cell: NotebookNode) -> None:
    """Give a Markdown cell an empty attachment where its text names one that is gone: nbconvert stops at that."""
    names = dict.fromkeys(_ATTACHMENT.findall(cell["source"]))
    present = cell.get("attachments", {})
    missing = {name: NotebookNode({"text/plain": ""}) for name in names if not present.get(name)}
    if missing:
        cell["attachments"] = NotebookNode({**present, **missing})


def _is_data(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, list) and all(isinstance(item, str) for item in value))


_VALID: dict[str, Callable[[Any], bool]] = {
    "collapsed": lambda value: isinstance(value, bool),
    "scrolled": lambda value: isinstance(value, bool) or value == "auto",
    "name": lambda value: isinstance(value, str) and bool(value) and "\n" not in value,
    "tags": _are_tags,
    "jupyter": lambda value: isinstance(value, dict),
    "execution": lambda value: isinstance(value, dict) and all(isinstance(item, str) for item in value.values()),
    "format": lambda value: isinstance(value, str),
}


def _kernelspec(spec: dict[str, Any] | None) -> NotebookNode:
    wanted = plain(spec) if spec and isinstance(spec.get("name"), str) else NotebookNode(PYTHON)
    if not isinstance(wanted.get("display_name"), str):
        wanted["display_name"] = wanted["name"]
    return wanted


def _is_foreign(spec: dict[str, Any], language: dict[str, Any], wanted: dict[str, Any]) -> bool:
    """Whether a notebook's kernel speaks another language than the assignment's; environments' names do not matter."""
    expected = str(wanted.get("language") or "python").lower()
    spoken = spec.get("language") or language.get("name")
    if isinstance(spoken, str):
        return spoken.lower() != expected
    return isinstance(spec.get("name"), str) and expected not in spec["name"].lower()
