"""Examples of commands: written beside each one, shown in its help and in its usage errors."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


def add_examples(*lines: str) -> Callable[[Function], Function]:
    """Return a decorator that adds examples to a command's help; the first one is in errors too.

    Args:
        lines: Complete calls, such as `churn run customers.xlsx`.
    """

    def add(function: Function) -> Function:
        function.examples = lines  # type: ignore[attr-defined]
        return function

    return add


def list_examples(command: click.Command) -> Sequence[str]:
    """Return a command's examples; those of a group are the first ones of its commands."""
    if not isinstance(command, click.Group):
        examples: Sequence[str] = getattr(command.callback, "examples", ())
        return examples
    shown = (each for each in command.commands.values() if not each.hidden)
    return [line for each in shown for line in list_examples(each)[:1]]
