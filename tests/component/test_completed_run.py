"""From the workbook to the model: the job's own promises, on the published workbook."""

import json
import re
import stat
import subprocess
from pathlib import Path

import pytest
from environments import BIN, CompletedRun
from terminals import run_in_terminal

from feature_repo.feature_definitions import read_feature_columns
from feature_repo.feature_store import configuration
from lakehouse import online_store, spark_process

BAR = re.compile("[━╸╺]+")
LEAKS = {"churn", "churned", "churn_label", "churn_value", "churn_score", "churn_reason", "cltv"}


def test_the_counts_are_the_known_ones(completed_run: CompletedRun) -> None:
    rows = {"bronze": 7049, "exact_duplicates": 4, "rejected": 2, "silver": 7043}
    later = dict.fromkeys(("gold", "online_verified", "scored"), 7043)
    assert completed_run.summary["counts"] == {**rows, **later}
    assert completed_run.summary["gate"]["verdict"] == "passed"
    assert completed_run.summary["gate"]["failed"] == 0
    assert completed_run.summary["unchanged"] is False
    assert completed_run.summary["extract_date"] == "2025-12-03"


def test_the_features_have_the_known_figures(completed_run: CompletedRun) -> None:
    groups = completed_run.home.sql(
        "select tenure_group, count(*) as n from gold.customer_features group by 1 order by 1"
    )
    assert [row["n"] for row in groups] == [2069, 1047, 1624, 2303]
    figures = completed_run.home.sql(
        """
        select sum(is_high_value) as high, count_if(total_charges = 0) as unbilled,
            avg(billing_ratio) as mean, min(billing_ratio) as low, max(billing_ratio) as high_ratio
        from gold.customer_features
        """
    )[0]
    assert (figures["high"], figures["unbilled"]) == (1847, 11)
    assert round(figures["mean"], 4) == 1.0023
    assert round(figures["low"], 4) == 0.6355
    assert round(figures["high_ratio"], 4) == 1.4506
    assert completed_run.home.value("select sum(churned) from gold.churn_labels") == 1869


def test_the_negative_rows_are_rejected_by_their_excel_rows(completed_run: CompletedRun) -> None:
    rejects = completed_run.home.sql(
        "select _row_number, customerID, reasons from silver.rejected_rows order by _row_number"
    )
    reasons = {row["_row_number"]: row["reasons"] for row in rejects}
    assert sorted(reasons) == list(range(7045, 7051))
    for row in (7045, 7046, 7047, 7048):
        assert [each["code"] for each in reasons[row]] == ["exact_duplicate"]
    for row, value in ((7049, "-100"), (7050, "-500")):
        assert reasons[row] == [
            {"code": code, "column_name": "TotalCharges", "value": value}
            for code in ("out_of_range", "total_fits_tenure")
        ]
    kept = completed_run.home.sql(
        """
        select customer_id, total_charges from silver.customers
        where customer_id in ('0639-TSIQW', '8456-QDAVC') order by 1
        """
    )
    assert [row["total_charges"] for row in kept] == [6886.25, 1495.1]


def test_gold_is_parquet_by_extract_date_and_holds_no_label(completed_run: CompletedRun) -> None:
    folder = completed_run.home.path / "lake" / "gold" / "customer_features"
    files = [each for each in folder.rglob("*") if each.is_file() and each.suffix != ".crc"]
    assert files
    # a folder for each publish, below the partition's
    assert {each.parent.parent.name for each in files} == {"extract_date=2025-12-03"}
    assert len({each.parent for each in files}) == 1
    assert all(each.suffix == ".parquet" for each in files)
    columns = {row["col_name"] for row in completed_run.home.sql("describe gold.customer_features")}
    assert not columns & LEAKS


def test_the_feature_view_is_the_dbt_contract(completed_run: CompletedRun) -> None:
    from feature_repo.features import customer_features

    declared = [feature.name for feature in read_feature_columns()]
    assert [field.name for field in customer_features.features] == declared
    assert not [field for field in customer_features.features if "{{" in field.description]
    stored = [row["col_name"] for row in completed_run.home.sql("describe gold.customer_features")]
    assert set(declared) <= set(stored)


def test_the_model_is_honest(completed_run: CompletedRun) -> None:
    model = completed_run.summary["model"]
    assert 0.835 <= model["roc_auc"] <= 0.87
    assert model["pr_auc"] >= 0.64
    assert 0.76 <= model["accuracy"] <= 0.84
    assert model["brier"] <= 0.15
    assert set(model["holdout"]) >= {"roc_auc", "pr_auc", "accuracy", "f1", "brier"}
    assert model["version"]


def test_every_customer_is_scored_once(completed_run: CompletedRun) -> None:
    rows = completed_run.home.sql(
        """
        select count(*) as n, count(distinct customer_id) as customers, min(probability) as low,
            max(probability) as high, min(decile) as first, max(decile) as last,
            count_if(size(reasons) between 1 and 3) as explained
        from gold.churn_scores
        """
    )[0]
    assert rows["n"] == rows["customers"] == 7043
    assert 0 < rows["low"] < rows["high"] < 1
    assert (rows["first"], rows["last"]) == (1, 10)
    assert rows["explained"] > 0


def test_show_prints_what_redis_holds(completed_run: CompletedRun) -> None:
    shown = completed_run.home.churn_json("show", "7590-VHVEG")
    assert shown["customer_id"] == "7590-VHVEG"
    assert shown["event_timestamp"] == "2025-12-03T00:00:00Z"
    assert shown["features"]["tenure"] == 1
    assert shown["features"]["monthly_charges"] == 29.85
    assert shown["features"]["contract_month_to_month"] == 1
    assert 0 < shown["score"]["probability"] < 1
    assert shown["score"]["model_version"] == completed_run.summary["model"]["version"]
    assert "7590-VHVEG" in completed_run.home.churn("show", "7590-VHVEG").stdout


def test_show_says_who_is_unknown(completed_run: CompletedRun) -> None:
    answer = completed_run.home.churn("show", "unknown' or '1'='1", code=2)
    assert "There is no customer" in answer.stderr
    assert "churn trace" in answer.stderr


def test_trace_leads_back_to_the_workbook(completed_run: CompletedRun) -> None:
    lineage = completed_run.home.churn_json("trace", "0639-TSIQW")
    assert [row["row_number"] for row in lineage["bronze"]] == [7036, 7049]
    assert [row["row_number"] for row in lineage["rejected"]] == [7049]
    assert [row["row_number"] for row in lineage["silver"]] == [7036]
    assert lineage["gold"][0]["run_id"] == completed_run.summary["run_id"]
    assert lineage["online"]["features"]["total_charges"] == 6886.25


def test_verify_reads_everything_back(completed_run: CompletedRun) -> None:
    verified = completed_run.home.churn_json("features", "verify")
    assert verified == {
        "customers": 7043,
        "features": len(read_feature_columns()),
        "differences": [],
    }


def test_verify_finds_a_changed_value(completed_run: CompletedRun) -> None:
    from feature_repo.online.redis_layout import redis_key

    settings = completed_run.home.settings
    address = online_store.ensure_running(settings, lambda _: None)
    key = redis_key("7590-VHVEG")
    with address.client() as client:
        before = client.hgetall(key)
        field = next(name for name in before if not name.startswith(b"_ts"))
        client.hset(key, field, b"\x20\x63")
        try:
            answer = completed_run.home.churn("features", "verify", "--json", code=1)
        finally:
            client.hset(key, mapping=before)
    found = json.loads(answer.stdout)["differences"]
    assert [each["customer_id"] for each in found] == ["7590-VHVEG"]


def test_features_come_back_by_feast_itself(completed_run: CompletedRun) -> None:
    from feast import FeatureStore

    address = online_store.ensure_running(completed_run.home.settings, lambda _: None)
    store = FeatureStore(config=configuration(completed_run.home.settings, address))
    answer = store.get_online_features(
        features=["customer_features:tenure", "customer_features:billing_ratio"],
        entity_rows=[{"customer_id": "7590-VHVEG"}],
    ).to_dict()
    assert answer["tenure"] == [1]
    assert answer["billing_ratio"] == [1.0]


def test_the_report_stands_alone(completed_run: CompletedRun) -> None:
    page = (
        completed_run.home.path / "runs" / completed_run.summary["run_id"] / "report.html"
    ).read_text()
    assert "<svg" in page
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', page)
    summary = json.loads(
        (
            completed_run.home.path / "runs" / completed_run.summary["run_id"] / "summary.json"
        ).read_text()
    )
    assert summary == completed_run.summary


def test_secrets_stay_secret(completed_run: CompletedRun) -> None:
    secret = completed_run.home.path / "secrets" / "redis_password"
    password = secret.read_text()
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    assert password not in subprocess.run(["ps", "axww"], capture_output=True, text=True).stdout
    assert password not in completed_run.home.churn("config").stdout
    for log in (completed_run.home.path / "logs").rglob("*.log"):
        assert password not in log.read_text(errors="replace")


def test_status_says_what_runs(completed_run: CompletedRun) -> None:
    status = completed_run.home.churn_json("status")
    assert status["spark"]["state"] == "running"
    assert status["redis"]["state"] == "running"
    assert status["lake"]["held_by"] is None


def test_everything_listens_on_loopback_only(completed_run: CompletedRun) -> None:
    import psutil

    status = completed_run.home.churn_json("status")
    for name in ("spark", "redis"):
        process = psutil.Process(status[name]["pid"])
        listening = [c for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN]
        assert listening
        assert {c.laddr.ip for c in listening} <= {"127.0.0.1", "::ffff:127.0.0.1", "::1"}


@pytest.fixture(scope="module")
def repeated(completed_run: CompletedRun, shared_data: Path) -> dict[str, object]:
    """The same workbook again, with what lay in the lake before and after."""
    before = lake_files(completed_run) | run_files(completed_run)
    versions = table_versions(completed_run)
    summary = completed_run.home.churn_json("run", shared_data / "Telco-Customer-Churn.xlsx")
    return {
        "summary": summary,
        "before": (before, versions),
        "after": (
            lake_files(completed_run) | run_files(completed_run),
            table_versions(completed_run),
        ),
    }


def run_files(completed_run: CompletedRun) -> dict[str, int]:
    """Reports and lists of runs, and the front page."""
    folders = (completed_run.home.path / "runs", completed_run.home.path / "site")
    found = [each for folder in folders for each in folder.rglob("*") if each.is_file()]
    return {str(each): each.stat().st_mtime_ns for each in found}


def lake_files(completed_run: CompletedRun) -> dict[str, int]:
    lake = completed_run.home.path / "lake"
    return {
        str(each): each.stat().st_mtime_ns
        for each in lake.rglob("*")
        if each.is_file() and each.name != "_run.lock"
    }


def table_versions(completed_run: CompletedRun) -> dict[str, int]:
    tables = ["bronze.telco_customers", "bronze.loads", "silver.customers", "gold.churn_scores"]
    return {
        table: completed_run.home.sql(f"describe history {table} limit 1")[0]["version"]
        for table in tables
    }


def test_the_same_workbook_again_changes_nothing(
    completed_run: CompletedRun, repeated: dict[str, dict[str, object]]
) -> None:
    summary = repeated["summary"]
    assert summary["unchanged"] is True
    assert summary["counts"] == completed_run.summary["counts"]
    assert summary["model"] == completed_run.summary["model"]
    assert repeated["before"] == repeated["after"]
    assert summary["report_run"] == completed_run.summary["run_id"]
    listed = json.loads(completed_run.home.churn("runs", "--json").stdout)
    assert listed[0]["run_id"] == summary["run_id"]
    assert {each["result"] for each in listed if each["command"] == "churn run"} == {
        *("done", "unchanged")
    }
    first = sum(completed_run.summary["seconds"].values())
    assert sum(summary["seconds"].values()) < first / 2  # type: ignore[attr-defined]


def test_the_log_of_a_run_names_the_models_and_is_short_enough_to_read(
    completed_run: CompletedRun,
) -> None:
    shown = completed_run.home.churn("logs", "--run", completed_run.summary["run_id"]).stdout
    lines = shown.splitlines()
    assert len(lines) <= 80, shown
    assert sum(" models and tests; " in line for line in lines) > 10
    assert not re.search(r"\b\d{4,} (rows|customers)\b", shown)


def test_the_log_of_a_run_has_the_lines_of_the_server(completed_run: CompletedRun) -> None:
    run_id = completed_run.summary["run_id"]
    shown = completed_run.home.churn("logs", "--run", run_id, "--spark").stdout
    assert " spark: SparkContext: Running Spark version " in shown and f" {run_id} " not in shown


def test_a_run_that_changed_nothing_is_compared_and_traced(
    completed_run: CompletedRun, repeated: dict[str, dict[str, object]]
) -> None:
    first, again = completed_run.summary["run_id"], str(repeated["summary"]["run_id"])
    found = completed_run.home.churn_json("diff", first, again)
    assert [run["report_run"] for run in found["runs"]] == [None, first]
    assert (found["rows"]["gone"], found["rows"]["new"], found["rows"]["changed"]) == (0, 0, 0)
    assert {each["change"] for each in found["counts"].values()} == {0}
    traced = completed_run.home.churn_json("trace", "7590-VHVEG", "--run", again)
    assert traced["as_of"]["run_id"] == again
    assert traced["gold"] and traced["scores"]


@pytest.mark.long
@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_a_run_on_a_terminal(completed_run: CompletedRun, shared_data: Path, width: int) -> None:
    workbook = shared_data / "Telco-Customer-Churn.xlsx"
    environ = {**completed_run.home.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}
    shown, code = run_in_terminal([str(BIN / "churn"), "run", str(workbook)], environ, width)
    assert code == 0, shown.lines
    bars = {bar.span() for frame in shown.frames for line in frame for bar in BAR.finditer(line)}
    assert len(bars) == 1, "the bar has one place and one width"
    assert [line.split()[1] for line in shown.lines if line.startswith("✓")] == [
        f"{number}/12" for number in range(1, 13)
    ]
    text = "".join(shown.lines)
    assert "unchanged: this workbook was run before" in text
    assert re.search(r"log: .*/logs/runs/\w+-\w+\.log", text)
    assert not BAR.search(text), "nothing of the bar is left"


def test_dbt_stops_at_another_lake(completed_run: CompletedRun, tmp_path: Path) -> None:
    answer = completed_run.home.call(
        [Path(__file__).parents[2] / ".venv/bin/dbt", "run", "-s", "pending_loads"],
        code=2,
        CHURN_LAKE_URI=str(tmp_path),
        DBT_TARGET_PATH=str(tmp_path / "target"),
    )
    assert "serves the lake" in answer.stdout
    assert "churn up" in answer.stdout


def test_the_server_is_found_again(completed_run: CompletedRun) -> None:
    assert spark_process.service(completed_run.home.settings).find() is not None


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("features", "apply"), "applied"),
        (("features", "materialize"), "7,043 customers online"),
        (("train",), "ROC-AUC 0.8"),
        (("score",), "7,043 customers scored"),
        (("evaluate",), "95% interval"),
        (("build", "-s", "pending_loads"), "tests passed"),
    ],
)
def test_a_step_by_itself_finds_its_work_done(
    completed_run: CompletedRun, command: tuple[str, ...], said: str
) -> None:
    versions = table_versions(completed_run)
    assert said in completed_run.home.churn(*command).stdout
    assert table_versions(completed_run) == versions


@pytest.mark.long
def test_an_older_extract_takes_its_place(completed_run: CompletedRun, shared_data: Path) -> None:
    """Nothing changes online. Without a workbook, nothing is run."""
    said = completed_run.home.churn("run", code=2).stderr
    assert "No workbook was given" in said and "churn demo" in said
    # Of the same customers: those of another source would be refused.
    earlier = shared_data / "Telco-Customer-Churn.csv"
    summary = completed_run.home.churn_json("run", earlier, "--extract-date", "2025-01-01")
    report = completed_run.home.path / "runs" / summary["run_id"] / "report.html"
    assert "Published as history, " in report.read_text()
    assert summary["extract_date"] == "2025-01-01"
    assert summary["counts"]["gold"] == summary["counts"]["silver"] == 7043
    shown = completed_run.home.churn_json("show", "7590-VHVEG")
    assert shown["event_timestamp"] == "2025-12-03T00:00:00Z"
    assert summary["model"] == completed_run.summary["model"]
    assert completed_run.home.value("select count(*) from gold.churn_scores") == 7043
    assert completed_run.home.value("select count(*) from gold.customer_features") == 2 * 7043
