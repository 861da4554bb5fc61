import json
import re
import subprocess
import sys
from dataclasses import asdict, replace
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import pytest
from template_lines import missed_lines

from churn.reports.curves import Evaluation
from churn.reports.gate_statements import format_statement
from churn.reports.report import (
    ChurnGroup,
    GateResult,
    RejectedRow,
    RejectReason,
    ReportData,
    balance,
    banner,
    duration,
    gate_figure,
    stages,
    write_report,
)
from churn.reports.retention_workbook import ListedCustomer, RetentionList
from feature_repo.labels import Exclusion
from lakehouse.domain import ListColumn, Offer, read_domain
from lakehouse.page_icon import ICON
from trainer.monitoring import MonitoredMetric, MonitoringResult
from trainer.retention_campaign import Campaign, Effect

HOSTILE = '<script>alert("x")</script>\'&\u202ekcab\x00 $x$'
SCORES = {"roc_auc": 0.845, "pr_auc": 0.656, "accuracy": 0.804, "f1": 0.59, "brier": 0.136}
HOLDOUT = {"roc_auc": 0.851, "pr_auc": 0.662, "accuracy": 0.811, "f1": 0.61, "brier": 0.133}
COUNTS = {
    "bronze": 7049,
    "exact_duplicates": 4,
    "rejected": 2,
    "silver": 7043,
    "gold": 7043,
    "online_verified": 7043,
    "scored": 7043,
}
SUMMARY = {
    "run_id": "20250714T093012Z",
    "unchanged": False,
    "workbook": {"path": "/in/base.xlsx", "sha256": "8f1d", "sheet": "Base", "rows": 7049},
    "extract_date": "2025-07-14",
    "extract_date_source": "the date given",
    "counts": COUNTS,
    "gate": {"tests": 9, "passed": 9, "warned": 0, "failed": 0, "verdict": "passed"},
    "model": {"version": "v1", "kind": "logistic_regression", "champion": True, **SCORES}
    | {"top_decile_lift": 2.84}
    | {"holdout": HOLDOUT},
    "seconds": {"ingest": 4.2, "build": 31.7, "train": 75.0},
}
POINTS = {
    "roc": ("false_positive_rate true_positive_rate", (0.0, 0.0), (0.2, 0.7), (1.0, 1.0)),
    "pr": ("recall precision", (0.0, 1.0), (0.5, 0.7), (1.0, 0.27)),
    "calibration": ("predicted observed count", (0.1, 0.09, 500.0), (0.6, 0.62, 100.0)),
    "thresholds": ("threshold accuracy f1", (0.2, 0.7, 0.6), (0.5, 0.8, 0.59), (0.8, 0.74, 0.1)),
    "histogram": ("from to churned stayed", (0.0, 0.5, 60.0, 540.0), (0.5, 1.0, 210.0, 190.0)),
}
CURVES = {
    curve: [dict(zip(names.split(), point, strict=True)) for point in points]
    for curve, (names, *points) in POINTS.items()
}
RULES = (
    GateResult(
        *("minimum_customers", "error", 7043, 1000, "at least", "passed", "The base is whole."),
        statement="the workbook has at least 1,000 customers",
    ),
    GateResult(
        "reject_share_below_limit", "error", 0.0003, 0.05, "at most", "passed", "Share.", "share"
    ),
)


def to_call(text: str, offers: bool = True, value: bool = True) -> RetentionList:
    """A list of eleven customers, whose texts are this one."""
    offer = Offer(text, "true", {}, "0.1 * bill")
    campaign = Campaign(
        "bill" if value else None,
        12,
        20.0,
        Effect(0.3, 0.15, 0.45),
        {text: offer} if offers else {},
        "$",
    )
    customer = ListedCustomer(
        *(text, 0.836, 1200.0, text if offers else None, 80.0, 0.6 if offers else None),
        *(147.4, 33.7, 261.1, (text,), (text,)),
    )
    columns = (ListColumn("contract", text),)
    return RetentionList(date(2025, 7, 14), 7043, text, text, campaign, columns, (customer,) * 11)


FULL = ReportData(
    summary=SUMMARY,
    gate_results=RULES,
    reject_reasons=(RejectReason("out_of_range", "TotalCharges", 2),),
    rejected_rows=(RejectedRow(7049, ("TotalCharges is -100",)),),
    churn_by={
        "Contract": (ChurnGroup("Month-to-month", 3875, 1655), ChurnGroup("One year", 1473, 166)),
        "Tenure": (ChurnGroup("under 12 months", 2069, 999), ChurnGroup("none", 0, 0)),
        "Payment method": (ChurnGroup("Mailed check", 1612, 308),),
    },
    evaluations=(
        Evaluation("logistic_regression", SCORES, HOLDOUT, CURVES),
        Evaluation("gradient_boosted_trees", SCORES, HOLDOUT, CURVES),
    ),
    retention_list=to_call("0001-A"),
)
WATCHED = MonitoredMetric("feature: tenure", "training", 0.3, 0.25, True, "tenure moved by 0.3")
# Everything that only some runs have: extracts that were left out of the training, and alerts.
RARE = replace(
    FULL,
    summary=SUMMARY
    | {
        "model": SUMMARY["model"]
        | {
            "label": {"kind": "observed", "reason": "two pairs of extracts"},
            "left_out": [asdict(Exclusion(["2025-01-01", "2025-02-01"], "too few customers"))],
        },
        "watch": MonitoringResult(date(2025, 7, 14), "v1", (WATCHED,)).to_json(),
    },
    gate_results=(
        *RULES,
        replace(RULES[1], rule="drift_of_tenure", drift_of="tenure", compared_with="2025-06-01"),
        replace(RULES[1], severity="warn", verdict="warned", compared_with="2025-06-01"),
        GateResult("rows_not_lost", "error", None, -0.2, "at least", "not_applicable"),
    ),
    reject_reasons=(RejectReason("out_of_range", "TotalCharges", 7),),
)
REFUSED = ReportData(
    summary={
        "run_id": "r2",
        "workbook": SUMMARY["workbook"],
        "counts": {"bronze": 2000, "exact_duplicates": 0, "rejected": 400, "silver": 1600},
        "gate": {"tests": 9, "passed": 8, "warned": 0, "failed": 1, "verdict": "refused"},
    },
    gate_results=(RULES[0], replace(RULES[1], figure=0.2, verdict="failed")),
)
PLOTS = {
    "Contract: share that left",
    "Tenure: share that left",
    "Payment method: share that left",
    "ROC curve (ROC-AUC)",
    "Precision and recall (PR-AUC)",
    "Accuracy by threshold",
    "F1 by threshold",
    "Calibration (Brier score)",
    "Customers by probability",
    "Time by step",
}


class Page(HTMLParser):
    """What a browser would make of the page: its tags with attributes, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words += data

    @property
    def text(self) -> str:
        return " ".join(self.words.split())

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def render(tmp_path):
    def write(data: ReportData) -> str:
        path = tmp_path / "report.html"
        write_report(data, path)
        return path.read_text(encoding="utf-8")

    return write


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> str:
    path: Path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(FULL, path)
    return path.read_text(encoding="utf-8")


def test_the_page_fetches_nothing(full):
    page = Page(full)
    addresses = [
        (tag, attributes[key])
        for tag, attributes in page.tags
        for key in ("src", "href", "xlink:href", "srcset", "action", "data")
        if key in attributes
    ]
    outside = {(tag, address) for tag, address in addresses if not (address or "").startswith("#")}
    # The list lies beside the page, and is loaded only if the reader asks for it.
    assert outside == {("link", ICON), ("a", "retention_list.xlsx")}
    assert [link["href"] for link in page.named("link")] == [ICON]
    assert re.findall(r"https?://[^\s\"]+", full) == []
    assert re.findall(r"url\((?!#)|@import", full) == []
    assert "default-src 'none'" in full
    assert page.named("script") == []


def test_every_plot_is_one_svg_with_a_name(full):
    drawn = Page(full).named("svg")
    assert {svg["aria-label"] for svg in drawn} == PLOTS
    assert len(drawn) == len(PLOTS)
    assert all(svg["role"] == "img" for svg in drawn)
    assert full.count("<title>") == len(PLOTS) + 1


def test_ids_are_unique_and_colours_are_the_themes(full):
    ids = [attributes["id"] for _, attributes in Page(full).tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    drawn = "".join(re.findall(r"<svg.*?</svg>", full, re.S))
    assert re.findall(r"(?:fill|stroke): #", drawn) == []


def test_every_reference_in_a_plot_has_its_target(full):
    ids = set(re.findall(r'id="([^"]+)"', full))
    used = re.findall(r'href="#([^"]+)"', full) + re.findall(r"url\(#([^)]+)\)", full)
    assert used and set(used) <= ids


def test_the_same_data_gives_the_same_bytes(full, render):
    assert render(FULL) == full


def test_hostile_text_stays_text(render):
    rule = GateResult(HOSTILE, "error", 1, 2, "at most", "failed", HOSTILE)
    summary = json.loads(json.dumps(SUMMARY)) | {
        "run_id": HOSTILE,
        "workbook": {"path": f"/in/{HOSTILE}", "sheet": HOSTILE, "sha256": HOSTILE},
        "extract_date_source": HOSTILE,
        "model": {"kind": HOSTILE, "version": HOSTILE, "champion": HOSTILE},
        "seconds": {HOSTILE: 1.0},
    }
    html = render(
        ReportData(
            summary,
            (rule,),
            (RejectReason(HOSTILE, HOSTILE, 1),),
            (RejectedRow(2, (HOSTILE,)),),
            {HOSTILE: (ChurnGroup(HOSTILE, 10, 5),)},
            (Evaluation(HOSTILE, SCORES, HOLDOUT, CURVES),),
            to_call(HOSTILE),
        )
    )
    page = Page(html)
    assert page.named("script") == []
    assert not any(key.startswith("on") for _, attributes in page.tags for key in attributes)
    assert "\u202e" not in html and "\x00" not in html
    assert "javascript:" not in html
    # The text itself is there for the reader, in tables and in plots.
    assert page.text.count('<script>alert("x")</script>') > 10


def test_every_line_of_the_template_is_rendered_by_these_tests(render):
    watched_without_alert = {**RARE.summary["watch"], "alerts": []}
    with missed_lines() as missed:
        plain = replace(FULL, retention_list=to_call("0001-A", offers=False, value=False))
        shared = [("new", 11)] * 7
        common = replace(FULL, retention_list=replace(to_call("1"), common_reasons=shared))
        many = tuple(RejectReason("out_of_range", f"column_{n}", 1) for n in range(6))
        common = replace(common, reject_reasons=many)
        for data in (FULL, plain, common, RARE, REFUSED, ReportData({}, is_sample=True)):
            render(data)
        render(replace(RARE, summary=RARE.summary | {"watch": watched_without_alert}))
        render(replace(FULL, summary=SUMMARY | {"counts": COUNTS | {"silver": 7000}}))
    assert missed == {
        name: set() for name in ("report.html.j2", "page_parts.html.j2", "sample_mark.html.j2")
    }


def test_undecodable_file_names_can_be_written(render):
    workbook = {"path": "/in/caf\udce9.xlsx", "sheet": "\ud800"}
    assert "caf\ufffd.xlsx" in render(ReportData({"workbook": workbook}))


def test_a_refusal_names_the_rule_its_figure_and_the_place_of_the_rejects(render):
    page = Page(render(REFUSED))
    assert "Refused: this workbook did not pass the checks" in page.text
    assert "Share. Found: 20%, allowed is at most 5%." in page.text
    assert "churn rejects --run r2 --out rejects.xlsx" in page.text
    assert "No model was trained in this run." in page.text
    assert "customers, not published" in page.text
    assert page.named("svg") == []


@pytest.mark.parametrize(
    "summary",
    [{}, {"counts": None, "gate": None, "model": None, "seconds": None}, {"counts": {"bronze": 5}}],
)
def test_a_run_that_ended_early_has_a_report(render, summary):
    text = Page(render(ReportData(summary))).text
    assert "No verdict: the run ended before the checks" in text
    assert "The run ended before all rows were counted." in text


def test_rules_without_a_baseline_are_one_sentence(render):
    (skipped,) = (each for each in RARE.gate_results if each.verdict == "not_applicable")
    drifts = [
        replace(skipped, rule=f"drift_of_{name}", drift_of=name, severity=severity)
        for name in ("tenure", "contract")
        for severity in ("error", "warn")
    ]
    text = Page(render(replace(FULL, gate_results=(*RULES, skipped, *drifts)))).text
    begin = "Comparisons with earlier months begin with"
    assert text.count(f"{begin} the next workbook: 5 rules need an earlier extract.") == 2
    assert "not applicable" not in text and "rows_not_lost" not in text
    text = Page(render(replace(FULL, gate_results=(*RULES, skipped)))).text
    assert f"{begin} the next workbook: 1 rule needs an earlier extract." in text
    refused = replace(REFUSED, gate_results=(*REFUSED.gate_results, skipped))
    assert f"{begin} the workbook after the first that passes" in Page(render(refused)).text
    assert begin not in Page(render(FULL)).text


def test_the_banner_says_which_checks_could_run() -> None:
    (skipped,) = (each for each in RARE.gate_results if each.verdict == "not_applicable")
    data = ReportData(SUMMARY | {"gate": {"passed": 12}}, gate_results=(*RULES, skipped))
    passed = tuple(each for each in data.gate_results if each.verdict != "failed")
    first = banner(replace(data, gate_results=passed))[1]
    assert first.endswith("all 12 checks that can run on a first workbook passed")
    assert banner(replace(data, gate_results=passed[:-1]))[1].endswith("every check passed")


def test_more_errors_than_rows_are_explained(render):
    note = "A row can have several errors, so that there are more errors than rows."
    assert note not in Page(render(FULL)).text
    twice = replace(FULL, reject_reasons=(RejectReason("out_of_range", "TotalCharges", 7),))
    assert note in Page(render(twice)).text


def test_all_errors_are_counted_and_copies_are_none(render):
    reasons = [RejectReason(f"code_{n}", f"column_{n}", 10 - n) for n in range(8)]
    copies = RejectReason("exact_duplicate", "", 40, "a copy")
    data = replace(FULL, reject_reasons=(copies, *reasons), command="churn --demo")
    text = Page(render(data)).text
    checks = text[text.rindex("Can you rely on it?") : text.index("For the data team Run")]
    assert "10 × column_0: code 0" in checks and "6 × column_4" in checks
    assert "column_5" not in checks and "a copy" not in checks
    assert "and 12 more, for 3 other reasons: see rejected rows" in checks
    assert "churn --demo rejects --run 20250714T093012Z --out rejects.xlsx" in checks
    text = Page(render(replace(data, reject_reasons=tuple(reasons[:6])))).text
    assert "and 5 more, for 1 other reason:" in text
    only_copies = Page(render(replace(data, reject_reasons=(copies,)))).text
    assert "can give you the rows" not in only_copies


def test_the_retention_manager_reads_nothing_of_the_api(render):
    later = {**SUMMARY, "scored_extract_date": "2025-08-01"}
    for summary in (SUMMARY, later):
        assert "API" not in " ".join(banner(ReportData(summary)))


def test_what_the_listed_share_is_a_short_table(render):
    shared = [(f"reason {n}", 11 - n // 2) for n in range(9)]
    data = replace(FULL, retention_list=replace(to_call("0001-A"), common_reasons=shared))
    text = Page(render(data)).text
    assert "reason 011 of 11100%" in text.replace("\n", "") and "reason 49 of 1182%" in text
    assert "reason 6" not in text and "3 more that fewer of them have" in text
    few = replace(data.retention_list, common_reasons=shared[:6])
    assert "more that fewer" not in Page(render(replace(FULL, retention_list=few))).text


def test_the_headline_is_rounded_and_says_how_many_calls_would_pay(render):
    listed = replace(to_call("0001-A"), paying=1204, model_limit="It learned from one extract.")
    text = Page(render(replace(FULL, retention_list=listed))).text
    assert "11 calls, expected gain about $1,600 ($370 to $2,900)" in text
    assert "cost of the calls$880offers included" in text and "≈" not in text
    paying = "1,204 calls are expected to pay; the 11 with the highest expected gain are listed."
    assert f"{paying} The expected gain is the bills of " in text
    assert "no margin is taken off. We expect about" in text
    event = "Of being marked as left in the workbook (which does not say when)"
    assert f"Probability of leaving{event}" in text.replace("\n", "")
    assert "ModelIt learned from one extract." in text.replace("\n", "")
    assert "expected to pay;" not in Page(render(FULL)).text


def test_the_cost_of_a_call_and_of_an_offer_are_apart(full):
    assert Page(full).text.count("call $20, offer $60 $80.00") == 10


def test_a_model_without_curves_shows_the_figures_of_the_summary(render):
    text = Page(render(ReportData(SUMMARY))).text
    assert "logistic regression ★ champion" in text
    assert "0.845" in text and "0.851" in text


def test_the_scores_of_every_kind_stand_beside_their_hold_out(full):
    text = Page(full).text
    assert "ROC-AUC" in text
    assert text.count("★ champion") == 1
    assert "Hold-out: logistic regression 0.851, gradient boosted trees 0.851." in text


def test_the_page_says_what_the_model_learned_from(render):
    label = {"kind": "observed", "reason": "churn observed in the next extract"}
    model = SUMMARY["model"] | {"label": label}
    text = Page(render(replace(FULL, summary=SUMMARY | {"model": model}))).text
    assert "It learned from churn observed in the next extract." in text
    assert "five folds that keep the rows of a customer together" in text
    of_before = Page(render(FULL)).text
    assert "It learned from" not in of_before
    assert "five folds that keep customers with equal features together" in of_before


def test_a_model_that_is_no_champion_says_why(render):
    model = SUMMARY["model"] | {"champion": "PR-AUC 0.640 is below the champion's 0.652"}
    text = Page(render(ReportData(SUMMARY | {"model": model}))).text
    assert "PR-AUC 0.640 is below the champion's 0.652" in text
    assert "★ champion" not in text


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({}, "passed"),
        ({"unchanged": True}, "passed"),
        ({"gate": {"warned": 2, "verdict": "passed"}}, "warned"),
        ({"gate": {"verdict": "refused"}, "unchanged": True}, "refused"),
        ({"gate": {"failed": 1}}, "refused"),
        ({"gate": None}, "unknown"),
    ],
)
def test_the_banner_tells_what_became_of_the_workbook(change, state):
    assert banner(ReportData(SUMMARY | change))[0] == state


def test_the_balance_of_the_rows_is_checked():
    assert balance(COUNTS) == (
        "7,049 rows read = 7,043 kept + 4 exact duplicates + 2 rejected",
        "held",
    )
    text, state = balance(COUNTS | {"rejected": 1}) or ("", "")
    assert "≠" in text and state == "broken"
    assert balance({"bronze": 7049}) is None


def test_a_station_that_lost_rows_is_marked():
    states = [stage.state for stage in stages(COUNTS | {"online_verified": 7000})]
    assert states == ["", "", "held", "broken", "held"]


@pytest.mark.parametrize(
    ("value", "unit", "written"),
    [
        (7043, "customers", "7,043"),
        (0, "rows", "0"),
        (0.21344, "index", "0.2134"),
        (0.0003, "share", "0.03%"),
        (0.2, "share", "20%"),
        (-0.2, "share", "-20%"),
        (0.12345, "share", "12.3%"),
        (0.2, "", "0.2"),
        (None, "share", "not known"),
        (float("nan"), "index", "not known"),
    ],
)
def test_figures_of_rules_are_written_for_people(value, unit, written):
    assert gate_figure(value, unit) == written


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(0.04, "0.0\u00a0s"), (59.96, "1\u00a0min 00\u00a0s"), (114, "1\u00a0min 54\u00a0s")],
)
def test_durations_are_written_for_people(seconds, written):
    assert duration(seconds) == written


def test_importing_the_report_loads_no_plotting():
    code = "import sys, churn.reports.report; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


DRIFTS = tuple(
    GateResult(
        rule, severity, figure, threshold, "at most", verdict, "", "index", "2025-06-14", name
    )
    for name, figure, refused, usual in (
        ("contract", 0.31, "failed", "warned"),
        ("gender", 0.16, "passed", "warned"),
        ("tenure", 0.004, "passed", "passed"),
    )
    for rule, severity, threshold, verdict in (
        (f"drift_of_{name}", "error", 0.25, refused),
        (f"unusual_drift_of_{name}", "warn", 0.1, usual),
    )
)


def test_drift_is_drawn_and_only_what_it_broke_is_listed(render) -> None:
    data = replace(REFUSED, gate_results=(*RULES, *DRIFTS))
    text = render(data)
    assert "Drift of the features" in text
    assert "against the extract of 2025-06-14" in text
    for listed in ("drift_of_contract", "unusual_drift_of_gender"):
        assert f"<code>{listed}</code>" in text
    for unlisted in ("drift_of_gender", "drift_of_tenure"):
        assert f"<code>{unlisted}</code>" not in text


def test_a_verdict_of_an_earlier_version_is_its_bare_figure(render) -> None:
    rule = GateResult("reject_share_below_limit", "error", 0.2, 0.05, "", "failed")
    text = render(replace(REFUSED, gate_results=(rule,)))
    assert "reject share below limit Found: 0.2, allowed is 0.05." in Page(text).text


def test_a_manager_reads_sentences_and_the_data_team_names(full, render) -> None:
    manager, data_team = full.split("For the data team</h2>")
    text = Page(manager).text
    assert "We checked that ✓ the workbook has at least 1,000 customers" in text
    assert "the share that left was 2.8 times that of all customers" in text
    assert "The list is ordered by expected gain, so it is not that tenth." in text
    assert "Made by the run that started 2025-07-14 09:30 UTC" in text
    assert "After the calls: the next extract shows who left" in text
    assert "ask the data team for a campaign's list instead (churn campaign start)" in text
    assert "2 × TotalCharges: out of range" in text
    # No name of a column, a rule or a table is meant for this reader.
    assert re.findall(r"\b[a-z]+_[a-z_]+\b", Page(manager.partition("<body>")[2]).text) == []
    assert "minimum_customers" in data_team and "ROC-AUC" in data_team
    data = replace(FULL, gate_results=(*RULES, *DRIFTS))
    text = Page(render(data)).text
    assert (
        "in 2 characteristics the customers resemble those of the extract before (2025-06-14)"
        in text
    )
    failed = replace(DRIFTS[0], statement="the customers are spread as before")
    text = Page(render(replace(FULL, gate_results=(failed,)))).text
    assert "the customers are spread as before – not so: 0.31 (stability index)" in text


def test_the_checks_begin_with_a_verdict(full, render) -> None:
    begin = "Can you rely on it? The data: the checks passed"
    order = "Who is at risk: the order was tested on customers the model had not seen; see below."
    money = "The money: an assumption until a campaign is measured."
    assert f"{begin}. {order} {money} Of the 7,049 rows" in Page(full).text
    measured = Effect(0.4, 0.3, 0.5, "measured in 1 campaign, and 30% assumed before")
    listed = to_call("0001-A")
    listed = replace(listed, campaign=replace(listed.campaign, effect=measured))
    summary = SUMMARY | {"gate": {"warned": 2, "verdict": "passed"}, "model": {}}
    text = Page(render(replace(FULL, summary=summary, retention_list=listed))).text
    assert f"{begin}, with warnings. Who is at risk: not tested in this run. The money: the" in text
    assert "effect of a call is measured in 1 campaign, and 30% assumed before." in text
    assert "The list is ordered by expected gain" not in text
    refused = Page(render(REFUSED)).text
    assert "not all checks passed, and nothing of this workbook is in use." in refused
    assert "The money" not in refused
    without_value = replace(FULL, retention_list=to_call("0001-A", value=False))
    text = Page(render(without_value)).text
    assert "2.8 times" in text and "ordered by expected gain" not in text


def test_every_rule_of_the_domain_has_a_sentence() -> None:
    domain = read_domain()
    for name, rule in domain.rules.gate_rules.items():
        limit = rule.at_most if rule.at_least is None else rule.at_least
        said = format_statement(name, limit, domain)
        assert said and "{" not in said and "_" not in said, name
    assert format_statement("rows_not_lost", -0.2, domain).endswith(
        "more than 20% from the extract before"
    )
    assert "“monthly charges”" in format_statement("unusual_drift_of_monthly_charges", 0.1, domain)
    assert format_statement("a rule of an earlier version", 1, domain) == ""


def test_an_approved_value_names_the_approver_and_the_reason(render) -> None:
    rule = GateResult("rows_not_lost", "error", -0.3, -0.2, "at least", "expected")
    approved = replace(rule, approver="ann", reason="<b>a branch</b> was sold")
    text = render(replace(FULL, gate_results=(approved,)))
    assert "Approved by <bdi>ann</bdi>: <bdi>&lt;b&gt;a branch&lt;/b&gt; was sold</bdi>" in text
    assert "Approved by" not in render(replace(FULL, gate_results=(rule,)))


def test_a_rule_without_anything_to_compare_with_shows_no_figure(render) -> None:
    rule = GateResult("rows_not_lost", "error", None, -0.2, "at least", "not_applicable")
    text = render(replace(FULL, gate_results=(rule,)))
    assert "rows_not_lost" not in text
    assert "not known" not in text
    assert "Drift of the features" not in text
