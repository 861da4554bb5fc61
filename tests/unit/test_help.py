"""The help lists every command once, in a section, with a whole sentence, and has examples."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from churn.cli.examples import list_examples
from churn.cli.help import FIRST_STEPS, SECTIONS
from churn.cli.main import main

GROUPS = [(), *((name,) for name, each in main.commands.items() if isinstance(each, click.Group))]


def visible(group: click.Group) -> list[str]:
    return sorted(name for name, command in group.commands.items() if not command.hidden)


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_every_command_is_listed_once_and_no_sentence_is_cut(path: tuple[str, ...]) -> None:
    group = main.commands[path[0]] if path else main
    assert isinstance(group, click.Group)
    answer = CliRunner().invoke(main, [*path, "-h"])
    assert answer.exit_code == 0
    listed = re.findall(r"^  ([a-z][a-z-]*) {2,}[A-Z]", answer.output, re.M)
    assert sorted(listed) == visible(group)
    assert "..." not in answer.output.partition("Options:")[2]


def test_every_command_has_a_section() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == visible(main)


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Every command with what it is called by, groups' commands instead of the groups."""
    for name in visible(group):
        command = group.commands[name]
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


COMMANDS = dict(commands(main, "churn"))


@pytest.mark.parametrize("path", COMMANDS)
def test_a_command_ends_its_help_with_examples_that_it_can_parse(path: str) -> None:
    examples = list_examples(COMMANDS[path])
    assert 1 <= len(examples) <= 2
    for line in examples:
        assert shlex.split(line)[: len(path.split())] == path.split()
        callback, _ = parse(line.removeprefix("churn "))
        assert callback == COMMANDS[path].callback
    said = CliRunner().invoke(main, [*path.split()[1:], "--help"]).output
    assert said.endswith("Examples:\n" + "".join(f"  {line}\n" for line in examples))


def test_an_example_that_rots_is_noticed() -> None:
    with pytest.raises(click.UsageError):
        parse("letter 7590-VHVEG --output letter.html")


def test_a_group_shows_an_example_of_each_command() -> None:
    said = CliRunner().invoke(main, ["api-key", "--help"]).output.partition("Examples:\n")[2]
    assert len(said.splitlines()) == 3
    assert all(f"churn api-key {name}" in said for name in ("new", "list", "revoke"))


def test_the_help_begins_with_the_commands_that_a_newcomer_needs() -> None:
    said = CliRunner().invoke(main, ["--help"]).output
    places = [said.index(line) for line, _ in FIRST_STEPS]
    assert len(places) == 3
    assert places == sorted(places)
    assert places[-1] < min(said.index(f"\n{title}:") for title in SECTIONS)
    for line, _ in FIRST_STEPS:
        parse(line.removeprefix("churn "))


def parse(line: str) -> tuple[object, dict[str, object]]:
    """Return what a line would run, and the parameters that it would get."""
    words = shlex.split(line)
    command: click.Command = main
    while isinstance(command, click.Group):
        command = command.commands[words.pop(0)]
    above = main.make_context("churn", ["status"])
    return command.callback, command.make_context(line, words, parent=above).params


@pytest.mark.parametrize(
    ("name", "former"),
    [
        ("monitor --json", "watch --json"),
        ("retention-list --out a.xlsx", "list --out a.xlsx"),
        ("cleanup --dry-run", "tidy --dry-run"),
        ("evaluate --force", "evaluate --again"),
        ("up --foreground", "up --stay"),
        ("airflow init", "airflow prepare"),
        ("airflow run-component scheduler", "airflow part scheduler"),
        ("airflow healthcheck scheduler", "airflow check scheduler"),
    ],
)
def test_a_former_name_reaches_the_same_command(name: str, former: str) -> None:
    assert parse(former) == parse(name)
    pages = [
        CliRunner().invoke(main, [*line.split(), "-h"]).output.partition("\n")[2]
        for line in (name, former)
    ]
    assert pages[0] == pages[1] != ""


def list_helps(group: click.Group, names: tuple[str, ...] = ()) -> Iterator[str]:
    for name, each in group.commands.items():
        if isinstance(each, click.Group):
            yield from list_helps(each, (*names, name))
        if not each.hidden:
            yield CliRunner().invoke(main, [*names, name, "--help"]).output


def test_the_help_has_one_word_for_a_kind_of_value_and_no_internal_commands() -> None:
    helps = list(list_helps(main))
    assert len(helps) > 40
    for text in helps:
        assert not re.search(r"INTEGER|FLOAT|CUSTOMER_ID|run-component|healthcheck", text), text
    said = CliRunner().invoke(main, ["features", "--help"]).output
    assert "apply, materialize, verify, ui" in said
