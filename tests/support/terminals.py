"""Real pseudo-terminals whose screen is emulated: what a user sees, at any width."""

import fcntl
import os
import pty
import re
import struct
import termios
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

import pyte

# A run in a narrow terminal fills a hundred lines; what has left the screen cannot be read.
ROWS = 120
# What is rewritten in place is a frame of its own, also if it was read together with the next.
BEFORE_ERASED = re.compile(rb"(?=\r\x1b\[2K)")


@dataclass
class Terminal:
    """A terminal of some columns, with every screen that it showed."""

    width: int
    written: bytes = b""
    frames: list[list[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._screen = pyte.Screen(self.width, ROWS)
        self._stream = pyte.ByteStream(self._screen)

    def show(self, data: bytes) -> None:
        self.written += data
        for part in BEFORE_ERASED.split(data):
            self._stream.feed(part)
            self.frames.append([line.rstrip() for line in self._screen.display if line.strip()])

    @property
    def lines(self) -> list[str]:
        """The lines that are left at the end."""
        return self.frames[-1]

    def read_all(self, descriptor: int) -> None:
        while True:
            try:
                data = os.read(descriptor, 65536)
            except OSError:  # how Linux ends a pseudo-terminal that was closed
                return
            if not data:
                return
            self.show(data)


@contextmanager
def open_terminal(width: int) -> Iterator[tuple[Terminal, TextIO]]:
    """A terminal, and a stream that writes to it; its frames are complete after the block."""
    terminal = Terminal(width)
    primary, secondary = pty.openpty()
    set_size(primary, width)
    reader = threading.Thread(target=terminal.read_all, args=(primary,))
    reader.start()
    try:
        with os.fdopen(secondary, "w", encoding="utf-8") as stream:
            yield terminal, stream
    finally:
        reader.join(10)
        os.close(primary)


def run_in_terminal(
    command: Sequence[str], environ: dict[str, str], width: int
) -> tuple[Terminal, int]:
    """Run a command on a terminal of its own; return the terminal and the exit code."""
    terminal = Terminal(width)
    pid, descriptor = pty.fork()
    if pid == 0:  # the child
        # From here on: its parent may set the size only after the child has asked for it.
        set_size(0, width)
        os.execvpe(command[0], list(command), environ)
    terminal.read_all(descriptor)
    os.close(descriptor)
    return terminal, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def set_size(descriptor: int, width: int) -> None:
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, width, 0, 0))
