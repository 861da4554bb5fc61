"""Every declared rule, broken alone: what breaks just it is refused or rejected by just it.

The lists here are written by hand, apart from the declared place: a rule that is taken out there
makes a test fail, and so does one that is added without data that break it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from environments import ChurnHome, Environments

from churn.pipeline import approvals
from churn.pipeline.approvals import Approval
from churn.provenance import load_state
from churn.provenance.load_state import APPROVAL_COLUMNS
from feature_repo.labels import read_incomparable_dates
from feature_repo.publications import read_publications
from lakehouse import spark_session
from lakehouse.domain import read_domain
from lakehouse.errors import InvalidInputError
from lakehouse.sql import statement
from seeds_loader.bronze_reader import read_extract_from_bronze, read_loads
from seeds_loader.extract_date import ExtractDate
from seeds_loader.load import Load, load
from seeds_loader.reader.sandbox import read_workbook
from seeds_loader.sample import SampleParameters, simulate
from seeds_loader.source_format import SourceFormat
from trainer.monitoring import monitor, read_rules

DECLARED = read_domain().variables
CUSTOMERS = 1200
# Enough copies that rows can be lost without falling below the least number of customers.
COPIES = 100
# Further customers of the sheet of faulty rows.
MORE = 210
BASE = date(2020, 1, 1)

Change = Callable[[pd.DataFrame], pd.DataFrame]


def every(column: str, value: Any) -> Change:
    """All customers with one value."""
    return lambda sheet: sheet.assign(**{column: value})


def online(column: str) -> Change:
    """All customers with internet access have the add-on."""
    return lambda sheet: sheet.assign(
        **{column: sheet[column].where(sheet["InternetService"] == "No", "Yes")}
    )


def billed(**columns: float) -> Change:
    """All customers with one tenure or price, and the total that belongs to it."""

    def change(sheet: pd.DataFrame) -> pd.DataFrame:
        sheet = sheet.assign(**columns)
        return sheet.assign(TotalCharges=(sheet["tenure"] * sheet["MonthlyCharges"]).round(2))

    return change


def some(share: float, column: str, value: Any) -> Change:
    """The first customers, that share of all, with one value."""

    def change(sheet: pd.DataFrame) -> pd.DataFrame:
        first = sheet["customerID"].isin(sheet["customerID"].unique()[: int(share * CUSTOMERS)])
        return sheet.assign(**{column: sheet[column].mask(first, value)})

    return change


def known(customers: int, size: int) -> Change:
    """So many customers, of whom only the first ones have the ids that they had."""

    def change(sheet: pd.DataFrame) -> pd.DataFrame:
        sheet = sheet.drop_duplicates()
        more = sheet.head(max(size - len(sheet), 0))
        sheet = pd.concat([sheet, more.assign(customerID="Y" + more["customerID"])]).head(size)
        is_known = pd.Series(range(size), index=sheet.index) < customers
        return sheet.assign(
            # Those of another size are others again.
            customerID=sheet["customerID"].where(is_known, f"X{size}" + sheet["customerID"])
        )

    return change


def odd_totals(sheet: pd.DataFrame) -> pd.DataFrame:
    """Totals 30 % too high for every tenth customer: too many, though each is bearable."""
    odd = (sheet["tenure"] > 0) & (sheet["customerID"].rank(method="dense") % 10 == 0)
    total = (sheet["tenure"] * sheet["MonthlyCharges"] * 1.3).round(2)
    return sheet.assign(TotalCharges=sheet["TotalCharges"].mask(odd, total))


@dataclass(frozen=True)
class Case:
    """A workbook, or what is done to the tables on its way, that breaks one rule."""

    rule: str
    change: Change = lambda sheet: sheet
    silver: str = ""
    candidates: str = ""


ADD_ONS = {
    "online_security": "OnlineSecurity",
    "online_backup": "OnlineBackup",
    "device_protection": "DeviceProtection",
    "tech_support": "TechSupport",
    "streaming_tv": "StreamingTV",
    "streaming_movies": "StreamingMovies",
}


def drifts() -> list[Case]:
    changes = {
        "tenure": billed(tenure=60),
        "monthly_charges": billed(MonthlyCharges=95.0),
        "gender": every("gender", "Female"),
        "senior_citizen": every("SeniorCitizen", 1),
        "partner": every("Partner", "Yes"),
        "dependents": every("Dependents", "Yes"),
        "phone_service": every("PhoneService", "Yes"),
        "multiple_lines": lambda sheet: sheet.assign(
            MultipleLines=sheet["MultipleLines"].replace("No", "Yes")
        ),
        "internet_service": lambda sheet: sheet.assign(
            InternetService=sheet["InternetService"].replace("DSL", "Fiber optic")
        ),
        **{feature: online(column) for feature, column in ADD_ONS.items()},
        "contract": every("Contract", "Two year"),
        "paperless_billing": every("PaperlessBilling", "No"),
        "payment_method": every("PaymentMethod", "Mailed check"),
    }
    return [Case(f"drift_of_{feature}", change) for feature, change in changes.items()]


# Of the many drifts these are in every test run: a band, a category and a flag.
# One of each sort in `make test`; every one of them costs a load, and is compared with all others.
SHORT = (
    *("minimum_customers", "reject_share_below_limit", "rows_not_lost", "customers_retained"),
    "features_in_range",
    *("drift_of_tenure", "rows_accounted_for"),
)


REFUSED = [
    Case(
        "minimum_customers",
        lambda sheet: sheet[sheet["customerID"].isin(sheet["customerID"].unique()[-999:])],
    ),
    Case("reject_share_below_limit", some(0.06, "gender", "?")),
    Case(
        "churn_rate_not_too_low",
        lambda sheet: some(0.04, "Churn", "Yes")(every("Churn", "No")(sheet)),
    ),
    Case(
        "churn_rate_not_too_high",
        lambda sheet: some(0.61, "Churn", "Yes")(every("Churn", "No")(sheet)),
    ),
    Case("rows_not_lost", lambda sheet: sheet.drop_duplicates().head(1039)),
    Case("row_count_not_inflated", lambda sheet: pd.concat([sheet, sheet.head(326)])),
    # 119 of 1,200 are still there, and make more than a tenth of what is
    Case("customers_retained", known(119, size=1150)),
    # 125 of 1,200 are still there, and make less than a tenth of what is
    Case("new_customers_bounded", known(125, size=1350)),
    *drifts(),
    Case(
        "rows_accounted_for",
        silver="delete from silver.customers where extract_date = :day and _row_number = 2",
    ),
    Case(
        "silver_rows_valid",
        silver="""
            update silver.customers set tenure = 10, monthly_charges = 50, total_charges = 299.99
            where extract_date = :day and _row_number = 2
        """,
    ),
    Case(
        "unique_customers",
        candidates="""
            update audit.customer_features set customer_id = :last
            where extract_date = :day and customer_id = :first
        """,
    ),
    Case(
        "features_in_range",
        candidates="""
            update audit.customer_features set billing_ratio = double('infinity')
            where extract_date = :day and customer_id = :first;
            update audit.customer_features set service_count = 10, billing_ratio = double('nan')
            where extract_date = :day and customer_id = :last
        """,
    ),
    Case(
        "labels_present",
        candidates="""
            update audit.churn_labels set churned = null
            where extract_date = :day and customer_id = :first
        """,
    ),
    Case(
        "candidates_match_silver",
        candidates="""
            delete from audit.customer_features
            where extract_date = :day and customer_id = :first;
            delete from audit.churn_labels
            where extract_date = :day and customer_id = :first
        """,
    ),
]
# What has passed is what later loads are compared with: these come after those that are refused,
# and the sheet of faulty rows, which has the customers of the base, before those that come last.
OTHER_CUSTOMERS = [
    Case("customers_retained_typical", known(590, size=1180)),
    # 590 of the 1,180 before it are still there, or 610 of the base
    Case("new_customers_typical", known(610, size=1300)),
]
FAULTY = "faulty"
WARNED = [
    *OTHER_CUSTOMERS,
    Case("reject_share_typical", some(0.01, "gender", "?")),
    Case("totals_typical", odd_totals),
    Case("unusual_drift_of_gender", some(0.4, "gender", "Female")),
]

# Column, value and code of a row that has just that one fault.
CELLS: dict[str, dict[str, str]] = {
    "customerID": {
        "": "missing",
        "0001-\u200bFAULT": "hidden_characters",
        "#N/A": "error_text",
        "2.34803E+15": "turned_into_number",
        101 * "7": "too_long",
    },
    "gender": {"": "missing", "f": "not_accepted"},
    "SeniorCitizen": {"": "missing", "2": "not_accepted"},
    "Partner": {"": "missing", "1": "not_accepted"},
    "Dependents": {"": "missing", "y": "not_accepted"},
    "tenure": {
        "": "missing",
        "x": "not_an_integer",
        "1.5": "not_an_integer",
        "-1": "out_of_range",
    },
    "PhoneService": {"": "missing", "0": "not_accepted"},
    "MultipleLines": {"": "missing", "No phone": "not_accepted"},
    "InternetService": {"": "missing", "Cable": "not_accepted"},
    "OnlineSecurity": {"": "missing", "0": "not_accepted"},
    "OnlineBackup": {"": "missing", "0": "not_accepted"},
    "DeviceProtection": {"": "missing", "0": "not_accepted"},
    "TechSupport": {"": "missing", "0": "not_accepted"},
    "StreamingTV": {"": "missing", "0": "not_accepted"},
    "StreamingMovies": {"": "missing", "0": "not_accepted"},
    "Contract": {"": "missing", "Monthly": "not_accepted"},
    "PaperlessBilling": {"": "missing", "0": "not_accepted"},
    "PaymentMethod": {"": "missing", "Cash": "not_accepted"},
    "MonthlyCharges": {"": "missing", "1,5": "not_a_number"},
    "TotalCharges": {
        "": "missing",
        "n/a": "not_a_number",
        "-1": "out_of_range",
        # texts that a cast of Spark takes for numbers, and numbers beyond a double
        **dict.fromkeys(["NaN", "Infinity", "-inf", "1d", "1f", "0x1p3"], "not_a_number"),
        # accepted by themselves, and a ratio of the bill to the average that is none
        **dict.fromkeys(["1e-320", "4.9e-324", "1e-9", "0.99"], "feature_out_of_range"),
    },
    "Churn": {"": "missing", "1": "not_accepted"},
}
# A customer in the second month: whatever one cell says, the total stays within four bills.
SOUND = {
    "gender": "Female",
    "SeniorCitizen": "0",
    "Partner": "No",
    "Dependents": "No",
    "tenure": "1",
    "PhoneService": "Yes",
    "MultipleLines": "No",
    "InternetService": "DSL",
    "OnlineSecurity": "No",
    "OnlineBackup": "No",
    "DeviceProtection": "No",
    "TechSupport": "No",
    "StreamingTV": "No",
    "StreamingMovies": "No",
    "Contract": "One year",
    "PaperlessBilling": "No",
    "PaymentMethod": "Mailed check",
    "MonthlyCharges": "50",
    "TotalCharges": "50",
    "Churn": "No",
}
OFFLINE = dict.fromkeys(ADD_ONS.values(), "No internet service")
# Changes to the sound customer, the faulty column and the rule.
CONTRADICTIONS: list[tuple[dict[str, str], str, str]] = [
    *(
        ({"InternetService": "No", **OFFLINE, column: "No"}, column, "no_internet_service")
        for column in OFFLINE
    ),
    ({"PhoneService": "No"}, "MultipleLines", "no_phone_service"),
    ({"tenure": "0"}, "TotalCharges", "nothing_billed_yet"),
    ({"tenure": "10", "TotalCharges": "299.99"}, "TotalCharges", "total_fits_tenure"),
    ({"tenure": "10", "TotalCharges": "700.01"}, "TotalCharges", "total_fits_tenure"),
    ({"tenure": "20", "TotalCharges": "599.99"}, "TotalCharges", "total_fits_tenure"),
]
HOLDING = [
    {"tenure": "0", "TotalCharges": ""},
    {"tenure": "0", "TotalCharges": "0"},
    {"TotalCharges": "1"},
    {"TotalCharges": "-0.0"},
    {"tenure": "10", "TotalCharges": "300"},
    {"tenure": "10", "TotalCharges": "700"},
    {"tenure": "20", "TotalCharges": "600"},
    {"InternetService": "No", **OFFLINE},
    {"PhoneService": "No", "MultipleLines": "No phone service"},
]


def faulty_rows() -> tuple[list[dict[str, str]], dict[str, tuple[str, str]]]:
    """Rows and, by customer, the one reason why each must be rejected."""
    rows: list[dict[str, str]] = []
    reasons: dict[str, tuple[str, str]] = {}

    def add(changes: dict[str, str], code: str, column: str) -> None:
        customer = f"{len(rows):04}-FAULT"
        rows.append({"customerID": customer, **SOUND, **changes})
        reasons[rows[-1]["customerID"]] = (code, column)

    for column, faults in CELLS.items():
        for value, code in faults.items():
            add({column: value}, code, column)
    # cells whose change another cell has to follow, or the total would not fit
    add({"tenure": "601", "TotalCharges": "30050"}, "out_of_range", "tenure")
    add(
        {"tenure": "0", "MonthlyCharges": "-1", "TotalCharges": ""},
        "out_of_range",
        "MonthlyCharges",
    )
    add({"MonthlyCharges": "10000.01", "TotalCharges": "10000"}, "out_of_range", "MonthlyCharges")
    add(
        {"tenure": "600", "MonthlyCharges": "5000", "TotalCharges": "2500000"},
        "out_of_range",
        "TotalCharges",
    )
    for changes, column, code in CONTRADICTIONS:
        add(changes, code, column)
    rows += [
        {"customerID": f"{number:04}-SOUND", **SOUND, **changes}
        for number, changes in enumerate(HOLDING)
    ]
    return rows, reasons


@dataclass(frozen=True)
class Judged:
    """The home after all cases went through the gate, and the extract date of each case."""

    home: ChurnHome
    dates: dict[str, date]

    @property
    def faulty(self) -> date:
        return self.dates[FAULTY]

    @property
    def after(self) -> date:
        """A date after those of all cases, and of the build that refuses some."""
        return max(self.dates.values()) + timedelta(days=10)

    def broken(self, rule: str) -> dict[str, set[str]]:
        """The rules that the case's load did not pass, by verdict."""
        rows = self.home.sql(
            f"""
            select rule, verdict from audit.gate_results
            where extract_date = '{self.dates[rule]}' and verdict not in ('passed', 'pending')
            """
        )
        return {
            verdict: {row["rule"] for row in rows if row["verdict"] == verdict}
            for verdict in ("failed", "warned")
        }


def base_sheet() -> pd.DataFrame:
    sheet = next(iter(simulate(SampleParameters(rows=CUSTOMERS)))).sheet
    # Later copies of the first customers, so that these keep their rows.
    return pd.concat([sheet, sheet.tail(COPIES)], ignore_index=True)


@pytest.fixture(scope="module")
def judged(
    request: pytest.FixtureRequest,
    environments: Environments,
    tmp_path_factory: pytest.TempPathFactory,
) -> Judged:
    """One published extract, then a load for each case of the chosen tests; one build for all."""
    home = environments.new("rules")
    home.churn("up")
    folder = tmp_path_factory.mktemp("rules")
    base = base_sheet()
    wanted = {
        item.callspec.params.get("rule")
        for item in request.session.items
        if item.path == request.path and hasattr(item, "callspec")
    }
    rows, _ = faulty_rows()
    # So many more customers that the rejects stay bearable.
    more = base.head(MORE).assign(customerID="M" + base["customerID"])
    faulty = Case(FAULTY, lambda sheet: pd.concat([sheet, more, pd.DataFrame(rows)]))
    after = [case for case in WARNED if case not in OTHER_CUSTOMERS]
    cases = [
        case
        for case in (*REFUSED, *OTHER_CUSTOMERS, faulty, *after)
        if case.rule in {*wanted, FAULTY}
    ]
    dates = {case.rule: BASE + timedelta(days=n + 1) for n, case in enumerate(cases)}
    sheets = {BASE: base} | {dates[case.rule]: case.change(base) for case in cases}
    with spark_session.session(home.settings) as spark:
        for day, sheet in sorted(sheets.items()):
            path = folder / f"{day}.csv"
            sheet.to_csv(path, index=False)
            extract = read_workbook(path)
            load(home.settings, spark, extract, ExtractDate(day, "given"), lambda _: None)
    home.dbt("run", "-s", "+customers")
    first, last = base["customerID"].min(), base["customerID"].max()
    tamper(home, dates, lambda case: case.silver, first, last)
    home.dbt("run", "-s", "load_counts", "audit_customer_features", "audit_churn_labels")
    tamper(home, dates, lambda case: case.candidates, first, last)
    home.dbt("run", "-s", "load_metrics+", "extract_profiles+", "gate_rules")
    return Judged(home, dates)


def tamper(
    home: ChurnHome, dates: dict[str, date], of: Callable[[Case], str], first: str, last: str
) -> None:
    """Change tables in a way that is not permitted, between two steps of the build."""
    with spark_session.session(home.settings) as spark:
        for case in (case for case in REFUSED if case.rule in dates):
            for each in filter(str.strip, of(case).split(";")):
                statement(spark, each, day=dates[case.rule], first=first, last=last)


@pytest.mark.parametrize(
    "rule",
    [
        rule if rule in SHORT else pytest.param(rule, marks=pytest.mark.long)
        for rule in (case.rule for case in REFUSED)
    ],
)
def test_a_broken_rule_refuses_the_load_alone(judged: Judged, rule: str) -> None:
    broken = judged.broken(rule)
    assert broken["failed"] == {rule}
    # the same figure, past the lower threshold as well; of other customers both figures tell
    identity = {"customers_retained_typical", "new_customers_typical"}
    also_warned = {
        "reject_share_below_limit": {"reject_share_typical"},
        "customers_retained": identity,
        "new_customers_bounded": identity,
    }
    assert broken["warned"] == also_warned.get(rule, broken["warned"] & {f"unusual_{rule}"})


@pytest.mark.parametrize("rule", [case.rule for case in WARNED])
def test_an_unusual_load_is_published_with_a_warning(judged: Judged, rule: str) -> None:
    broken = judged.broken(rule)
    assert (broken["failed"], broken["warned"]) == (set(), {rule})


def test_what_was_refused_is_not_published(judged: Judged) -> None:
    published = {
        row["extract_date"]
        for table in ("customer_features", "churn_labels", "publications")
        for row in judged.home.sql(f"select distinct extract_date from gold.{table}")
    }
    warned = {judged.dates[case.rule] for case in WARNED}
    assert published == {BASE, *warned, judged.faulty}


@pytest.mark.parametrize(
    ("rule", "alerts"),
    [("unusual_drift_of_gender", {"feature: gender"}), ("reject_share_typical", set())],
)
def test_what_moved_unusually_is_an_alert(judged: Judged, rule: str, alerts: set[str]) -> None:
    """What the gate lets pass with a warning is a reason to look at the model."""
    settings = judged.home.settings
    with spark_session.session(settings) as spark:
        of_date = {each.extract_date: each for each in read_publications(spark)}
        history = [of_date[BASE], of_date[judged.dates[rule]]]
        seen = monitor(settings, spark, read_rules(), history)
    assert seen is not None
    # That two extracts of the same customers, days apart, are not learned from is another alert.
    assert {each.watched for each in seen.alerts} - {"training"} == alerts


def test_each_faulty_row_is_rejected_for_its_one_fault(judged: Judged) -> None:
    rejects = judged.home.sql(
        f"""
        select customerID, reasons from silver.rejected_rows
        where extract_date = '{judged.faulty}' and reasons[0].code != 'exact_duplicate'
        """
    )
    _, expected = faulty_rows()
    found = {
        row["customerID"] or "": [(each["code"], each["column_name"]) for each in row["reasons"]]
        for row in rejects
    }
    assert found == {customer: [reason] for customer, reason in expected.items()}


@dataclass(frozen=True)
class Refused:
    """What a build said that refused two of three loads; their folder, dates and batch ids."""

    folder: Path
    said: str
    days: dict[str, date]
    batches: dict[str, str]


def forget_approvals(home: ChurnHome) -> None:
    """Leave the gate's log as the version before approvals left it."""
    rows = f"select * except ({', '.join(APPROVAL_COLUMNS)}) from audit.gate_results"
    home.sql(f"create or replace table audit.gate_results using delta as {rows}")


@pytest.fixture(scope="module")
def refused(judged: Judged, tmp_path_factory: pytest.TempPathFactory) -> Refused:
    """One passes, between one of rejects alone and one of other customers: all in one build."""
    base, last = base_sheet(), max(judged.dates.values())
    folder = tmp_path_factory.mktemp("refused")
    sheets = {
        "genders.csv": base.assign(gender="?"),
        "good.csv": base,
        "others.csv": base.assign(customerID="X" + base["customerID"]),
    }
    days = {name: last + timedelta(days=n) for n, name in enumerate(sheets, start=1)}
    batches = {}
    with spark_session.session(judged.home.settings) as spark:
        for name, sheet in sheets.items():
            sheet.to_csv(folder / name, index=False)
            extract, day = read_workbook(folder / name), ExtractDate(days[name], "given")
            loaded = load(judged.home.settings, spark, extract, day, lambda _: None)
            batches[name] = loaded.batch_id
    forget_approvals(judged.home)
    return Refused(folder, judged.home.churn("build", code=3).stderr, days, batches)


def test_a_build_names_every_load_that_it_refused(judged: Judged, refused: Refused) -> None:
    said, days = refused.said, refused.days
    for name in ("genders.csv", "others.csv"):
        assert f"{name}, extract of {days[name]}:" in said
    assert "reject_share_below_limit: 1 against 0.05" in said
    identity = ("customers_retained", "new_customers_bounded")
    assert f'{{extract_date: "{days["others.csv"]}", rules: [{", ".join(identity)}]' in said
    assert "good.csv" not in said
    published = judged.home.sql("select distinct extract_date from gold.publications")
    assert days["good.csv"] in {row["extract_date"] for row in published}
    assert not {days["genders.csv"], days["others.csv"]} & {
        row["extract_date"] for row in published
    }


def test_an_approved_load_is_published_with_approver_and_reason(
    judged: Judged, refused: Refused
) -> None:
    home, batch = judged.home, refused.batches["others.csv"]
    identity = {"customers_retained", "new_customers_bounded"}
    assert f"approve it with `churn approve {batch} --reason TEXT`" in refused.said
    forget_approvals(home)
    with spark_session.session(home.settings) as spark:
        # What a load has to fulfil on its own can't be approved.
        with pytest.raises(InvalidInputError, match="reject_share_below_limit"):
            approvals.read_refusal(spark, refused.batches["genders.csv"])
        refusal = approvals.read_refusal(spark, batch)
        assert refusal.values == dict(zip(sorted(identity), (0, 1), strict=True))
        approval = Approval("ann", "o'another \\ operator: x")
        approvals.record_approval(home.settings, spark, refusal, approval, "r")
        assert load_state.load_state(spark, batch).verdict == "pending"
    home.churn("build")
    with spark_session.session(home.settings) as spark:
        results = load_state.gate_results(spark, batch)
        named = {each["rule"] for each in results if each["approver"]}
        assert named == identity
        for each in results:
            if each["rule"] in identity:
                assert each["verdict"] == "expected"
                assert (each["approver"], each["reason"]) == ("ann", approval.reason)
        assert load_state.load_state(spark, batch).is_settled
        # Of other customers, as a declared one is.
        assert read_incomparable_dates(spark)[batch] == "expected"
        with pytest.raises(InvalidInputError, match="was approved by ann"):
            approvals.read_refusal(spark, batch)
        # It is an approval of this load alone, and a later load of the date is decided on instead.
        assert {each["batch_id"] for each in load_state.read_approvals(spark)} == {batch}
        path = refused.folder / "good.csv"
        day = ExtractDate(refused.days["others.csv"], "given")
        load(home.settings, spark, read_workbook(path), day, lambda _: None)
        with pytest.raises(InvalidInputError, match=r"good.csv has replaced others.csv"):
            approvals.read_refusal(spark, batch)


def test_every_declared_rule_is_broken_by_a_case() -> None:
    cases = {case.rule for case in (*REFUSED, *WARNED)}
    watched = {*DECLARED["drift"]["bands"], *DECLARED["drift"]["categories"]}
    assert cases - {"unusual_drift_of_gender"} == {
        *DECLARED["gate_rules"],
        *(f"drift_of_{feature}" for feature in watched),
    }
    assert {code for _, _, code in CONTRADICTIONS} == set(DECLARED["row_rules"])
    assert set(CELLS) == set(DECLARED["source_contract"])
    codes = {code for faults in CELLS.values() for code in faults.values()}
    # No column of telco is a date: test_drawn_domains.py has some.
    elsewhere = {"exact_duplicate", "conflicting_duplicate", "not_a_date"}
    assert codes | elsewhere == set(DECLARED["reject_reasons"])


# --- what is written in another notation ----------------------------------------------------------


def in_notation(path: Path, spell: Callable[[float], str], rows: int = 30) -> pd.DataFrame:
    """The first customers, their amounts spelled, as a CSV file; returns them as they are."""
    sheet = base_sheet().drop_duplicates("customerID").head(rows)
    spelled = sheet.assign(
        MonthlyCharges=sheet["MonthlyCharges"].map(spell),
        TotalCharges=pd.to_numeric(sheet["TotalCharges"], errors="coerce").fillna(0).map(spell),
    )
    spelled.to_csv(path, sep=";", index=False)
    return sheet


def load_as(home: ChurnHome, path: Path, day: date, stated: SourceFormat) -> Load:
    with spark_session.session(home.settings) as spark:
        extract = read_workbook(path, source_format=stated)
        return load(home.settings, spark, extract, ExtractDate(day, "given"), lambda _: None)


SPELLINGS = ("Zo\u00eb-1", "Zoe\u0308-1")


@pytest.fixture(scope="module")
def spelled(judged: Judged, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Extracts in silver by one build: amounts with a comma, and an id in two spellings.

    Returns:
        What was said about the amounts before the decimal sign was stated, their sheet, and the
        extract dates of both.
    """
    home, folder = judged.home, tmp_path_factory.mktemp("spelled")
    amounts, ids = (judged.after + timedelta(days=days) for days in (1, 4))
    path = folder / "comma.csv"
    sheet = in_notation(path, lambda n: f"R$ {n:,.2f}".translate(str.maketrans(",.", ".,")))
    said = home.churn("run", path, "--extract-date", str(amounts), code=2).stderr
    assert not home.sql(f"select * from bronze.loads where extract_date = '{amounts}'")
    home.churn("ingest", path, "--extract-date", str(amounts), "--decimal", ",")
    rows = pd.DataFrame([{"customerID": each, **SOUND} for each in reversed(SPELLINGS)])
    rows.to_csv(folder / "spelled.csv", index=False)
    load_as(home, folder / "spelled.csv", ids, SourceFormat())
    home.dbt("run", "-s", "+customers")
    return {"said": said, "sheet": sheet, "amounts": amounts, "ids": ids}


def test_amounts_are_published_as_they_were_stated(judged: Judged, spelled: dict[str, Any]) -> None:
    assert "`--decimal ,`" in spelled["said"]
    found = judged.home.sql(
        "select customer_id, monthly_charges from silver.customers "
        f"where extract_date = '{spelled['amounts']}'"
    )
    sheet = spelled["sheet"]
    amounts = dict(zip(sheet["customerID"], sheet["MonthlyCharges"], strict=True))
    assert {row["customer_id"]: row["monthly_charges"] for row in found} == amounts


def test_the_same_file_read_in_another_way_is_another_load(judged: Judged, tmp_path: Path) -> None:
    """It restates its date, and bronze alone says again what each of the two was."""
    home, day = judged.home, judged.after + timedelta(days=2)
    path = tmp_path / "pesos.csv"
    in_notation(path, lambda n: f"{n % 1000 + 1:.3f}")
    point, again, comma = (
        load_as(home, path, day, SourceFormat(decimal)) for decimal in (".", ".", ",")
    )
    assert (point.is_new, again.is_new, comma.is_new) == (True, False, True)
    assert again.batch_id == point.batch_id != comma.batch_id
    with spark_session.session(home.settings) as spark:
        kept = {each.batch_id: each for each in read_loads(spark)}
        for batch, decimal in ((point, "."), (comma, ",")):
            extract = read_workbook(path, source_format=SourceFormat(decimal))
            stored = read_extract_from_bronze(spark, kept[batch.batch_id])
            assert stored.format == extract.format
            assert stored.table.to_pylist() == extract.table.to_pylist()


def test_a_lake_from_before_takes_both(judged: Judged, tmp_path: Path) -> None:
    """Its loads have no columns for what was stated: nothing was."""
    home, day = judged.home, judged.after + timedelta(days=3)
    path = tmp_path / "plain.csv"
    in_notation(path, str)
    first = load_as(home, path, day, SourceFormat())
    with spark_session.session(home.settings) as spark:
        place = spark.sql("describe detail bronze.loads").head()["location"]
        spark.sql(
            "create table bronze.before as select * except (decimal, encoding) from bronze.loads"
        )
        spark.sql(
            f"create or replace table bronze.loads using delta location '{place}' "
            "as select * from bronze.before"
        )
        spark.sql("drop table bronze.before")
        assert first.batch_id in {each.batch_id for each in read_loads(spark)}
    assert not load_as(home, path, day, SourceFormat()).is_new
    assert load_as(home, path, day, SourceFormat(".")).is_new
    assert home.value("select count(decimal) from bronze.loads") == 1


def test_one_id_in_two_spellings_is_one_customer(judged: Judged, spelled: dict[str, Any]) -> None:
    home, day = judged.home, spelled["ids"]
    composed, apart = SPELLINGS
    kept = home.sql(f"select customer_id from silver.customers where extract_date = '{day}'")
    lost = home.sql(f"select reasons from silver.rejected_rows where extract_date = '{day}'")
    assert [row["customer_id"] for row in kept] == [composed]
    assert [row["reasons"][0]["code"] for row in lost] == ["conflicting_duplicate"]
    cells = [row["extra"] for row in home.churn_json("trace", apart)["bronze"]]
    assert cells == [{"customerID as read": apart}, {}]


def test_ids_that_lost_their_zeros_are_named(judged: Judged, tmp_path: Path) -> None:
    home, day = judged.home, judged.after + timedelta(days=5)
    said: list[str] = []
    with spark_session.session(home.settings) as spark:
        for place, spell in enumerate((lambda n: f"{n:08}", str, str)):
            path = tmp_path / f"{place}.csv"
            rows = [{"customerID": spell(n), **SOUND} for n in range(1, 31)]
            pd.DataFrame(rows).to_csv(path, index=False)
            on = ExtractDate(day + timedelta(days=place), "given")
            load(home.settings, spark, read_workbook(path), on, said.append)
    (warning,) = (text for text in said if "zeros in front" in text)
    assert "warning: 30 of 30 customer ids" in warning
