"""The lineage of customers, with every hop compared with an independent reading.

The workbook is read by openpyxl, tables by pyarrow from the files that Delta's log or the metastore
names, Redis as bytes by Feast's own messages, the model from the pipeline that Spark saved.
"""

import json
import math
import random
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow.parquet as pq
import pytest
from environments import ChurnHome, CompletedRun
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value
from google.protobuf.timestamp_pb2 import Timestamp
from monthly import restated, tables_only

from churn.provenance.as_of import read_run_end
from churn.provenance.trace import Tracing
from churn.provenance.trace_queries import read_stages
from lakehouse import online_store, spark_session
from lakehouse.errors import InvalidInputError

Row = dict[str, Any]
# The appended rows of the workbook, by their numbers in Excel.
APPENDED = {
    "7590-VHVEG": (7045, "exact_duplicate"),
    "5575-GNVDE": (7046, "exact_duplicate"),
    "3668-QPYBK": (7047, "exact_duplicate"),
    "9767-FFLEM": (7048, "exact_duplicate"),
    "0639-TSIQW": (7049, "out_of_range"),
    "8456-QDAVC": (7050, "out_of_range"),
}
# One of the eleven with tenure 0 and a blank total.
UNBILLED = "4472-LVYGI"
DRAWN = 50
FLAGS = {"Yes": 1, "No": 0, "1": 1, "0": 0}


# --- independent readings ----------------------------------------------------


class DeltaFiles:
    """A Delta table as its log and its files have it, without Delta."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.added: dict[str, tuple[int, Row]] = {}
        there: set[str] = set()
        for commit in sorted((folder / "_delta_log").glob("*.json")):
            for line in commit.read_text().splitlines():
                action = json.loads(line)
                if "add" in action:
                    path = action["add"]["path"]
                    self.added[path] = (int(commit.stem), action["add"]["partitionValues"])
                    there.add(path)
                if "remove" in action:
                    there.discard(action["remove"]["path"])
        self.current = sorted(there)

    def rows(self, column: str, values: set[str]) -> list[Row]:
        """Rows of the current files whose column has one of the values, with `_version`."""
        found = []
        for path in self.current:
            version, partition = self.added[path]
            for row in pq.ParquetFile(self.folder / path).read().to_pylist():
                if row[column] in values:
                    found.append({**row, **partition, "_version": version})
        return found


@dataclass(frozen=True)
class Truth:
    """What each store says of the asked customers, by id."""

    summary: Row
    sheet: list[tuple[Any, ...]]
    rows_of: dict[str, list[int]]
    bronze: list[Row]
    silver: dict[str, Row]
    scores: dict[str, Row]
    risks: list[tuple[float, str]]
    lake: Path
    models: Path
    redis: dict[str, dict[bytes, bytes]]


@pytest.fixture(scope="module")
def asked(shared_data: Path) -> list[str]:
    book = openpyxl.load_workbook(shared_data / "Telco-Customer-Churn.xlsx", read_only=True)
    ids = [row[0] for row in book.worksheets[0].iter_rows(min_row=2, values_only=True)]
    others = sorted(set(ids) - set(APPENDED) - {UNBILLED})
    return [*random.Random(20251203).sample(others, DRAWN), *APPENDED, UNBILLED]


@pytest.fixture(scope="module")
def traces(completed_run: CompletedRun, asked: list[str]) -> dict[str, Row]:
    printed = completed_run.home.churn("trace", *asked, "--json").stdout
    return {each["customer_id"]: each for each in json.loads(printed)}


@pytest.fixture(scope="module")
def truth(completed_run: CompletedRun, shared_data: Path, asked: list[str]) -> Truth:
    book = openpyxl.load_workbook(shared_data / "Telco-Customer-Churn.xlsx", read_only=True)
    sheet = list(book.worksheets[0].iter_rows(values_only=True))
    rows_of: dict[str, list[int]] = {}
    for number, row in enumerate(sheet[1:], 2):
        rows_of.setdefault(row[0], []).append(number)
    lake = completed_run.home.path / "lake"
    scores = DeltaFiles(lake / "gold" / "churn_scores")
    everybody = scores.rows("extract_date", {date(2025, 12, 3)})
    with online_store.ensure_running(
        completed_run.home.settings, lambda _: None
    ).client() as client:
        redis = {each: client.hgetall(redis_key_of(each)) for each in asked}
    return Truth(
        completed_run.summary,
        sheet,
        rows_of,
        DeltaFiles(lake / "bronze" / "telco_customers").rows("customerID", set(asked)),
        {
            row["customer_id"]: row
            for row in DeltaFiles(lake / "silver" / "customers").rows("customer_id", set(asked))
        },
        {row["customer_id"]: row for row in everybody},
        sorted((row["probability"], row["customer_id"]) for row in everybody),
        lake,
        completed_run.home.path / "models",
        redis,
    )


def redis_key_of(customer_id: str) -> bytes:
    key = EntityKey(join_keys=["customer_id"], entity_values=[Value(string_val=customer_id)])
    return bytes(_redis_key("churn", key, entity_key_serialization_version=3))


def same_cell(text: str | None, value: Any) -> bool:
    """Whether a text of bronze is the cell that openpyxl reads."""
    if isinstance(value, int | float):
        return text is not None and float(text) == value
    return text == value


def linear_model(folder: Path) -> tuple[list[str], list[float], float]:
    """Inputs, coefficients and intercept of the pipeline that Spark saved."""
    stages = {path.name.split("_")[1]: path for path in (folder / "model" / "stages").iterdir()}
    metadata = next((stages["VectorAssembler"] / "metadata").glob("part-*")).read_text()
    (numbers,) = pq.read_table(stages["LogisticRegression"] / "data").to_pylist()
    coefficients = numbers["coefficientMatrix"]["values"]
    return (
        json.loads(metadata)["paramMap"]["inputCols"],
        coefficients,
        numbers["interceptVector"]["values"][0],
    )


# --- every hop ---------------------------------------------------------------


def test_the_workbook_hop_is_the_cells_and_bronze_holds_them(
    traces: dict[str, Row], truth: Truth, shared_data: Path
) -> None:
    import hashlib

    content = (shared_data / "Telco-Customer-Churn.xlsx").read_bytes()
    header = [str(cell) for cell in truth.sheet[0]]
    stored = {row["_row_number"]: row for row in truth.bronze}
    for customer_id, trace in traces.items():
        assert [row["row_number"] for row in trace["bronze"]] == truth.rows_of[customer_id]
        for row in trace["bronze"]:
            cells = dict(zip(header, truth.sheet[row["row_number"] - 1], strict=True))
            assert set(row["cells"]) == set(header)
            for name, value in cells.items():
                assert same_cell(row["cells"][name], value), (customer_id, name)
            assert row["sha256"] == hashlib.sha256(content).hexdigest()
            assert row["file"] == "Telco-Customer-Churn.xlsx"
            of_bronze = stored[row["row_number"]]
            assert {name: of_bronze[name] for name in header} == row["cells"]
            assert of_bronze["_version"] == row["version"]
            assert of_bronze["_batch_id"] == row["batch_id"] == truth.summary["batch_id"]


def test_the_silver_hop_is_the_file_and_says_what_changed(
    traces: dict[str, Row], truth: Truth
) -> None:
    for customer_id, trace in traces.items():
        (row,) = trace["silver"]
        stored = truth.silver[customer_id]
        assert row["values"] == {name: stored[name] for name in row["values"]}
        assert (row["row_number"], row["version"]) == (stored["_row_number"], stored["_version"])
        cells = trace["bronze"][0]["cells"]
        told = {each["column"]: each for each in row["standardised"]}
        for name, cell in cells.items():
            value = dict(zip(cells, row["values"].values(), strict=True))[name]
            if name in told:
                assert (told[name]["cell"], told[name]["value"]) == (cell, value)
            else:
                assert str(cell) == str(value) or float(cell) == value
        flags = {name for name, each in told.items() if "coded" in each["rules"]}
        assert all(FLAGS[cells[name]] == told[name]["value"] for name in flags)
        blanks = [name for name, each in told.items() if each["rules"] == ["blank_is_zero"]]
        assert blanks == (["TotalCharges"] if not (cells["TotalCharges"] or "").strip() else [])
    assert any("blank_is_zero" in each["rules"] for each in standardised(traces[UNBILLED]))


def standardised(trace: Row) -> list[Row]:
    return list(trace["silver"][0]["standardised"])


@pytest.mark.parametrize(("customer_id", "row_and_code"), APPENDED.items())
def test_an_appended_row_is_traced_to_why_it_is_not_there(
    traces: dict[str, Row], truth: Truth, customer_id: str, row_and_code: tuple[int, str]
) -> None:
    trace = traces[customer_id]
    number, code = row_and_code
    first = truth.rows_of[customer_id][0]
    (rejected,) = trace["rejected"]
    assert (rejected["row_number"], rejected["kept_row"]) == (number, first)
    assert rejected["reasons"][0]["code"] == code
    assert [each["became"] for each in trace["bronze"]] == ["silver", "rejected"]
    (lost,) = trace["silver"][0]["lost"]
    assert lost["row_number"] == number
    said = " ".join(rejected["words"])
    assert ("exact copy" in said) == (code == "exact_duplicate")
    if code == "out_of_range":
        assert str(truth.sheet[number - 1][truth.sheet[0].index("TotalCharges")]) in said


def test_the_gold_hop_is_the_published_file(traces: dict[str, Row], truth: Truth) -> None:
    files = {row["file"] for trace in traces.values() for row in trace["gold"]}
    stored = {
        file: {row["customer_id"]: row for row in pq.read_table(truth.lake / file).to_pylist()}
        for file in files
    }
    for customer_id, trace in traces.items():
        (row,) = trace["gold"]
        kept = stored[row["file"]][customer_id]
        assert row["features"] == {name: kept[name] for name in row["features"]}
        assert row["partition"] == "extract_date=2025-12-03"
        assert row["created_timestamp"] == str(kept["created_timestamp"])
        assert row["created_timestamp"] == trace["bronze"][0]["loaded_at"]
        assert row["run_id"] == truth.summary["run_id"]
        assert row["churned"] == truth.silver[customer_id]["churned"]
        (gate,) = trace["gate"]
        assert (gate["verdict"], gate["run_id"]) == ("passed", truth.summary["run_id"])


def test_the_online_hop_is_what_redis_holds(traces: dict[str, Row], truth: Truth) -> None:
    for customer_id, trace in traces.items():
        stored, online = truth.redis[customer_id], trace["online"]
        for name, value in online["features"].items():
            message = Value.FromString(stored[bytes(_mmh3(f"customer_features:{name}"))])
            assert getattr(message, message.WhichOneof("val")) == value
        stamp = Timestamp.FromString(stored[b"_ts:customer_features"])
        assert stamp.ToJsonString() == online["event_timestamp"]
        assert bytes.fromhex(trace["feast"]["redis_key"]) == redis_key_of(customer_id)
        assert (trace["feast"]["view"], trace["feast"]["service"]) == ("customer_features", "churn")
        assert trace["feast"]["equals_gold"] is True
        assert online["features"] == trace["gold"][0]["features"]


def test_the_score_is_what_the_saved_pipeline_says(traces: dict[str, Row], truth: Truth) -> None:
    version = truth.summary["model"]["version"]
    inputs, coefficients, intercept = linear_model(truth.models / version)
    record = json.loads((truth.models / version / "record.json").read_text())
    places = {customer_id: place for place, (_, customer_id) in enumerate(truth.risks)}
    for customer_id, trace in traces.items():
        (score,) = trace["scores"]
        features = trace["gold"][0]["features"]
        values = {**features, "log1p_tenure": math.log1p(features["tenure"])}
        log_odds = intercept + math.fsum(
            coefficient * values[name]
            for name, coefficient in zip(inputs, coefficients, strict=True)
        )
        assert score["probability"] == pytest.approx(1 / (1 + math.exp(-log_odds)), abs=1e-12)
        explained = score["explanation"]
        assert explained["log_odds"] == pytest.approx(log_odds, abs=1e-9)
        assert explained["probability"] == pytest.approx(score["probability"], abs=1e-12)
        assert explained["baseline"] + math.fsum(
            each["contribution"] for each in explained["contributions"]
        ) == pytest.approx(log_odds, abs=1e-9)
        # of the table, and the same three as the explanation's strongest
        stored = truth.scores[customer_id]
        assert score["probability"] == stored["probability"]
        assert score["version"] == stored["_version"]
        assert score["reasons"] == stored["reasons"]
        raising = [each for each in explained["contributions"] if each["contribution"] >= 0.05]
        assert [each["feature"] for each in score["reasons"]] == [
            each["feature"] for each in raising[:3]
        ]
        assert score["decile"] == stored["decile"] == tenth(places[customer_id], len(places))
        model = trace["model"]
        assert (model["version"], model["champion"]) == (version, True)
        assert model["training"]["signature"] == record["signature"]
        assert model["training"]["rows"] == record["rows"] == 7043
        (learned_from,) = model["training"]["loads"]
        assert learned_from["batch_id"] == trace["bronze"][0]["batch_id"]


def tenth(place: int, count: int) -> int:
    """The tenth of `count` that a place falls into; the first ones have one more, as in SQL."""
    sizes = [count // 10 + (number < count % 10) for number in range(10)]
    return next(number + 1 for number in range(10) if place < sum(sizes[: number + 1]))


def test_one_customer_is_one_object_and_an_unknown_one_is_told(completed_run: CompletedRun) -> None:
    trace = completed_run.home.churn_json("trace", "7590-VHVEG")
    keys = ["customer_id", "bronze", "rejected", "silver", "gold", "online", "scores"]
    assert [key for key in keys if key not in trace] == []
    (extract,) = trace["history"]
    assert extract["extract_date"] == "2025-12-03" and trace["absent_from"] == []
    said = completed_run.home.churn("trace", "7590-VHVEG", "unknown' or '1'='1", code=2).stderr
    assert "There is no customer" in said
    assert "1'='1" in said and "7590-VHVEG'" not in said.partition("where")[0]


def test_as_of_the_only_run_is_what_stands_now(
    completed_run: CompletedRun, traces: dict[str, Row]
) -> None:
    now = traces["8456-QDAVC"]
    then = completed_run.home.churn_json(
        "trace", "8456-QDAVC", "--run", completed_run.summary["run_id"]
    )
    assert then["as_of"]["run_id"] == completed_run.summary["run_id"]
    assert set(then["as_of"]["read"].values()) == {"unchanged since"}
    hops = ("bronze", "rejected", "gate", "gold", "online", "model", "scores", "history")
    assert {hop: then[hop] for hop in hops} == {hop: now[hop] for hop in hops}
    assert [row["values"] for row in then["silver"]] == [row["values"] for row in now["silver"]]
    with pytest.raises(InvalidInputError, match="no run '20250101T000000Z-none'") as raised:
        read_run_end(completed_run.home.settings, "20250101T000000Z-none")
    assert completed_run.summary["run_id"] in raised.value.hint


def test_a_past_score_that_the_table_has_no_more_is_worked_out_anew(
    completed_run: CompletedRun, traces: dict[str, Row]
) -> None:
    settings = completed_run.home.settings
    moment = read_run_end(settings, completed_run.summary["run_id"])
    champion = moment.champion
    assert champion == completed_run.summary["model"]["version"]
    customers = [*APPENDED]
    with spark_session.session(settings) as spark:
        found = read_stages(settings, spark, customers, champion, moment, lambda _: None)
    found.scores = []
    tracing = Tracing(settings, found, champion, moment, {})
    for customer_id in customers:
        (computed,) = tracing.lineage(customer_id)["scores"]
        (stored,) = traces[customer_id]["scores"]
        assert computed["probability"] == pytest.approx(stored["probability"], abs=1e-12)
        assert [each["text"] for each in computed["reasons"]] == [
            each["text"] for each in stored["reasons"]
        ]
        assert computed["explanation"] == stored["explanation"]
        assert (computed["decile"], computed["scored_at"]) == (None, None)


# --- as of a past run --------------------------------------------------------


PAST, REFUSED = "2012-03-31", "2012-03-15"


@dataclass(frozen=True)
class Restated:
    """A home in which a month was published, then a run refused, then the month restated.

    `gone` is a customer whom the restated month leaves out, `cheaper` one whom it bills less,
    `refused` one of the refused workbook and of the month.
    """

    home: ChurnHome
    run_id: str
    before: Any
    after: Any

    @property
    def gone(self) -> str:
        return str(self.before.cell(2, 1).value)

    @property
    def cheaper(self) -> str:
        return str(self.before.cell(self.before.max_row, 1).value)

    @property
    def refused(self) -> str:
        return str(self.before.cell(500, 1).value)

    def cells(self, number: int) -> Row:
        header = (cell.value for cell in self.before[1])
        return dict(zip(header, (cell.value for cell in self.before[number]), strict=True))

    def traces(self, run_id: str = "") -> dict[str, Row]:
        as_of = ["--run", run_id] if run_id else []
        customers = (self.gone, self.cheaper, self.refused)
        said = self.home.churn("trace", *customers, *as_of, "--json").stdout
        return {each["customer_id"]: each for each in json.loads(said)}


@pytest.fixture(scope="module")
def restated_month(
    extracts_home: ChurnHome, months: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> Restated:
    folder = tmp_path_factory.mktemp("past")
    first, second = months[0], restated(months[0], folder)
    # the run judges both: the month is published, the other one refused
    extracts_home.churn("ingest", first, "--extract-date", PAST)
    workbook = middle_of(first, folder)
    refused = extracts_home.churn("run", workbook, "--extract-date", REFUSED, "--json", code=3)
    tables_only(extracts_home, second, extract_date=PAST)
    before, after = (openpyxl.load_workbook(path).worksheets[0] for path in (first, second))
    return Restated(extracts_home, json.loads(refused.stdout)["run_id"], before, after)


def middle_of(path: Path, folder: Path) -> Path:
    """Some hundred rows of the month, too few for the gate; neither the first nor the last."""
    book = openpyxl.load_workbook(path)
    book.worksheets[0].delete_rows(702, 10**6)
    book.worksheets[0].delete_rows(2, 400)
    book.save(folder / "middle.xlsx")
    return folder / "middle.xlsx"


@pytest.mark.long
def test_a_past_run_is_read_by_time_travel_and_rebuilt_when_the_files_are_gone(
    restated_month: Restated,
) -> None:
    month = restated_month
    now = month.traces()
    assert now[month.gone]["silver"] == []
    assert [row["became"] for row in now[month.gone]["bronze"]] == ["restated"]
    assert PAST in now[month.gone]["absent_from"]
    (of_today,) = now[month.cheaper]["silver"]
    column = [cell.value for cell in month.after[1]].index("MonthlyCharges") + 1
    charge = month.after.cell(month.after.max_row, column).value
    assert of_today["values"]["monthly_charges"] == charge
    assert charge != month.cells(month.before.max_row)["MonthlyCharges"]

    changed_from_the_refused_extract(month, now[month.refused])

    travelled = month.traces(month.run_id)
    forget_the_past(month.home)
    rebuilt = month.traces(month.run_id)
    for traces, how in ((travelled, "time travel"), (rebuilt, "rebuilt from bronze")):
        holds_the_month_before(month, traces, how)
    for customer_id in (month.gone, month.cheaper, month.refused):
        was, again = (without_times(each[customer_id]) for each in (travelled, rebuilt))
        for hop, rows in was.items():
            assert again[hop] == rows, (customer_id, hop)
    versions = [each[month.gone]["silver"][0]["version"] for each in (travelled, rebuilt)]
    assert isinstance(versions[0], int) and versions[1] is None


def changed_from_the_refused_extract(month: Restated, trace: Row) -> None:
    """Why the one extract is not in gold, and what changed until the other."""
    refused, passed = trace["history"]
    assert (refused["extract_date"], passed["extract_date"]) == (REFUSED, PAST)
    assert refused["published_at"] is None and passed["published_at"] is not None
    assert refused["changes"] == {"silver": {}, "features": {}}
    (name,) = passed["changes"]["silver"]
    charge = month.cells(500)["MonthlyCharges"]
    assert name == "monthly_charges"
    assert passed["changes"]["silver"][name]["before"] == charge
    assert passed["changes"]["silver"][name]["after"] == pytest.approx(charge - 0.25)
    verdicts = {each["batch_id"]: each for each in trace["gate"]}
    gate = verdicts[refused["batch_id"]]
    assert gate["verdict"] == "refused" and gate["run_id"] == month.run_id
    assert "minimum_customers" in {each["rule"] for each in gate["failed"]}
    assert [row["extract_date"] for row in trace["gold"]] == [PAST]
    said = month.home.churn("trace", month.refused).stdout
    assert f"monthly_charges {charge} → " in said
    print(said)


def holds_the_month_before(month: Restated, traces: dict[str, Row], how: str) -> None:
    """Every hop says what the month's first workbook says."""
    for customer_id, number in ((month.gone, 2), (month.cheaper, month.before.max_row)):
        trace, cells = traces[customer_id], month.cells(number)
        # gold has no versions: what was superseded is rebuilt
        assert trace["as_of"]["read"]["silver"] == how
        assert trace["as_of"]["read"]["gold"] == "rebuilt from bronze"
        assert trace["as_of"]["todays_rules"] is True
        (bronze,), (silver,), (gold,) = trace["bronze"], trace["silver"], trace["gold"]
        assert bronze["became"] == "silver"
        assert silver["row_number"] == bronze["row_number"] == number
        assert silver["values"]["monthly_charges"] == cells["MonthlyCharges"]
        assert gold["features"]["monthly_charges"] == cells["MonthlyCharges"]
        assert gold["features"]["tenure"] == cells["tenure"]
        assert gold["batch_id"] == silver["batch_id"] == bronze["batch_id"]
        assert gold["churned"] == FLAGS[cells["Churn"]]
        assert [each["verdict"] for each in trace["gate"]] == ["passed"]
        assert gold["run_id"] == trace["gate"][0]["run_id"]
        # the refused run read nothing back from the online store
        assert trace["online"] is None and trace["feast"]["equals_gold"] is None


def without_times(trace: Row) -> Row:
    """Without what no rebuild can know: versions, and when gold was published."""
    hops = {hop: trace[hop] for hop in ("bronze", "rejected", "silver", "gate", "gold", "history")}
    unknown = ("version", "published_at")
    return {
        hop: [{key: value for key, value in row.items() if key not in unknown} for row in rows]
        for hop, rows in hops.items()
    }


def forget_the_past(home: ChurnHome) -> None:
    """What `churn tidy` does when the days have passed."""
    with spark_session.session(home.settings) as spark:
        spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
        for table in ("silver.customers", "silver.rejected_rows", "gold.publications"):
            spark.sql(f"vacuum {table} retain 0 hours").collect()
