"""Every documented command can be parsed; tests/e2e/test_documented_commands_run.py runs them."""

import re
import shlex

import click
import pytest
from documented_commands import (
    ELSEWHERE,
    FOLLOWED,
    ITSELF,
    OWN_WORKBOOK,
    PAGES,
    README,
    STACK,
    TUTORIAL,
    shell_lines,
    shown_commands,
)

from churn.cli.main import main
from lakehouse.settings import PROJECT

MAKEFILE = (PROJECT / "Makefile").read_text()
CHURN = [line for line in shell_lines(*PAGES, *FOLLOWED) if line.startswith("churn ")]
CHURN += shown_commands(*PAGES, *FOLLOWED)
# The cells of the README's table are no blocks: they show the shape of a command.
CHURN += re.findall(r"`(churn (?!-h)[^`]+)`", README.read_text().partition("## Use")[2])
MAKE = [line for line in shell_lines(*PAGES, TUTORIAL) if line.startswith("make ")]


@pytest.mark.parametrize("line", CHURN)
def test_the_command_line_takes_it(line: str) -> None:
    command: click.Command = main
    # Commands keep the help option that they were first asked for: this has to be main's own.
    context = main.make_context("churn", ["status"])
    arguments = shlex.split(line.replace("churn --demo ", "churn "))[1:]
    while isinstance(command, click.Group):
        name, found, arguments = command.resolve_command(context, arguments)
        assert found is not None
        command, context = found, click.Context(found, parent=context, info_name=name)
    command.make_context(context.info_name, arguments, parent=context.parent)


@pytest.mark.parametrize("line", MAKE)
def test_make_has_the_target(line: str) -> None:
    assert re.search(rf"^{line.split()[1]}:", MAKEFILE, re.M)


def test_an_unknown_option_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        test_the_command_line_takes_it("churn status --unknown")


def test_the_commands_run_elsewhere_are_written_down() -> None:
    assert set(shell_lines(*PAGES)) >= ELSEWHERE
    assert len(STACK) == 3


def test_the_test_command_sets_up_and_lints_first() -> None:
    rules = re.findall(r"^(\w+): \.venv/\.ready .*\n((?:\t.*\n)+)", MAKEFILE, re.M)
    body = dict(rules)["test"]
    assert body.index("lint") < body.index("PYTEST")


def test_ci_calls_the_test_command_of_the_readme_and_then_the_rest() -> None:
    stages = re.findall(r"^stage (.*)$", (PROJECT / ".ci" / "run").read_text(), re.M)
    assert stages == [ITSELF, "make test-rest"]
    assert re.search(r"^test-all: test test-rest\b", MAKEFILE, re.M)


def test_the_followed_pages_have_commands() -> None:
    assert "churn demo" in shell_lines(TUTORIAL)
    assert "churn serve" in shell_lines(OWN_WORKBOOK)
