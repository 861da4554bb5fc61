"""An error about a name that does not exist, of a file or a record, comes at once and helps."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from churn.cli.main import main
from churn.operations import airflow_server
from churn.pipeline import campaigns
from churn.provenance import customer, load_state, trace_queries
from lakehouse import spark_server
from lakehouse.errors import InvalidInputError
from lakehouse.run_log import read_records
from lakehouse.settings import Settings, read_settings
from seeds_loader.contract import read_contract
from seeds_loader.draft.roles import choose_label
from trainer import registry

# What takes seconds to import.
HEAVY = ["pyspark", "feast", "dbt", "pandas", "pyarrow", "numpy", "sklearn", "mlflow", "openpyxl"]
# Calls the commands, and prints what each one has imported when it has failed.
IMPORTED = """
import json, sys
from churn.cli.main import main
heavy, lines = json.loads(sys.argv[1])
imported = {"none": [name for name in heavy if name in sys.modules]}
for line in lines:
    try:
        main(line.split(), prog_name="churn")
    except SystemExit as leave:
        assert leave.code == 2, (line, leave.code)
    imported[line] = [name for name in heavy if name in sys.modules]
    for name in imported[line]:
        heavy.remove(name)
print(json.dumps({line: names for line, names in imported.items() if names}))
"""
RUNS = ["20250101T060000Z-aaaaaa", "20250201T060000Z-bbbbbb"]
VERSIONS = ["20250101-aaaaaaaa", "20250201-bbbbbbbb"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a workbook, and a home with two runs, two versions and a key."""
    for name in RUNS:
        (tmp_path / "home" / "runs" / name).mkdir(parents=True)
        (tmp_path / "home" / "runs" / name / "summary.json").write_text('{"batch_id": "b"}')
    for name in VERSIONS:
        (tmp_path / "home" / "models" / name).mkdir(parents=True)
        (tmp_path / "home" / "models" / name / registry.RECORD).write_text("{}")
    for name in ("customers.xlsx", "text.xlsx"):
        (tmp_path / name).write_text("customerID,gender\n")
    (tmp_path / "contract.yml").touch()
    (tmp_path / "backups").mkdir()
    return tmp_path


def call(folder: Path, monkeypatch: pytest.MonkeyPatch, line: str) -> Result:
    monkeypatch.chdir(folder)
    return CliRunner().invoke(main, line.split(), env={"CHURN_HOME": str(folder / "home")})


MISSING = {
    "run custmers.xlsx": "did you mean customers.xlsx? check the path",
    "run customers.csv": "did you mean customers.xlsx? check the path",
    "run none/customers.xlsx": "/none either",
    "ingest Customer.xlsx": "did you mean customers.xlsx?",
    "score customers.xls": "did you mean customers.xlsx?",
    "init cstomers.xlsx": "did you mean customers.xlsx?",
    "campaign record spring customers.xls": "did you mean customers.xlsx?",
    "contract import contrct.yaml --out new.yml": "did you mean contract.yml?",
    "restore backup": "did you mean backups?",
    "restore contract.yml": "contract.yml is a file, and a backup is a folder",
    "run text.xlsx": "rename it to .csv",
    "run home": "name the workbook inside it",
    "run backups/..": "such as customers.xlsx",
    "reproduce 20250101T060000Z-aaaaab": RUNS[0],
    f"diff {RUNS[0]} 20250201T060000Z-bbbbb": RUNS[1],
    "trace 7590-VHVEG --run 20250201T060000Z": RUNS[1],
    "rejects --run 20250201T060000Z --out new.xlsx": RUNS[1],
    "promote 20250101-aaaaaaab --reason good": f"did you mean {VERSIONS[0]}",
    "rollback 20250101": f"did you mean {VERSIONS[0]}",
    "evidence 20250101 --out new.zip": f"did you mean {VERSIONS[0]}",
    "letter A --out none/new.html": "make the folder",
    "retention-list --out customers.xlsx": "name another file, or move this one away",
    "contract template --out customers.xlsx": "name another file, or move this one away",
    "contract export --out none/new.yml": "make the folder",
    "person A --out none/new.zip": "make the folder",
    "forget A --proof none/new.json": "make the folder",
}


@pytest.mark.parametrize("line", MISSING)
def test_what_was_probably_meant_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    before = sorted(folder.rglob("*"))
    answer = call(folder, monkeypatch, line)
    assert answer.exit_code == 2
    assert MISSING[line] in answer.stderr
    assert "  where: " in answer.stderr
    assert "  what to do: " in answer.stderr
    assert sorted(folder.rglob("*")) == before


def test_a_missing_file_is_reported_before_anything_slow_is_imported(folder: Path) -> None:
    """Imports are counted, not seconds, which depend on the machine."""
    called = subprocess.run(
        [sys.executable, "-c", IMPORTED, json.dumps([HEAVY, list(MISSING)])],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "CHURN_HOME": str(folder / "home")},
    )
    assert called.returncode == 0, called.stderr
    assert json.loads(called.stdout) == {}


def test_a_name_that_cant_be_printed_is_not_suggested(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "customers\x1b[2J.xlsx").touch()
    (folder / "customers.xlsx").unlink()
    assert "\x1b" not in call(folder, monkeypatch, "run customers.xlsx").stderr


def test_a_file_without_rights_is_explained(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    said = call(folder, monkeypatch, "run customers.xlsx").stderr
    assert "customers.xlsx can't be read: Permission denied" in said
    assert "the rights to the file" in said


def test_a_folder_without_rights_is_explained(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    said = call(folder, monkeypatch, "retention-list --out new.xlsx").stderr
    assert "new.xlsx can't be written: Permission denied" in said


@pytest.mark.parametrize("line", [["show", " "], ["trace", "A", ""], ["letter", "", "--out", "a"]])
def test_a_blank_id_is_refused(folder: Path, line: list[str]) -> None:
    answer = CliRunner().invoke(main, line, env={"CHURN_HOME": str(folder / "home")})
    assert answer.exit_code == 2
    assert "The customer's id is blank" in answer.stderr


def test_a_key_that_does_not_exist_is_compared_with_those_that_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "there is none yet" in call(folder, monkeypatch, "api-key revoke team").stderr
    assert call(folder, monkeypatch, "api-key new retention-team").exit_code == 0
    said = call(folder, monkeypatch, "api-key revoke retention-taem").stderr
    assert "did you mean retention-team? name one that has a key: retention-team" in said


def test_a_component_that_does_not_exist_is_not_called_unhealthy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("run-component", "healthcheck"):
        answer = call(folder, monkeypatch, f"airflow {name} schdlr")
        assert answer.exit_code == 2
        assert "did you mean scheduler?" in answer.stderr
    assert "scheduler" in airflow_server.COMPONENTS


def test_a_campaign_that_does_not_exist_is_compared_with_those_that_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(campaigns.records, "find_campaign", lambda *_: None)
    rows = [{"campaign": "spring"}, {"campaign": "autumn"}]
    monkeypatch.setattr(campaigns.records, "list_campaigns", lambda _: rows)
    with pytest.raises(InvalidInputError, match=r"did you mean spring\? `churn campaign list`"):
        campaigns._require_started(None, "sprng")


def test_a_load_that_does_not_exist_is_compared_with_those_that_do() -> None:
    error = load_state.not_loaded_error("097ecb8d", ["1", "2", "3", "097ecb8db190a9f3"])
    assert "did you mean 097ecb8db190a9f3? name one of these (097ecb8db190a9f3, 3, 2)" in error.hint
    assert load_state.not_loaded_error().hint == "`churn run WORKBOOK` loads a workbook"


def write_table(settings: Settings, table: str, rows: list[dict[str, Any]]) -> None:
    place = Path(settings.lake.root).joinpath(*table.split("."))
    (place / "_delta_log").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows), place / "a.parquet")
    added = json.dumps({"add": {"path": "a.parquet"}})
    (place / "_delta_log" / f"{0:020}.json").write_text(f"{added}\n")


NOT_IN_LAKE = {
    "history gold.publicatoins": "did you mean gold.publications? name one with its schema",
    "history gold.typo": "such as gold.churn_scores; `churn docs` lists all",
    "history champoin": "did you mean champion?",
    "approve 097ecb8 --reason expected": "did you mean 097ecb8db190a9f3? name one of these",
    "campaign close sprng": "did you mean spring? `churn campaign list` lists them",
    "campaign record sprng team.csv": "did you mean spring?",
    "trace 7590-VHVEX": "check the id, which looks like",
    "trace 7590-VHVEG 7590-VHVEX": "check the id, which looks like",
    "letter 7590-VHVEX --out new.html": "check the id, which looks like",
}
# What the state of the home does not permit.
NOT_PERMITTED = {
    "campaign start spring --top 9 --out new.xlsx": "There is a campaign spring already: top 3",
    "campaign record autumn team.csv": "The campaign autumn is closed",
    "rollback": "There is no earlier champion to go back to",
    "score": "No model is champion",
}


@pytest.fixture
def without_server(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "team.csv").write_text("customerID,called\n")

    def refuse(*_: Any) -> None:
        raise AssertionError("a server is started")

    monkeypatch.setattr(spark_server, "ensure_running", refuse)


@pytest.mark.parametrize("line", NOT_IN_LAKE | NOT_PERMITTED)
@pytest.mark.usefixtures("without_server")
def test_a_name_that_is_not_in_the_lake_is_refused_before_a_server_is_started(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    settings = read_settings({"CHURN_HOME": str(folder / "home")})
    moment = datetime(2025, 1, 1, tzinfo=UTC)
    load = {"batch_id": "097ecb8db190a9f3", "load_number": 1, "_loaded_at": moment}
    write_table(settings, "bronze.loads", [load])
    started = {"request": "top 3, control 0.1", "started_at": moment}
    names = ("spring", "autumn")
    write_table(settings, "bronze.campaigns", [{"campaign": name, **started} for name in names])
    closing = {"campaign": "autumn", "closed_at": moment}
    write_table(settings, "bronze.campaign_closings", [closing])
    write_table(settings, "bronze.telco_customers", [{read_contract().id: " 7590-VHVEG"}])
    write_table(settings, "gold.publications", [{"batch_id": "097ecb8db190a9f3"}])
    answer = call(folder, monkeypatch, line)
    assert answer.exit_code == 2, answer.stderr
    assert (NOT_IN_LAKE | NOT_PERMITTED)[line] in answer.stderr
    assert "tables: " not in answer.stderr, "a list of tables hides what is wrong"
    assert not read_records(settings), "a refused command is in `churn runs`"
    named = call(folder, monkeypatch, "trace 7590-VHVEG")
    assert "a server is started" in named.stderr, "a name that exists is not refused"


@pytest.mark.parametrize("line", NOT_IN_LAKE)
@pytest.mark.usefixtures("without_server")
def test_an_empty_lake_needs_no_server_to_say_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    answer = call(folder, monkeypatch, line)
    assert answer.exit_code == 2, answer.stderr
    assert "`churn run WORKBOOK`" in answer.stderr or "`churn campaign start" in answer.stderr


@pytest.mark.parametrize("name", ["7590-vhveg", "7590- VHVEG"])
def test_an_id_in_another_spelling_is_named_and_no_other_id(
    folder: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Ids of other people are not disclosed."""
    there = {"7590-VHVEG": {}, "7590-VHVEH": {}}
    monkeypatch.setattr(
        customer,
        "read_online_customers",
        lambda _, ids, __: {each: there[each] for each in ids if each in there},
    )
    settings = read_settings({"CHURN_HOME": str(folder / "home")})
    with pytest.raises(InvalidInputError) as raised:
        customer.show_customer(settings, name, print)
    assert raised.value.hint.startswith("did you mean 7590-VHVEG? check the id")


def test_a_trace_names_the_other_spelling_too(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = read_contract().id
    there = pa.chunked_array([["7590-VHVEG", "7590-VHVEH"]])

    def read_rows(_: Any, __: str, condition: Any, **___: Any) -> list[Any]:
        return [
            SimpleNamespace(values={key: each.as_py()}) for each in there.filter(condition(there))
        ]

    monkeypatch.setattr(trace_queries.spark_process, "find", lambda _: None)
    monkeypatch.setattr(trace_queries, "is_delta", lambda _: True)
    monkeypatch.setattr(trace_queries, "read_rows", read_rows)
    settings = read_settings({"CHURN_HOME": str(folder / "home")})
    trace_queries.require_in_bronze(settings, ["7590-VHVEH"])
    with pytest.raises(InvalidInputError, match="There is no customer '7590-vhveg'") as raised:
        trace_queries.require_in_bronze(settings, ["7590-vhveg"])
    assert raised.value.hint.startswith("did you mean 7590-VHVEG? check the id")


def test_a_column_that_does_not_exist_is_compared_with_those_that_do() -> None:
    profiles: Any = [SimpleNamespace(header=each, name=each.lower()) for each in ("Churn", "ID")]
    with pytest.raises(InvalidInputError, match=r"did you mean Churn\?"):
        choose_label(profiles, "Chrun", None)


def test_a_damaged_version_is_not_suggested_for_itself(folder: Path) -> None:
    settings = read_settings({"CHURN_HOME": str(folder / "home")})
    hint = registry.unknown_version_error(settings, VERSIONS[0]).hint
    assert VERSIONS[0] not in hint
    assert (
        json.loads((folder / "home" / "models" / VERSIONS[0] / registry.RECORD).read_text()) == {}
    )
