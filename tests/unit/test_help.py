"""The help lists every command once, in a section, with a whole sentence."""

import re

import click
import pytest
from click.testing import CliRunner

from churn.cli.help import SECTIONS
from churn.cli.main import main

GROUPS = [(), *((name,) for name, each in main.commands.items() if isinstance(each, click.Group))]


@pytest.mark.parametrize("path", GROUPS, ids=" ".join)
def test_every_command_is_listed_once_and_no_sentence_is_cut(path: tuple[str, ...]) -> None:
    group = main.commands[path[0]] if path else main
    assert isinstance(group, click.Group)
    answer = CliRunner().invoke(main, [*path, "-h"])
    assert answer.exit_code == 0
    listed = re.findall(r"^  ([a-z][a-z-]*) {2,}[A-Z]", answer.output, re.M)
    assert sorted(listed) == sorted(group.commands)
    assert "..." not in answer.output.partition("Options:")[2]


def test_every_command_has_a_section() -> None:
    assert sorted(name for names in SECTIONS.values() for name in names) == sorted(main.commands)
