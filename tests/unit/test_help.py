"""The help lists every command once, in a section, with a whole sentence."""

import re

import click
import pytest
from click.testing import CliRunner

from churn.cli.help import SECTIONS
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


def parse(line: str) -> tuple[object, dict[str, object]]:
    """Return what a line would run, and the parameters that it would get."""
    words = line.split()
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
