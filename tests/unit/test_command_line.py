"""What the command line refuses before it starts anything, and says of its settings."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path

import click
import openpyxl
import pytest
from click.testing import CliRunner, Result
from workbooks import sheet_rows, write_xlsx

from churn.cli.main import command, main
from churn.cli.output import report_error
from lakehouse.command_name import name_commands
from lakehouse.errors import InvalidInputError
from lakehouse.ignored_settings import find_unknown_variables
from lakehouse.settings import FILE, PROJECT, Settings, find_origins
from seeds_loader.contract import read_contract


@dataclass(frozen=True)
class Bare:
    """A home in which nothing was started."""

    path: Path

    def call(self, *arguments: str | Path, **environ: str) -> Result:
        """Call the command line in this process, with no setting but the home's path and these."""
        unset = {name: None for name in os.environ if name.startswith("CHURN_")}
        env = {**unset, "CHURN_HOME": str(self.path), **environ}
        return CliRunner().invoke(main, [str(argument) for argument in arguments], env=env)

    def refuse(self, *arguments: str | Path, **environ: str) -> str:
        """The error message of a command that must exit with 2."""
        result = self.call(*arguments, **environ)
        assert result.exit_code == 2, result.output
        return result.stderr

    def is_empty(self) -> bool:
        return not any(self.path.iterdir())


@pytest.fixture
def bare(tmp_path_factory: pytest.TempPathFactory) -> Bare:
    return Bare(tmp_path_factory.mktemp("bare"))


def test_an_unusable_workbook_is_refused_before_anything_starts(bare: Bare, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.title = "People"
    names = [name for name in read_contract().names if name != "TotalCharges"]
    book.active.append(names)
    book.active.append(["1"] * len(names))
    path = tmp_path / "half.xlsx"
    book.save(path)
    said = bare.refuse("run", path)
    assert "half.xlsx" in said
    assert "People" in said
    assert "TotalCharges" in said
    assert "what to do" in said
    assert bare.is_empty()


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("text.xlsx", b"customerID,gender\n1,Male\n", "text.xlsx"),
        ("empty.xlsx", b"", "empty"),
        ("cut.xlsx", b"PK\x03\x04 cut", "cut.xlsx"),
        ("notes.docx", b"x", ".docx"),
    ],
)
def test_a_broken_file_is_explained(
    bare: Bare, tmp_path: Path, name: str, content: bytes, word: str
) -> None:
    (tmp_path / name).write_bytes(content)
    said = bare.refuse("run", tmp_path / name)
    assert word in said
    assert "what to do" in said
    assert "Traceback" not in said
    assert bare.is_empty()


def test_a_missing_file_is_named(bare: Bare, tmp_path: Path) -> None:
    said = bare.refuse("run", tmp_path / "gone.xlsx")
    assert "gone.xlsx" in said


def test_two_fitting_sheets_are_listed(bare: Bare, tmp_path: Path) -> None:
    sheets = {"Customers": sheet_rows(2), "Copy": sheet_rows(2)}
    said = bare.refuse("run", write_xlsx(tmp_path / "two.xlsx", sheets))
    assert "Copy" in said
    assert "Customers" in said
    assert "--sheet" in said
    assert bare.is_empty()


def test_settings_that_make_no_sense_are_named(bare: Bare) -> None:
    said = bare.refuse("config", CHURN_THRIFT_PORT="many")
    assert "CHURN_THRIFT_PORT=many" in said


def test_options_for_a_file_are_named_if_there_is_none(bare: Bare) -> None:
    said = bare.refuse("score", "--sheet", "a", "--json")
    assert said.startswith("--sheet, --json can't be used without a file")
    assert "`churn score FILE`" in said


def test_config_prints_json(bare: Bare) -> None:
    assert json.loads(bare.call("config", "--json").stdout)["CHURN_HOME"] == str(bare.path)
    hidden = "not-for-a-log"
    assert hidden not in bare.call("config", "--json", CHURN_REDIS_PASSWORD=hidden).output


def test_config_says_where_each_setting_was_set(bare: Bare) -> None:
    lines = bare.call("config", CHURN_API_PORT="8001").stdout.splitlines()
    assert lines[0].startswith("# folder of .env")
    found = {line.partition("=")[0]: line.partition("  # ")[2] for line in lines[1:]}
    assert found["CHURN_API_PORT"] == "environment"
    assert found["CHURN_PROMOTION"] == "default"
    origins = json.loads(bare.call("config", "--json").stdout)["origins"]
    assert origins["CHURN_HOME"] == "environment"


def test_the_origin_of_a_setting_is_the_place_from_which_it_is_read(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CHURN_API_PORT=1\nCHURN_DOCS_PORT=2\nCHURN_DOMAIN=a\n")
    secret = f"CHURN_REDIS_PASSWORD{FILE}"
    given = {"CHURN_DOCS_PORT": "3", "CHURN_DOMAIN": "", secret: "/a"}
    found = find_origins(given, tmp_path)
    assert (found["CHURN_API_PORT"], found["CHURN_DOCS_PORT"]) == (".env", "environment")
    assert found["CHURN_DOMAIN"] == "default", "an empty variable hides that of .env"
    assert found["CHURN_REDIS_PASSWORD"] == f"environment, {secret}"


def test_each_variable_of_aws_has_an_origin_if_it_is_set(tmp_path: Path) -> None:
    variables = "AWS_REGION=eu-central-1\nAWS_PROFILE=a\n"  # pragma: allowlist secret
    (tmp_path / ".env").write_text(variables)
    (tmp_path / "key").write_text("secret")
    key = f"AWS_ACCESS_KEY_ID{FILE}"
    given = {"AWS_CA_BUNDLE": "/a/long/path", "AWS_PROFILE": "", key: str(tmp_path / "key")}
    found = find_origins(given, tmp_path)
    assert {name: origin for name, origin in found.items() if name.startswith("AWS_")} == {
        "AWS_CA_BUNDLE": "environment",
        "AWS_REGION": ".env",
        "AWS_ACCESS_KEY_ID": f"environment, {key}",
    }


@pytest.mark.parametrize("width", [None, 60, 80, 120])
def test_config_shows_the_origin_of_every_setting_at_any_width(
    bare: Bare, monkeypatch: pytest.MonkeyPatch, width: int | None
) -> None:
    monkeypatch.setattr("churn.cli.main.get_width", lambda _: width)
    place = "/etc/ssl/certs/ca-certificates-of-the-company.crt"
    lines = bare.call("config", AWS_CA_BUNDLE=place).stdout.splitlines()[1:]
    settings = [line for line in lines if "=" in line]
    origins = [line for line in lines if "  # " in line]
    assert len(origins) == len(settings)
    assert len(lines) == len(settings) or width is not None
    values = [line.partition("  # ")[0].rstrip() for line in settings]
    for line in lines:
        assert width is None or len(line) <= width or line in values, line
    text = "\n".join(lines)
    both = f"AWS_CA_BUNDLE={place}  # environment"
    assert (both if width in (None, 80, 120) else both.replace("  #", "\n  #")) in text


@pytest.mark.parametrize("name", ["config", "status"])
@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"CHURN_DOMAIN": "no-such"}, "CHURN_DOMAIN=no-such names no domain"),
        ({"CHURN_REDIS_URL": "http://a"}, "CHURN_REDIS_URL must look like redis://"),
    ],
)
def test_an_invalid_setting_is_reported_after_the_values(
    bare: Bare, name: str, environ: dict[str, str], said: str
) -> None:
    answer = CliRunner().invoke(main, [name], env={"CHURN_HOME": str(bare.path), **environ})
    assert answer.exit_code == 2
    assert said in answer.stderr and "  what to do: " in answer.stderr
    assert answer.stdout, "the values help to correct it"


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "Interrupted\n"),
        (RuntimeError("first line\nsecond line"), 1, "Unexpected error: first line\n"),
        (RuntimeError(), 1, "Unexpected error: RuntimeError"),
    ],
)
def test_a_command_that_is_interrupted_or_fails_has_its_exit_code(
    bare: Bare, error: BaseException, code: int, said: str
) -> None:
    @click.command()
    @command
    def fail(_: Settings) -> None:
        raise error

    result = CliRunner().invoke(fail, env={"CHURN_HOME": str(bare.path)})
    assert result.exit_code == code
    assert said in result.stderr


def test_a_hint_in_the_demo_names_the_demos_commands(capsys: pytest.CaptureFixture[str]) -> None:
    """They would act on another home otherwise."""
    name_commands("churn --demo")
    try:
        hint = "`churn runs` lists them; `churn demo` makes one"
        report_error(InvalidInputError("There is no such run", where="runs", hint=hint))
    finally:
        name_commands("churn")
    said = capsys.readouterr().err
    assert "`churn --demo runs` lists them; `churn demo` makes one" in said


def test_a_variable_that_nothing_reads_is_named(bare: Bare) -> None:
    answer = CliRunner().invoke(
        main, ["config"], env={"CHURN_HOME": str(bare.path), "CHURN_API_PROT": "8300"}
    )
    said = "CHURN_API_PROT is no setting; did you mean CHURN_API_PORT?"
    assert said in " ".join(answer.stderr.split())
    given = {"CHURN_HOME": "/a", "CHURN_RUN_ID": "a", "CHURN_NOTIFY_FILE": "/a", "CHURN_ODD": ""}
    assert not list(find_unknown_variables(given, bare.path))


def test_the_variables_that_are_no_settings_are_those_of_the_sources() -> None:
    folders = ("churn", "lakehouse", "seeds_loader", "feature_repo", "trainer", "serving", "dags")
    files = [path for each in (*folders, "docker") for path in (PROJECT / each).rglob("*")]
    files = [path for path in files if path.suffix in {".py", ".yml", ".sh", ".scala", ".java"}]
    text = "\n".join(path.read_text() for path in [*files, PROJECT / "docker-compose.yml"])
    used = set(re.findall(r"\bCHURN_[A-Z0-9_]*[A-Z0-9]\b", text))
    assert used and not list(find_unknown_variables(dict.fromkeys(used, "a"), Path("/none")))


def test_the_demo_names_the_settings_that_it_ignores(
    bare: Bare, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The option changes the environment of the process.
    monkeypatch.setattr(os, "environ", {**os.environ})
    given = {"CHURN_HOME": str(bare.path), "CHURN_DOMAIN": "retail", "CHURN_API_PORT": "8001"}
    os.environ.update(given)
    answer = CliRunner().invoke(main, ["--demo", "config"])
    assert "warning: the demo ignores CHURN_DOMAIN\n" in answer.stderr
    found = {
        line.partition("=")[0]: line.partition("  # ")[2] for line in answer.stdout.splitlines()
    }
    assert (found["CHURN_API_PORT"], found["CHURN_DOMAIN"]) == ("--demo", "default")
