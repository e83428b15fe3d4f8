"""What is written for people, and for programs.

People get text: in colours and tables that fit where it is a terminal, and in whole lines where it
is not. Programs get the rows of the API as JSON, unchanged. Nothing is ever HTML.
"""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Any, Final, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from buildbot_drydock.cli.exits import CommandError

_WIDE: Final = 100_000  # so wide that no line is ever cut or broken
_KEPT: Final = "\n\t"

# How states are shown, wherever they are.
STYLES: Final[Mapping[str, str]] = {
    **dict.fromkeys(("ready", "active", "enabled", "approved"), "green"),
    **dict.fromkeys(("pending", "acquired", "probing", "backing-off", "requested"), "yellow"),
    **dict.fromkeys(("paused", "draining", "disabled"), "magenta"),
    **dict.fromkeys(("broken", "misconfigured", "unreachable", "declined"), "bold red"),
    **dict.fromkeys(("released", "destroyed", "retired"), "dim"),
}


class OutputGone(BaseException):
    """Nobody can read what is written any more. It ends the program as a signal does."""


class Output:
    """*as_json* decides for whom it is. What is no result goes to the error output."""

    def __init__(
        self, *, as_json: bool = False, file: TextIO | None = None, errors: TextIO | None = None
    ) -> None:
        self.as_json = as_json
        self._file = file or sys.stdout
        self.console = _console(self._file)
        self.errors = _console(errors or sys.stderr)

    @property
    def is_terminal(self) -> bool:
        return self.console.is_terminal

    # --- for programs ------------------------------------------------------------------------

    def json(self, value: Any) -> None:
        """Write a value, whole: over several lines."""
        self._write(json.dumps(value, indent=2, ensure_ascii=False))

    def json_line(self, value: Any) -> None:
        """Write a value in one line, which is there at once for whoever reads."""
        self._write(json.dumps(value, ensure_ascii=False))

    def _write(self, text: str) -> None:
        try:
            self._file.write(text.encode("utf-8", "backslashreplace").decode() + "\n")
            self._file.flush()
        except OSError:  # a pipe that nobody reads, a terminal that is gone, a disk that is full
            raise OutputGone from None

    # --- for people --------------------------------------------------------------------------

    def show(self, *parts: RenderableType) -> None:
        shown = _rendered(self.console, parts)
        if not self.is_terminal:  # tables fill their last column with spaces
            shown = "\n".join(line.rstrip() for line in shown.split("\n"))
        self._write(shown)

    def say(self, message: str, style: str = "") -> None:
        self.show(text(message, style))

    def note(self, message: str) -> None:
        """Say something that is no result; if nobody can hear it, go on."""
        self._write_error(_rendered(self.errors, [text(message, "dim")]))

    def complain(self, problem: CommandError) -> None:
        if self.as_json:
            self._write_error(json.dumps(problem.data(), ensure_ascii=False))
            return
        message = Text()
        message.append("drydock: ", "bold red")
        message.append_text(text(problem.message))
        parts = [message]
        if problem.remedy:
            parts.append(text(f"Remedy: {problem.remedy}"))
        self._write_error(_rendered(self.errors, parts))

    def _write_error(self, shown: str) -> None:
        with suppress(OSError):
            self.errors.file.write(shown.encode("utf-8", "backslashreplace").decode() + "\n")
            self.errors.file.flush()


def _rendered(console: Console, parts: Iterable[RenderableType]) -> str:
    """Return what *console* would write, which has its own mind about output that is gone."""
    shown = io.StringIO()
    apart = _console(console.file, into=shown)
    for each in parts:
        apart.print(each, soft_wrap=isinstance(each, Text))
    return shown.getvalue().removesuffix("\n")


def _console(file: IO[str], into: IO[str] | None = None) -> Console:
    """Return a console as *file* wants it, that writes *into* another if that is given."""
    terminal = file.isatty()
    plainly = not terminal or "NO_COLOR" in os.environ
    return Console(
        file=into or file,
        width=Console(file=file).width if terminal else _WIDE,
        force_terminal=terminal,
        no_color=plainly,
        color_system=None if plainly else "auto",
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )


def plain(value: Any) -> str:
    """Return a text without what would steer a terminal: hosts and other people wrote it."""
    return "".join(
        each if each.isprintable() or each in _KEPT else f"\\x{ord(each):02x}"
        for each in str(value).replace("\r\n", "\n")
    )


def text(value: Any, style: str = "") -> Text:
    return Text(plain(value), style)


def state(word: Any) -> Text:
    """Return a status or a state in its colour."""
    return text("" if word is None else word, STYLES.get(str(word), ""))


def sentence(message: str, *, beside: str = "", style: str = "") -> RenderableType:
    """Return a text whose further lines are set below its first one."""
    first, *rest = plain(message).strip().split("\n")
    lines = [first, *(f"{' ' * (len(beside) + 2)}{line}" for line in rest)]
    return Text(beside + "\n".join(lines), style)


def indented(*parts: RenderableType) -> Sequence[RenderableType]:
    return [Padding(each, (0, 0, 0, 2), expand=False) for each in parts]


def table(headings: Iterable[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return a table of texts; what is written as ``Text`` keeps its style."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*(_cell(each) for each in row))
    return made


def _cell(value: Any) -> Text:
    if isinstance(value, Text):
        return value
    if value is None or value == "":
        return Text("-", "dim")
    return text(value)


def pairs(labels: Mapping[str, Any]) -> str:
    """Return labels as people write them: ``os=debian cpu=8``."""
    return " ".join(f"{name}={value}" for name, value in labels.items())
