"""Every documented command can be parsed; tests/e2e/test_documented_commands_run.py runs them."""

import re
import shlex
import subprocess

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


# Pages and messages name commands between backquotes.
NAMED = re.compile(r"(?<!`)`churn ((?:--demo )?[a-z][a-z-]*(?: [a-z][a-z-]*)*)[^`\n]*`")
PROSE = [
    PROJECT / path
    for path in subprocess.check_output(
        ["git", "ls-files", "*.md", "*.py", "*.yml", "*.sql", "*.j2", "*.js", "*.toml"],
        cwd=PROJECT,
        text=True,
    ).splitlines()
    if not path.startswith("tests/")
]


# Hidden, because a supervisor calls them.
INTERNAL = {f"airflow {name}" for name in ("init", "run-component", "healthcheck")}


def list_unknown_commands(text: str) -> list[str]:
    """The commands named in a text that do not exist, or exist only as hidden former names."""
    unknown = []
    for named in NAMED.findall(text):
        command: click.Command = main
        for word in (word for word in named.split() if not word.startswith("-")):
            if not isinstance(command, click.Group):
                break
            found = command.commands.get(word)
            if found is None or (found.hidden and named not in INTERNAL):
                unknown.append(named)
                break
            command = found
    return unknown


def test_every_command_that_a_text_names_exists() -> None:
    found = {
        str(path.relative_to(PROJECT)): list_unknown_commands(path.read_text()) for path in PROSE
    }
    assert {name: unknown for name, unknown in found.items() if unknown} == {}
    assert sum(len(NAMED.findall(path.read_text())) for path in PROSE) > 300


def test_a_former_name_of_a_command_is_noticed() -> None:
    text = "`churn tidy`, `churn watch --json`, `churn airflow part scheduler`, `churn --demo list`"
    assert len(list_unknown_commands(text)) == 4
    assert list_unknown_commands("`churn status`, `churn run WORKBOOK`, `churn --demo docs`") == []


def test_the_followed_pages_have_commands() -> None:
    assert "churn demo" in shell_lines(TUTORIAL)
    assert "churn serve" in shell_lines(OWN_WORKBOOK)
