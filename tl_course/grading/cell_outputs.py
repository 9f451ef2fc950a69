"""What a cell puts out, kept within bounds and as plain data: nbformat 4 outputs."""

import base64
import io
import math
from collections import deque
from typing import Any

TEXT_KEPT = 200_000  # characters of stream text a cell, half of them from its beginning
DATA_KEPT = 2_000_000  # characters of one displayed object's data
OUTPUTS_KEPT = 500  # displayed objects and errors a cell
TRACEBACK_KEPT = 100  # lines
MESSAGE_KEPT = 10_000  # characters of an error's message, or of one line of a traceback
_DEPTH = 50  # of displayed JSON


class Recorder:
    """Collects the outputs of one cell after another."""

    def __init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Forget what was collected: a new cell begins."""
        self._outputs: list[dict[str, Any]] = []
        self._room = TEXT_KEPT // 2
        self._tail: deque[tuple[str, str]] = deque()
        self._tail_size = self._left_out = 0
        self._ids: dict[str, dict[str, Any]] = {}
        self._clear_next = False

    def text(self, name: str, text: str) -> None:
        """Add text that was written to "stdout" or "stderr"."""
        self._before_output()
        head, rest = text[: self._room], text[self._room :]
        self._room -= len(head)
        last = self._outputs[-1] if self._outputs else {}
        if head and last.get("output_type") == "stream" and last["name"] == name:
            last["text"].append(head)
        elif head:
            self._outputs.append({"output_type": "stream", "name": name, "text": [head]})
        if rest:
            self._add_to_tail(name, rest)

    def display(self, data: Any, metadata: Any, display_id: str | None = None, update: bool = False) -> None:
        """Add displayed data, or replace what this cell showed under the same id."""
        if update:
            shown = self._ids.get(str(display_id))
            if shown is not None:
                shown.update(data=bounded(data), metadata=plain(metadata or {}))
            return
        output = {"output_type": "display_data", "data": bounded(data), "metadata": plain(metadata or {})}
        if display_id is not None:
            self._ids[str(display_id)] = output
        self._add(output)

    def result(self, data: Any, metadata: Any, count: int) -> None:
        """Add the value of the cell's last expression."""
        shown = {"data": bounded(data), "metadata": plain(metadata or {})}
        self._add({"output_type": "execute_result", "execution_count": count, **shown})

    def error(self, name: str, message: str, lines: list[str]) -> None:
        """Add an error with its traceback."""
        self._add(error_output(name, message, lines))

    def clear(self, wait: bool) -> None:
        """Forget this cell's outputs, at once or when the next one comes."""
        if wait:
            self._clear_next = True
        else:
            self.start()

    def failed(self) -> bool:
        """Whether an error was recorded."""
        return any(output["output_type"] == "error" for output in self._outputs)

    def finish(self) -> list[dict[str, Any]]:
        """The outputs, in order; text beyond its bound comes last but for errors."""
        errors = [output for output in self._outputs if output["output_type"] == "error"]
        others = (
            [output for output in self._outputs if output["output_type"] != "error"] if self._tail else self._outputs
        )
        shown = [_joined(output) for output in others]
        if self._tail:
            if self._left_out:
                note = f"\n… {self._left_out:,} characters left out …\n"
                shown.append({"output_type": "stream", "name": self._tail[0][0], "text": note})
            shown += [
                {"output_type": "stream", "name": name, "text": plain(text)} for name, text in _merged(self._tail)
            ]
            shown += errors
        return shown

    def _add(self, output: dict[str, Any]) -> None:
        self._before_output()
        if len(self._outputs) < OUTPUTS_KEPT or (output["output_type"] == "error" and not self.failed()):
            self._outputs.append(output)

    def _before_output(self) -> None:
        if self._clear_next:
            self.start()

    def _add_to_tail(self, name: str, text: str) -> None:
        room = TEXT_KEPT // 2
        self._left_out += max(0, len(text) - room)
        text = text[-room:]
        self._tail.append((name, text))
        self._tail_size += len(text)
        while self._tail_size > room:
            first_name, first = self._tail.popleft()
            excess = min(self._tail_size - room, len(first))
            self._left_out += excess
            self._tail_size -= excess
            if excess < len(first):
                self._tail.appendleft((first_name, first[excess:]))


class Stream(io.TextIOBase):
    """A standard stream that writes to a recorder; closing it changes nothing."""

    encoding = "utf-8"  # type: ignore[assignment]
    errors = "replace"  # type: ignore[assignment]

    def __init__(self, recorder: Recorder, name: str, descriptor: int) -> None:
        self._recorder, self.name, self._descriptor = recorder, name, descriptor

    def write(self, text: str) -> int:
        """Record text. Raises TypeError for anything else."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        text = str.__str__(text)
        self._recorder.text(self.name, text)
        return len(text)

    def writable(self) -> bool:
        """Always."""
        return True

    def fileno(self) -> int:
        """The process's own standard stream, for programs started from a cell."""
        return self._descriptor

    def close(self) -> None:
        """Stay open: the next cell writes too."""


def plain(value: Any, depth: int = _DEPTH) -> Any:
    """A value as JSON can hold it: bytes in base64, lone surrogates replaced, anything else as its repr."""
    if isinstance(value, str):
        return str.__str__(value).encode("utf-8", "replace").decode()
    if value is None or type(value) in (bool, int):
        return value
    if type(value) is float:
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (bytes, bytearray)):
        return base64.b64encode(value).decode()
    if depth and isinstance(value, dict):
        return {str(plain(str(key))): plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    try:
        return plain(repr(value)[:MESSAGE_KEPT])
    except Exception:
        return "a value that cannot be shown"


def error_output(name: str, message: str, lines: list[str]) -> dict[str, Any]:
    """An error as an output, its texts cut."""
    kept = [plain(line)[:MESSAGE_KEPT] for line in _middle_left_out("\n".join(lines).split("\n"))]
    texts = {"ename": plain(name)[:MESSAGE_KEPT], "evalue": plain(message)[:MESSAGE_KEPT]}
    return {"output_type": "error", **texts, "traceback": kept}


def bounded(data: Any, room: int = DATA_KEPT) -> dict[str, Any]:
    """A MIME bundle with entries that fit; one that does not is replaced by a line that says so."""
    kept: dict[str, Any] = {}
    left_out: list[str] = []
    for kind, value in plain(data).items() if isinstance(data, dict) else ():
        size = length(value)
        if size <= room:
            kept[kind], room = value, room - size
        elif kind == "text/plain":
            kept[kind] = f"{value[: TEXT_KEPT // 2]}\n… {size - TEXT_KEPT // 2:,} characters left out …"
        else:
            left_out.append(f"… {kind} of {size:,} characters left out …")
    if left_out:
        kept["text/plain"] = "\n".join([*filter(None, [kept.get("text/plain")]), *left_out])
    return kept


def length(value: Any) -> int:
    """Characters of a plain value, about as JSON writes it."""
    if isinstance(value, dict):
        return sum(len(key) + length(item) + 4 for key, item in value.items()) + 2
    if isinstance(value, list):
        return sum(length(item) + 2 for item in value) + 2
    return len(value) if isinstance(value, str) else len(str(value))


def _joined(output: dict[str, Any]) -> dict[str, Any]:
    return output | {"text": plain("".join(output["text"]))} if output["output_type"] == "stream" else output


def _merged(pieces: deque[tuple[str, str]]) -> list[tuple[str, str]]:
    found: list[tuple[str, list[str]]] = []
    for name, text in pieces:
        if not found or found[-1][0] != name:
            found.append((name, []))
        found[-1][1].append(text)
    return [(name, "".join(texts)) for name, texts in found]


def _middle_left_out(lines: list[str]) -> list[str]:
    if len(lines) <= TRACEBACK_KEPT:
        return lines
    half = TRACEBACK_KEPT // 2
    return [*lines[: half - 1], f"… {len(lines) - TRACEBACK_KEPT + 1:,} lines left out …", *lines[-half:]]
