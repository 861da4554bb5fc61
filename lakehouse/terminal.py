"""The output of this process on a terminal: colours, and how much of the progress is shown.

Options of the command line set both once, at the start of a command.
"""

import os
import re
import select
import sys
from contextlib import suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import IO, Literal

from rich.console import Console

Color = Literal["auto", "always", "never"]
# A word of a text; a command in backticks is one.
WORD = re.compile(r"(?:`[^`]*`|\S)+")
COLORS: tuple[Color, ...] = ("auto", "always", "never")


class Detail(IntEnum):
    """How much a command shows: warnings and errors, also its progress, or also every detail."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


@dataclass
class TerminalOptions:
    """The options of this process."""

    color: Color = "auto"
    detail: Detail = Detail.NORMAL


_options = TerminalOptions()


def reset_options() -> None:
    """Set the defaults, for processes that call several commands."""
    _options.color, _options.detail = "auto", Detail.NORMAL


def set_color(color: Color) -> None:
    """Set when output is coloured."""
    _options.color = color


def set_detail(detail: Detail) -> None:
    """Set how much is shown."""
    _options.detail = detail


def get_detail() -> Detail:
    """Return how much is shown."""
    return _options.detail


def raise_again(console: Console) -> None:
    """Raise the error that is being handled; rich would exit with 1 in the middle of a step."""
    raise


class PlainConsole(Console):
    """A console that leaves a stream without a reader to the command line."""

    on_broken_pipe = raise_again


def has_reader(file: IO[str]) -> bool:
    """Return whether output can be read: False if `head`, say, has closed its end of the pipe."""
    try:
        poll = select.poll()
        poll.register(file.fileno(), 0)
        return not any(event & select.POLLERR for _, event in poll.poll(0))
    except (OSError, ValueError):  # no file of the operating system, or a closed one
        return True


def is_reader_gone(error: BaseException) -> bool:
    """Return whether an error is that of output without a reader, not of a client's connection."""
    is_broken = isinstance(error, BrokenPipeError)
    return is_broken and not (has_reader(sys.stdout) and has_reader(sys.stderr))


def discard_unread_output() -> None:
    """Send what is still written to streams without a reader nowhere, so that no flush fails."""
    for file in (sys.stdout, sys.stderr):
        if not has_reader(file):
            with suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), file.fileno())


def make_console(file: IO[str]) -> Console:
    """Return a console for a stream, with colours as the options and NO_COLOR say."""
    if _options.color == "never":
        return PlainConsole(file=file, highlight=False, color_system=None)
    if _options.color == "always":
        # Also into a pipe. No animation: that depends on the stream alone.
        return PlainConsole(
            file=file,
            highlight=False,
            color_system="standard",
            force_terminal=True,
            force_interactive=is_animated(file),
            no_color=False,
        )
    return PlainConsole(file=file, highlight=False)


def is_animated(file: IO[str]) -> bool:
    """Return whether lines of a stream can be rewritten in place."""
    try:
        return file.isatty() and not Console(file=file).is_dumb_terminal
    except ValueError:  # a closed stream
        return False


def is_utf8(file: IO[str]) -> bool:
    """Return whether a stream can show more than ASCII, as one without an encoding can."""
    return (getattr(file, "encoding", None) or "utf8").lower().replace("-", "") == "utf8"


def get_width(file: IO[str]) -> int | None:
    """Return the columns of the terminal, or None if the stream is none."""
    return Console(file=file).width if is_animated(file) else None


def wrap_for_terminal(text: str, width: int | None) -> str:
    """Wrap the lines of a text for a terminal, further lines indented by two more columns.

    Words are never broken, so that a path can be copied, and neither are commands in backticks. A
    word that is longer than the line is on a line of its own, without an indent. Without a width
    the text is unchanged.
    """
    if width is None:
        return text
    return "\n".join(part for line in text.splitlines() for part in _wrap_line(line, width))


def _wrap_line(line: str, width: int) -> list[str]:
    if len(line) < width:
        return [line]
    start = line[: len(line) - len(line.lstrip())]
    lines: list[str] = []
    current, end = "", 0
    for match in WORD.finditer(line):
        word, gap, end = match[0], line[end : match.start()], match.end()
        if current and len(current) + len(gap) + len(word) < width:
            current += gap + word
            continue
        lines += [current] if current else []
        indented = f"{start}  {word}" if lines else f"{start}{word}"
        current = indented if len(indented) < width else word
    return [*lines, current]
