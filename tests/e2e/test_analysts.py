"""dbt as analysts use it: a model of their own on gold, and the commands of their days."""

import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from environments import BIN, ChurnHome

from lakehouse.dbt_project import PARTS
from lakehouse.settings import PROJECT

MODEL = """{{ config(schema='analysis') }}
select
    tenure_group,
    count(*) as customers
from {{ ref('customer_features') }}
group by tenure_group
"""
PROPERTIES = """version: 2
models:
  - name: customers_by_tenure
    description: Customers of all published extracts by tenure group.
    columns:
      - name: tenure_group
        description: The group.
        data_tests: [not_null, unique]
"""
SNAPSHOT = """snapshots:
  - name: groups_over_time
    relation: ref('customers_by_tenure')
    config: {schema: analysis, unique_key: tenure_group, strategy: check, check_cols: all,
      file_format: delta}
"""


@dataclass(frozen=True)
class Analyst:
    """A copy of the dbt project with a model of its own, on a home with a published run."""

    home: ChurnHome
    folder: Path

    @property
    def model(self) -> Path:
        return self.folder / "models" / "analysis" / "customers_by_tenure.sql"

    def dbt(self, *arguments: str, code: int = 0) -> str:
        places = {
            "--project-dir": self.folder,
            "--profiles-dir": PROJECT,
            "--target-path": self.folder / "target",
            "--log-path": self.folder / "logs",
        }
        options = [part for option in places.items() for part in option]
        answer = self.home.call([BIN / "dbt", *arguments, *options], code)
        return answer.stdout

    def count(self) -> int:
        counted: int = self.home.value("select sum(customers) from analysis.customers_by_tenure")
        return counted

    def published(self) -> list[int]:
        tables = ("customer_features", "churn_labels", "publications", "churn_scores")
        return [self.home.value(f"select count(*) from gold.{table}") for table in tables]


@pytest.fixture(scope="module")
def analyst(changed_home: ChurnHome, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Analyst]:
    folder = tmp_path_factory.mktemp("analyst") / "project"
    for part in (*PARTS, "domains"):
        shutil.copytree(PROJECT / part, folder / part)
    shutil.copy(PROJECT / "dbt_project.yml", folder)
    found = Analyst(changed_home, folder)
    found.model.parent.mkdir()
    found.model.write_text(MODEL)
    found.model.with_suffix(".yml").write_text(PROPERTIES)
    yield found
    changed_home.sql("drop schema if exists analysis cascade")


def test_an_error_of_a_models_sql_is_shown_where_it_is_and_retried(analyst: Analyst) -> None:
    analyst.model.write_text(MODEL.replace("    tenure_group,", "    tenure_grup,"))
    said = analyst.dbt("build", "--select", "customers_by_tenure", code=1)
    shown = re.sub(r"^\d\d:\d\d:\d\d +", "", said, flags=re.MULTILINE)
    assert "models/analysis/customers_by_tenure.sql, line 3:" in shown
    assert "3 | tenure_grup,\n" in shown and " ^^^^^^^^^^^\n" in shown
    assert "Did you mean tenure_group" in shown
    assert "org.apache" not in said and "\tat " not in said
    assert "org.apache" in (analyst.folder / "logs" / "dbt.log").read_text()
    # The command line shows the same for a build of its own.
    analyst.model.write_text(MODEL)
    analyst.dbt("retry")
    assert analyst.count() == analyst.home.value("select count(*) from gold.customer_features")
    said = analyst.dbt("show", "--inline", "select 42 as answer;", "--output", "json")
    assert '"answer": 42' in said


@pytest.mark.long
def test_commands_of_an_analysts_day(analyst: Analyst) -> None:
    before = analyst.published()
    analyst.dbt("build", "--select", "customers_by_tenure")
    assert "select" in analyst.dbt("compile", "--select", "customers_by_tenure")
    shown = analyst.dbt("show", "--select", "customers_by_tenure", "--limit", "2")
    assert "tenure_group" in shown
    state = analyst.folder / "state"
    shutil.copytree(analyst.folder / "target", state)
    analyst.model.write_text(MODEL.replace("count(*) as", "count(customer_id) as"))
    modified = ("--select", "state:modified+", "--state", str(state))
    listed = analyst.dbt("ls", "--resource-type", "model", *modified)
    assert re.findall(r"^telco_churn\S*", listed, re.MULTILINE) == [
        "telco_churn.analysis.customers_by_tenure"
    ]
    analyst.dbt("build", *modified)
    analyst.dbt("build", "--select", "customers_by_tenure", "--empty", "--full-refresh")
    assert analyst.home.value("select count(*) from analysis.customers_by_tenure") == 0
    analyst.dbt("build", "--select", "customers_by_tenure", "--full-refresh")
    assert analyst.count() == before[0]
    assert analyst.published() == before


@pytest.mark.long
def test_an_empty_build_of_everything_leaves_gold_as_it_is(analyst: Analyst) -> None:
    before = analyst.published()
    analyst.dbt("build", "--empty", "--exclude-resource-type", "unit_test")
    assert analyst.published() == before
    analyst.home.churn("build")
    assert analyst.published() == before


@pytest.mark.long
def test_failing_rows_are_stored(analyst: Analyst) -> None:
    analyst.dbt("build", "--select", "customers_by_tenure")
    test = analyst.folder / "tests" / "gate" / "few_customers.sql"
    test.write_text("select * from {{ ref('customers_by_tenure') }} where customers > 0\n")
    analyst.dbt("test", "--select", "few_customers", "--store-failures", code=1)
    test.unlink()
    schemas = [row["namespace"] for row in analyst.home.sql("show schemas")]
    (stored,) = [schema for schema in schemas if schema.endswith("dbt_test__audit")]
    assert analyst.home.value(f"select count(*) from {stored}.few_customers") > 0
    analyst.home.sql(f"drop schema {stored} cascade")


@pytest.mark.long
def test_a_snapshot_keeps_what_was(analyst: Analyst) -> None:
    analyst.model.write_text(MODEL)
    analyst.dbt("build", "--select", "customers_by_tenure")
    folder = analyst.folder / "snapshots"
    folder.mkdir()
    (folder / "groups.yml").write_text(SNAPSHOT)
    analyst.dbt("snapshot")
    rows = analyst.home.value("select count(*) from analysis.groups_over_time")
    analyst.model.write_text(MODEL.replace("count(*) as", "1 + count(*) as"))
    analyst.dbt("run", "--select", "customers_by_tenure")
    analyst.dbt("snapshot")
    assert analyst.home.value("select count(*) from analysis.groups_over_time") == 2 * rows
    current = "select count(*) from analysis.groups_over_time where dbt_valid_to is null"
    assert analyst.home.value(current) == rows
    analyst.model.write_text(MODEL)
    shutil.rmtree(folder)


@pytest.mark.long
def test_clone_is_refused(analyst: Analyst) -> None:
    before = analyst.published()
    said = analyst.dbt("clone", "--state", str(analyst.folder / "target"), code=2)
    assert "`dbt clone` is not supported" in said and "churn backup" in said
    assert analyst.published() == before


@pytest.mark.long
def test_an_interrupted_build_says_how_far_it_came(changed_home: ChurnHome) -> None:
    """Ctrl-C in the middle of dbt: 130, the step, and a record; then the next build is whole."""
    process = subprocess.Popen(
        [BIN / "churn", "build", "--rebuild", "--verbose"],
        env=changed_home.environ,
        cwd=PROJECT,
        stderr=subprocess.PIPE,
        text=True,
        # Who runs the tests in the background may have the signal ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    assert any("models and tests" in line for line in process.stderr)
    process.send_signal(signal.SIGINT)
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait(120) == 130, said
    assert "Interrupted in 2/2 build; nothing was published; repeat the command" in said
    assert "Traceback" not in said
    last = changed_home.churn_json("runs")[0]
    assert (last["result"], last["step"]) == ("interrupted", "2/2 build")
    changed_home.churn("build")
