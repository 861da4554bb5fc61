"""Define the options of the output, which every command has, and print messages."""

import json
import sys
import traceback
from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.text import Text

from lakehouse.command_name import format_commands
from lakehouse.errors import ChurnError, GateRefusedError
from lakehouse.log_format import ERROR, INFO, find_level, format_message, is_json_log
from lakehouse.run_log import (
    DONE,
    FAILED,
    INTERRUPTED,
    REFUSED,
    RunLog,
    current_log,
    format_interruption,
    write_log,
)
from lakehouse.terminal import (
    COLORS,
    Detail,
    discard_unread_output,
    get_detail,
    get_width,
    has_reader,
    make_console,
    set_color,
    set_detail,
    wrap_for_terminal,
)

# Columns of a setting and its value, before its origin.
SETTING = 40
# Exit code of a command that the user interrupted, as shells have it for SIGINT.
INTERRUPTED_CODE = 130
# Exit code of a command whose output has no reader, as shells have it for SIGPIPE.
NO_READER_CODE = 141
UNEXPECTED = """\
Unexpected error: {}
  where: {}
  what to do: repeat the command; if the error persists, report it with this log"""
Function = TypeVar("Function", bound=Callable[..., Any])


def _set_color(context: click.Context, option: click.Parameter, value: Any) -> None:
    if value is not None:
        set_color(value)


def _set_quiet(context: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        set_detail(Detail.QUIET)


def _set_verbose(context: click.Context, option: click.Parameter, value: bool) -> None:
    if value:
        set_detail(Detail.VERBOSE)


def add_output_options(function: Function) -> Function:
    """Add the options of the output to a command; they set properties of this process."""
    for option in (
        click.option(
            "--color",
            type=click.Choice(COLORS),
            callback=_set_color,
            expose_value=False,
            help="When to colour; default: auto, on a terminal without NO_COLOR.",
        ),
        click.option(
            "--verbose",
            "-v",
            is_flag=True,
            callback=_set_verbose,
            expose_value=False,
            help="Show every detail of the progress.",
        ),
        click.option(
            "--quiet",
            "-q",
            is_flag=True,
            callback=_set_quiet,
            expose_value=False,
            help="Show warnings, errors and the result only.",
        ),
    ):
        function = option(function)
    return function


def print_message(text: str) -> None:
    """Print a message about the work of a command; a warning also if the command is quiet."""
    level = find_level(text)
    write_log(text, level)
    if get_detail() > Detail.QUIET or level != INFO:
        _print(format_message(f"  {text}"), "")


def print_error(text: str, **facts: str) -> None:
    """Print an error."""
    write_log(text, ERROR)
    _print(format_message(text, ERROR, **facts), "bold red")


def print_result(text: object, **options: Any) -> None:
    """Print a result to standard output; `options` are those of `click.echo`."""
    click.echo(format_commands(str(text)), **options)


def print_sentences(text: object) -> None:
    """Print a result in sentences, wrapped on a terminal."""
    print_result(wrap_for_terminal(format_commands(str(text)), get_width(sys.stdout)))


def format_setting(line: str, origin: str, width: int | None) -> str:
    """Format a setting and where it was set; below it, if the terminal is too narrow for both.

    Args:
        line: The setting and its value.
        origin: Where it was set.
        width: Columns of the terminal; None if the output is none.
    """
    both = f"{line:<{SETTING}}  # {origin}"
    return both if width is None or len(both) <= width else f"{line}\n  # {origin}"


def print_json(value: dict[str, Any] | list[dict[str, Any]]) -> None:
    """Print a result as JSON."""
    print_result(json.dumps(value, indent=2, default=str))


def _print(text: str, style: str) -> None:
    if is_json_log():
        click.echo(text, err=True)
        return
    first, _, rest = wrap_for_terminal(text, get_width(sys.stderr)).partition("\n")
    message = Text(first, style=style)
    message.append(f"\n{rest}" if rest else "", style="default")
    make_console(sys.stderr).print(message, soft_wrap=True)


def report_error(error: ChurnError) -> int:
    """Print a known error and return the command's exit code; its cause is in the log only."""
    log = current_log()
    if log is not None and log.record is not None and error.__cause__ is not None:
        write_log("".join(traceback.format_exception(error.__cause__)), ERROR)
    print_error(str(error))
    return _end(REFUSED if isinstance(error, GateRefusedError) else FAILED, error.exit_code)


def report_interruption() -> int:
    """Print what an interrupted command was doing and return its exit code."""
    print_error(format_interruption(current_log()))
    return _end(INTERRUPTED, INTERRUPTED_CODE)


def report_missing_reader() -> int:
    """Return the exit code of a command whose output was closed, as by `head`; print nothing.

    Results are printed when the work is done; only progress, on standard error, interrupts it.
    """
    is_done = has_reader(sys.stderr)
    discard_unread_output()
    log = current_log()
    if log is not None and log.record is not None and log.record.ended is None:
        log.end(DONE if is_done else INTERRUPTED, NO_READER_CODE)
    return NO_READER_CODE


def report_unexpected(error: Exception) -> int:
    """Print an unexpected error and return the exit code.

    Its stack is in the log, or on the terminal if there is no log or the command is verbose.
    """
    log = current_log()
    stack = "".join(traceback.format_exception(error))
    where = "the lines above; logs under CHURN_HOME/logs"
    if log is not None and log.path is not None:
        where = str(log.path)
        write_log(stack, ERROR)
    is_shown = log is None or log.path is None or get_detail() == Detail.VERBOSE
    if is_shown and not is_json_log():
        click.echo(stack, err=True, nl=False)
    text = UNEXPECTED.format((str(error).splitlines() or [type(error).__name__])[0], where)
    print_error(text, **({"stack": stack} if is_json_log() else {}))
    return _end(FAILED, 1)


def report_success() -> None:
    """Complete the log of a command that is done."""
    _end(DONE, 0)


def report_exit(code: int) -> None:
    """Complete the log of a command that chose its exit code."""
    _end(DONE if code == 0 else FAILED, code)


def _end(result: str, exit_code: int) -> int:
    """Complete the log, name its file, and return the exit code."""
    log = current_log()
    if log is not None and log.path is not None:
        log.end(result, exit_code)
        _name_log(log, exit_code)
    return exit_code


def _name_log(log: RunLog, exit_code: int) -> None:
    if get_detail() > Detail.QUIET or exit_code:
        _print(format_message(f"log: {log.path}"), "dim")
