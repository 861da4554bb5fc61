"""In the demo's home, every text names commands as `churn --demo`: the others act on another home.

A text leaves the process through few functions, which name its commands; the first two tests find
texts that bypass them.
"""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from churn.cli.main import main
from churn.cli.output import print_json, print_message, print_result
from churn.pipeline.notifications import PROMOTED, make_message
from churn.reports.front_page import FrontPage, front_page
from lakehouse import run_log
from lakehouse.command_name import CHURN, DEMO, choose_name, name_commands
from lakehouse.errors import InvalidInputError
from lakehouse.progress import Steps
from lakehouse.settings import PROJECT, read_settings
from lakehouse.terminal import Detail, reset_options, set_detail
from serving import errors

PACKAGES = ("churn", "dags", "feature_repo", "lakehouse", "seeds_loader", "serving", "trainer")
# Modules that write texts themselves: with named commands, or texts without any of their own.
WRITERS = {
    "churn/cli/output.py": "names the commands",
    "churn/pipeline/server_watchdog.py": "names the commands",
    "churn/pipeline/airflow_campaigns.py": "results of a task",
    "churn/pipeline/airflow_steps.py": "results of a task",
    "churn/operations/site_server.py": "a line for each request",
    "churn/reports/bill_of_materials.py": "JSON",
    "churn/reports/query_result.py": "the rows of a query",
    "dags/approval.py": "the state of a task",
    "dags/tasks.py": "the state of a task",
    "lakehouse/buckets.py": "the name of a bucket",
    "lakehouse/class_archive.py": "a result; errors name the commands themselves",
    "lakehouse/dbt_project.py": "files",
    "lakehouse/run_lock.py": "the purpose of a lock, for dbt",
    "lakehouse/settings.py": "a table",
    "lakehouse/stack_secrets.py": "a file",
    "lakehouse/uv_progress.py": "packages",
    "serving/healthcheck.py": "the answer of the API, which names them",
}
COMMANDS = "|".join(sorted(main.commands, key=len, reverse=True))
# A command in a text, and not in backticks, by which it is recognized.
BARE = re.compile(rf"(?<![`\w/.-])churn (?:--demo )?(?:{COMMANDS})\b")
# A call by its name alone, such as the `where` of an error, the purpose of a lock, or an example;
# the parts of a text between values end with a space.
NAME = re.compile(rf"churn (?:{COMMANDS})(?: [a-z-]+| --readers)* ?")
# Texts for `churn COMMAND --help` and for the pages of a site, which add how commands are called.
APART = ("churn/cli/main.py", "churn/cli/help.py", "lakehouse/sites.py", "serving/app.py")


@pytest.fixture
def demo() -> Iterator[None]:
    name_commands(DEMO)
    yield
    name_commands(CHURN)


def read_sources() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((PROJECT / package).rglob("*.py")):
            yield str(path.relative_to(PROJECT)), ast.parse(path.read_text())


def find_writes(tree: ast.AST) -> list[str]:
    """Calls that write a text to a standard stream."""
    calls = (ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call))
    known = ("print", "echo", "click.echo", "click.secho")
    return [call for call in calls if call in known or re.fullmatch(r"sys\.std\w+\.write", call)]


def find_bare_commands(tree: ast.AST) -> list[str]:
    """Texts with a command that is not in backticks, apart from docstrings."""
    documents = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    texts = (
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and id(node) not in documents
    )
    return [text for text in texts if BARE.search(text) and not NAME.fullmatch(text)]


def test_no_module_writes_texts_past_the_functions_that_name_commands() -> None:
    found = {name for name, tree in read_sources() if find_writes(tree)}
    assert found == set(WRITERS)


def test_commands_in_texts_are_in_backticks() -> None:
    found = {name: find_bare_commands(tree) for name, tree in read_sources() if name not in APART}
    assert {name: texts for name, texts in found.items() if texts} == {}


def test_both_find_what_they_look_for() -> None:
    tree = ast.parse('"""churn run"""\nclick.echo("call churn run")\nraise E(where="churn run")')
    assert find_writes(tree) == ["click.echo"]
    assert find_bare_commands(tree) == ["call churn run"]


@pytest.mark.parametrize(
    ("home", "called"),
    [("/a/.churn-demo", DEMO), ("/a/.churn-demo/", DEMO), ("/a/.churn", CHURN), ("", CHURN)],
)
def test_a_process_that_inherits_a_home_names_its_commands(home: str, called: str) -> None:
    assert choose_name(home) == called


@pytest.mark.usefixtures("demo")
def test_results_messages_and_progress_name_the_demos_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_result("`churn runs` lists them; `churn demo` makes one")
    print_json({"state": "`churn run WORKBOOK`"})
    print_message("`churn up` starts it")
    set_detail(Detail.VERBOSE)
    steps = Steps(1)
    with steps.step("server") as step:
        step.log("`churn down` ends it")
        step.outcome = "running; `churn down` ends it"
    reset_options()
    out, err = capsys.readouterr()
    assert out.startswith("`churn --demo runs` lists them; `churn demo` makes one\n")
    assert json.loads(out.partition("\n")[2]) == {"state": "`churn --demo run WORKBOOK`"}
    assert "`churn --demo up` starts it" in err
    assert err.count("`churn --demo down` ends it") == 2
    assert "`churn runs`" not in out + err


@pytest.mark.usefixtures("demo")
def test_the_log_of_a_run_names_the_demos_commands(tmp_path: Path) -> None:
    log = run_log.RunLog(read_settings({"CHURN_HOME": str(tmp_path)}), "churn demo")
    log.begin("20250101T000000Z-aaaaaa")
    log.write("warning: `churn build` makes the views", "warning")
    assert log.path is not None
    assert "`churn --demo build` makes the views" in log.path.read_text()
    run_log.set_run(None)


@pytest.mark.usefixtures("demo")
def test_errors_answers_messages_and_pages_name_the_demos_commands() -> None:
    error = InvalidInputError("x", where="y", hint="`churn status` shows it")
    assert error.hint == "`churn --demo status` shows it"
    for problem in (errors.no_key(), errors.unknown_customer("a"), errors.no_model()):
        assert "`churn --demo " in problem.details["what_to_do"]
        assert "`churn -" not in problem.details["what_to_do"].replace("`churn --demo ", "")
    assert "`churn --demo runs`" in make_message(PROMOTED, "a", "b", ["`churn runs`"]).body
    assert "<code>churn --demo run path" in front_page(FrontPage())


@pytest.mark.parametrize("line", ["campaigns start", "campaign stat", "xyzzy", "materialize"])
def test_a_suggestion_for_a_mistyped_command_names_the_demos(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CHURN_HOME", str(tmp_path / "home-demo"))
    said = CliRunner().invoke(main, ["--demo", *line.split()]).stderr
    assert "`churn --demo " in said
    assert re.search(r"`churn (?!--demo)", said) is None
