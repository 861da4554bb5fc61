"""Explain calls that the command line cannot parse: what is wrong, where, and what to do."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click
from click.exceptions import NoArgsIsHelpError, NoSuchCommand

from churn.cli.examples import list_examples
from churn.cli.output import report_error
from lakehouse.command_name import CHURN, name_commands
from lakehouse.errors import ChurnError, InvalidInputError
from lakehouse.log_format import configure_log
from lakehouse.near_matches import find_near_matches, format_meant, format_suggestion
from lakehouse.settings import read_settings
from lakehouse.terminal import reset_options

# How click's messages about the form of a value begin: the value, in quotes or as a number. Others
# are about something else, such as the rights to a file.
VALUE = re.compile(r"(?P<value>'.*?'|\".*?\"|\S+) (?:is not|does not match)", re.S)


@contextmanager
def report_usage_errors() -> Iterator[None]:
    """Report an error of the arguments like any other error, and exit with its code.

    Raises:
        SystemExit: The arguments can't be parsed.
    """
    try:
        yield
    except NoArgsIsHelpError:
        raise  # its message is the help
    except click.UsageError as error:
        with suppress(ChurnError):  # invalid settings: the format of messages is the default
            configure_log(read_settings())
        code = report_error(explain_usage_error(error))
        reset_options()
        name_commands(CHURN)
        sys.exit(code)


def explain_usage_error(error: click.UsageError) -> InvalidInputError:
    """Return the error in the form that all errors have; it names what may have been meant."""
    context = error.ctx or click.get_current_context()
    help_call = f"`{context.command_path} --help`"
    message = error.format_message().partition("\n")[0].strip().rstrip(".")
    if isinstance(error, NoSuchCommand):
        message = f"There is no command '{error.command_name}'"
        meant = format_meant(_find_commands(error.command_name, context))
        hint = f"{meant}{help_call} lists the commands"
    elif isinstance(error, click.NoSuchOption):
        message = f"There is no option '{error.option_name}'"
        hint = f"{_find_option(error.option_name, context)}{help_call} lists the options"
    elif isinstance(error, click.MissingParameter):
        # The choices follow on lines of their own.
        message = message.removesuffix(". Choose from:")
        hint = f"add it{_describe(error.param)}, {_format_example(context)}"
    elif isinstance(error, click.BadParameter):
        message = f"Invalid value for {_name(error)}: {_read_value(error)}"
        hint = f"{_explain_value(error)}; {help_call} describes it"
    elif isinstance(error, click.BadOptionUsage):
        hint = _explain_option(error, context)
    else:
        message = message.replace("Got unexpected extra", "Unexpected")
        hint = f"put a name with spaces in quotes; {help_call} shows which arguments there are"
    return InvalidInputError(message, where=context.command_path, hint=hint)


def _find_commands(name: str, context: click.Context) -> list[str]:
    """Return calls of the commands that may have been meant, also if they are in a group."""
    group, called = context.command, context.command_path
    if not isinstance(group, click.Group):
        return []
    paths = {f"{called} {each}" for each in find_near_matches(name, _list_commands(group))}
    for each, inner in group.commands.items():
        if isinstance(inner, click.Group) and name in _list_commands(inner):
            paths.add(f"{called} {each} {name}")
    return [f"`{path}`" for path in sorted(paths)]


def _list_commands(group: click.Group) -> list[str]:
    return [name for name, command in group.commands.items() if not command.hidden]


def _find_option(name: str, context: click.Context) -> str:
    """Return the beginning of the hint: the nearest option, or where this one is written."""
    root, called = context.find_root(), context.command_path
    if name in _list_options(root.command):
        return f"write it before the command, `{called.replace(' ', f' {name} ', 1)}`; "
    if context is root and name in _list_all_options(root.command):
        return f"write it after the command, `{called} COMMAND {name}`; "
    return format_suggestion(name, _list_options(context.command))


def _list_options(command: click.Command) -> list[str]:
    options = (each for each in command.params if isinstance(each, click.Option))
    return ["--help", *(name for each in options if not each.hidden for name in each.opts)]


def _list_all_options(group: click.Command) -> set[str]:
    commands = group.commands.values() if isinstance(group, click.Group) else ()
    return {name for command in commands for name in _list_options(command)}


def _describe(param: click.Parameter | None) -> str:
    """Return what a missing parameter is, in brackets; empty for one without a description."""
    if not isinstance(param, click.Option) or not param.help:
        return ""
    text = param.help.partition(";")[0].rstrip(".")
    return f" ({text[0].lower()}{text[1:]})"


def _explain_option(error: click.BadOptionUsage, context: click.Context) -> str:
    """Return what to do about an option that lacks a value, or has one and takes none."""
    if "requires" in error.message:
        return f"give a value after {error.option_name}, {_format_example(context)}"
    return f"write {error.option_name} without a value"


def _format_example(context: click.Context) -> str:
    examples = list_examples(context.command)
    if examples:
        return f"for example `{examples[0]}`"
    return f"which `{context.command_path} --help` shows"


def _name(error: click.BadParameter) -> str:
    """Return how the parameter is written on the command line."""
    param = error.param
    if isinstance(param, click.Option):
        return max(param.opts, key=len)
    return param.make_metavar(error.ctx).strip("[]") if param and error.ctx else "an argument"


def _read_value(error: click.BadParameter) -> str:
    """Return the value if click's message begins with it, or else the whole message."""
    match = VALUE.match(error.message)
    if match is None:
        return error.message.rstrip(".")
    value = match["value"]
    return value[1:-1] if len(value) > 2 and value[0] == value[-1] in "'\"" else value


def _explain_value(error: click.BadParameter) -> str:
    """Return what to give instead, by the type of the parameter."""
    kind = error.param.type if error.param else None
    if isinstance(kind, click.Choice):
        choices = [str(each) for each in kind.choices]
        quoted = " or ".join(f"'{choice}'" for choice in choices)
        return f"{format_suggestion(_read_value(error), choices)}give {quoted}"
    if isinstance(kind, click.DateTime):
        return "give a day that exists as year-month-day, such as 2026-08-31"
    if isinstance(kind, click.types.IntParamType | click.types.FloatParamType):
        number = "a whole number" if isinstance(kind, click.types.IntParamType) else "a number"
        return f"give {number}{_format_range(kind)}"
    return "give another value"


def _format_range(kind: click.ParamType[Any]) -> str:
    lowest, highest = getattr(kind, "min", None), getattr(kind, "max", None)
    if highest is not None:
        return f" from {lowest:,} to {highest:,}"
    if lowest is not None:
        return f" above {lowest:,}" if getattr(kind, "min_open", False) else f" from {lowest:,}"
    return " in digits, without separators"
