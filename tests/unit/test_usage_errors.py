"""A call that cannot be parsed is explained like every error, and names what was meant."""

import json
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from churn.cli.main import main
from churn.cli.usage_errors import _read_value

LETTER = "for example `churn letter 7590-VHVEG --out letter.html`"


def call(line: str, **environ: str) -> Result:
    return CliRunner().invoke(main, line.split(), env=environ)


@pytest.mark.parametrize(
    ("line", "message", "where", "hint"),
    [
        ("retention-lits", "no command 'retention-lits'", "churn", "mean `churn retention-list`?"),
        ("campaign stat", "no command 'stat'", "churn campaign", "mean `churn campaign start`?"),
        ("materialize", "no command", "churn", "mean `churn features materialize`?"),
        ("xyzzy", "no command 'xyzzy'", "churn", "`churn --help` lists the commands"),
        ("letter A --otu b", "no option '--otu'", "churn letter", "did you mean --out?"),
        ("run a --sh b", "no option '--sh'", "churn run", "did you mean --sheet?"),
        ("--port 1 status", "no option '--port'", "churn", "do: `churn --help` lists the options"),
        ("run a --zz", "no option '--zz'", "churn run", "`churn run --help` lists the options"),
        ("run --demo", "no option", "churn run", "before the command, `churn --demo run`"),
        ("--json status", "no option", "churn", "after the command, `churn COMMAND --json`"),
        (
            "user add ann",
            "Missing option '--role'",
            "churn user add",
            "`churn user add analyst --role reader`",
        ),
        (
            "letter A",
            "Missing option '--out'",
            "churn letter",
            f".html file to write), {LETTER}",
        ),
        ("trace", "Missing argument 'ID...'", "churn trace", "add it, for example `churn trace"),
        ("letter A --out", "requires an argument", "churn letter", f"after --out, {LETTER}"),
        ("run --json=5", "does not take a value", "churn run", "write --json without a value"),
        ("run my customers.xlsx", "Unexpected argument (customers.xlsx)", "churn run", "in quotes"),
        ("run a --extract-date 2026-02-30", ": 2026-02-30", "churn run", "such as 2026-08-31"),
        ("run a --extract-date 31.08.2026", ": 31.08.2026", "churn run", "year-month-day"),
        ("runs --limit 0", "for --limit: 0", "churn runs", "give a whole number from 1;"),
        ("runs --limit ten", "for --limit: ten", "churn runs", "give a whole number from 1;"),
        (
            "retention-list --top 2000000 --out a.xlsx",
            "for --top: 2000000",
            "churn retention-list",
            "give a whole number from 1 to 1,000,000;",
        ),
        (
            "campaign start a --budget 0 --out a.xlsx",
            "for --budget: 0.0",
            "churn campaign start",
            "give a number above 0;",
        ),
        ("sample --seed 1e5 --out a", "--seed: 1e5", "churn sample", "number in digits"),
        ("sample --rows 1e5 --out a", "--rows: 1e5", "churn sample", "whole number from 1;"),
        ("run a --decimal ;", "for --decimal: ;", "churn run", "give '.' or ','"),
        ("user add a --role raeder", ": raeder", "churn user add", "did you mean reader?"),
        ("--color read runs", "for --color: read", "churn", "give 'auto' or 'always' or 'never'"),
        (
            "campaign start a --top 3 --budget 4 --out a.xlsx",
            "--top and --budget exclude each other",
            "churn campaign start",
            "give one of them",
        ),
        ("person A", "Neither --out nor --objects", "churn person", "give --out FILE.zip"),
    ],
)
def test_a_wrong_call_is_explained(line: str, message: str, where: str, hint: str) -> None:
    answer = call(line)
    assert answer.exit_code == 2
    first, second, third = answer.stderr.splitlines()
    assert message in first
    assert second == f"  where: {where}"
    assert third.startswith("  what to do: ")
    assert hint in third
    assert answer.stdout == ""


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (click.INT, "a b", "a b"),
        (click.INT, "it's", "it's"),
        (click.INT, "", "''"),
        (click.IntRange(1, 5), "9", "9"),
        (click.FloatRange(0, min_open=True), "-1", "-1.0"),
        (click.Choice([".", ","]), "Path is not", "Path is not"),
        (click.DateTime(["%Y-%m-%d"]), "31.08.2026", "31.08.2026"),
        (click.BOOL, "perhaps", "perhaps"),
        (click.Path(exists=True), "gone", "Path 'gone' does not exist"),
        (click.Path(exists=True, dir_okay=False), ".", "File '.' is a directory"),
        (click.Path(exists=True, file_okay=False), __file__, "is a file"),
        (click.Path(), "secret", "Path 'secret' is not readable"),
        (click.Path(writable=True, readable=False), "secret", "Path 'secret' is not writable"),
        (click.File(), "gone", "'gone': No such file or directory"),
        (click.Tuple([int, int]), ("1",), "2 values are required, but 1 was given"),
    ],
)
def test_the_value_is_named_or_the_cause(
    kind: click.ParamType, value: object, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A message of click's that is about something else than the value's form is kept whole."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret").touch()
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(click.BadParameter) as raised:
        kind.convert(value, None, None)
    found = _read_value(raised.value)
    assert found == said or found.endswith(said)


def test_a_group_without_a_command_shows_its_help() -> None:
    answer = call("campaign")
    assert answer.exit_code == 2
    assert answer.output.startswith("Usage: churn campaign ")


def test_a_wrong_call_is_one_line_of_json_if_messages_are() -> None:
    answer = call("runs --limit 0", CHURN_LOG_FORMAT="json")
    assert "--limit" in json.loads(answer.stderr)["message"]
    assert answer.exit_code == 2


def test_a_wrong_call_in_the_demo_names_the_demos_commands() -> None:
    assert "`churn --demo runs --help`" in call("--demo runs --limit 0").stderr
    assert "`churn runs --help`" in call("runs --limit 0").stderr
