"""The terminal of interview practice: asks and shows line by line, so that it works over ssh and in a pipe."""

import contextlib
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table

from tl_course.i18n import _

with contextlib.suppress(ImportError):  # Windows has none; elsewhere it lets input() edit and recall lines
    import readline  # noqa: F401

STOP, SKIP = ":q", ":s"


class Leave(Exception):
    """The learner wants to stop: typed :q, Ctrl-C, or the end of the input."""


class Skip(Exception):
    """The learner wants the next question: typed :s."""


class Terminal:
    """Asks and shows. Everything shown is plain text: what looks like markup in a card stays as it is."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False)

    def say(self, text: str = "", style: str = "") -> None:
        """A paragraph."""
        self.console.print(escape(text), style=style or None)

    def heading(self, text: str) -> None:
        """A line across the screen with a few words in it."""
        self.console.print()
        self.console.print(Rule(escape(text), align="left"))

    def section(self, title: str, lines: Sequence[str]) -> None:
        """A title and what belongs to it, indented."""
        self.console.print()
        self.say(title, "bold")
        for line in lines:
            self.console.print(Padding(escape(line), (0, 0, 0, 2)))

    def code(self, source: str) -> None:
        """A program with line numbers."""
        width = len(str(len(source.splitlines())))
        for number, line in enumerate(source.splitlines(), 1):
            self.console.print(f"{number:>{width}}  {escape(line)}", soft_wrap=True)

    def table(self, rows: Sequence[dict[str, str]], columns: dict[str, str]) -> None:
        """Rows under titles; ``columns`` maps a row's keys to the titles."""
        table = Table(*map(escape, columns.values()), box=None, pad_edge=False, show_header=any(columns.values()))
        for row in rows:
            table.add_row(*(escape(row.get(name, "")) for name in columns))
        self.console.print(table)

    def line(self, prompt: str) -> str:
        """One line of the learner.

        Raises:
            Leave: :q, Ctrl-C or the end of the input.
            Skip: :s.
        """
        self.console.print(escape(prompt), end="", soft_wrap=True)
        try:
            given = input().strip()
        except (EOFError, KeyboardInterrupt):
            self.console.print()
            raise Leave from None
        if given == STOP:
            raise Leave
        if given == SKIP:
            raise Skip
        return given

    def text(self, prompt: Callable[[], str]) -> str:
        """Some lines of the learner, up to an empty one; the prompt is asked for anew before each line."""
        lines = []
        while line := self.line(prompt()):
            lines.append(line)
        return "\n".join(lines)

    def choice(self, prompt: str, allowed: Sequence[str], default: str | None = None) -> str:
        """One of the allowed answers; anything else is asked for again."""
        shown = f"{prompt} [{default}] " if default else f"{prompt} "
        while (given := self.line(shown).lower() or default or "") not in allowed:
            self.say(_("Please type one of: {names}").format(names=", ".join(allowed)))
        return given

    def numbers(self, prompt: str, highest: int) -> list[int]:
        """Some whole numbers from 1 to ``highest``, separated by blanks or commas; none for an empty line."""
        while True:
            words = self.line(prompt).replace(",", " ").split()
            if all(word.isdecimal() and 1 <= int(word) <= highest for word in words):
                return sorted({int(word) for word in words})
            self.say(_("Please type numbers from 1 to {highest}, like 2 5 9").format(highest=highest))
