"""The evidence of versions, without a server: an evaluated one, and one from before."""

import json
import re
import shutil
import tomllib
import zipfile
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from crate_validator import find_issues
from page_figures import differences, read_figures

from churn.cli.main import main
from churn.reports.bill_of_materials import read_bill_of_materials
from churn.reports.evidence import write_evidence
from churn.reports.figures import Figures
from churn.reports.letter import letter_page
from feature_repo.labels import OBSERVED, WORKBOOK
from lakehouse.domain import read_domain
from lakehouse.errors import InvalidInputError
from lakehouse.settings import PROJECT, Settings, read_settings
from trainer import registry

BEFORE = Path(__file__).with_name("models_of_before")
FIRST, CHAMPION = "20241203-00000001", "20250103-00000002"
METRICS = ("roc_auc", "pr_auc", "brier", "accuracy", "f1")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A registry from before profit was measured: two versions, the second one champion."""
    shutil.copytree(BEFORE, tmp_path / "models")
    return read_settings({"CHURN_HOME": str(tmp_path)})


def evaluate(settings: Settings, version: str) -> dict[str, Any]:
    """Store an evaluation as it was before profit was measured."""
    values = {name: 0.7 + place / 91 for place, name in enumerate(METRICS)}
    interval = {"mean": 0.71, "low": 0.7, "high": 0.725, "deviation_of_folds": 0.0123456}
    part = {"slice": "tenure", "group": "a/b", "rows": 77, "observed": 0.25, "predicted": 0.31}
    evaluation = {
        "stamp": "s",
        "training_set": {"extract_date": "2025-01-03", "rows": 100, "of_the_version": False},
        "cross_validated": {**dict.fromkeys(METRICS, interval), "rounds": 5, "folds": 5},
        "baselines": {"share of leavers": values, "a rule": values},
        "learning_curve": [{"share": 1.0, "rows_learned_from": 80, **values}],
        "grid": [],
        "temporal": values,
        "calibration": {
            "bins": [{"predicted": 0.2, "observed": 0.25, "customers": 10}],
            **{"expected_error": 0.01, "recalibration_helps": False},
        },
        "threshold": None,
        "deciles": [{"decile": 1, "customers": 10, "leavers": 5, "lift": 2.0, "gain": 0.4}],
        "slices": [
            {**part, "gap": 0.06, "flagged": True, "found": None, "roc_auc": None, "brier": 0.1}
        ],
        "behaviour": [{"what": "it", "shift": 0.04, "at_most": 0.02, "holds": False}],
        "leaks": {"found": [], "strongest": [{"feature": "tenure", "roc_auc": 0.7}]},
    }
    path = registry.folder(settings) / version / "evaluation.json"
    path.write_text(json.dumps(evaluation))
    return evaluation


def read_archive(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("is_evaluated", [True, False])
@pytest.mark.parametrize("version", [None, FIRST])
def test_every_figure_is_that_of_the_documents(
    settings: Settings, tmp_path: Path, version: str | None, is_evaluated: bool
) -> None:
    name = version or CHAMPION
    if is_evaluated:
        evaluate(settings, name)
    path = tmp_path / "evidence.zip"
    said = write_evidence(settings, version, path)
    assert name in said and ("churn evaluate" in said) != is_evaluated
    place, files = registry.folder(settings) / name, read_archive(path)
    documents = {each.name: json.loads(each.read_text()) for each in place.glob("*.json")}
    stored = {"record.json", "promotion.json", "evaluation.json"} & documents.keys()
    assert {each: json.loads(files[each]) for each in stored} == {
        each: documents[each] for each in stored
    }
    found = read_figures(files["evidence.html"].decode())
    assert list(differences(found.figures, documents)) == []
    assert set(found.bare) <= {"–"}
    shown = {(each.document, *each.place) for each in found.figures}
    kind = documents["record.json"]["kind"]
    for metric in METRICS:
        assert ("record.json", "evaluations", kind, "out_of_fold", metric) in shown
        if is_evaluated:
            assert ("evaluation.json", "cross_validated", metric, "low") in shown
    if is_evaluated:
        assert ("evaluation.json", "slices", "0", "predicted") in shown
    text = files["evidence.html"].decode()
    for section in ("card", "label", "figures", "limits", "data", "approvals", "lineage"):
        assert f'<section id="{section}">' in text
    assert ("off for tenure, a/b" in text) == is_evaluated
    # self-contained
    assert "://" not in text.replace("http://www.w3.org/", "")


def test_a_changed_figure_is_found(settings: Settings, tmp_path: Path) -> None:
    """The comparison above can fail: in the value, in the text, in the place."""
    path = tmp_path / "evidence.zip"
    write_evidence(settings, None, path)
    page = read_archive(path)["evidence.html"].decode()
    place = registry.folder(settings) / CHAMPION / "record.json"
    documents = {"record.json": json.loads(place.read_text())}
    figures = read_figures(page).figures
    documents["promotion.json"] = json.loads(place.with_name("promotion.json").read_text())
    assert list(differences(figures, documents)) == []
    documents["record.json"]["rows"] += 1
    assert [each.place for each in differences(figures, documents)] == [("rows",)]
    one = next(each for each in figures if each.place[-1] == "roc_auc")
    documents["record.json"]["rows"] -= 1
    wrong = type(one)(one.document, one.place, one.value, "0.123")
    assert list(differences([wrong], documents)) == [wrong]


def test_the_archive_is_an_ro_crate(settings: Settings, tmp_path: Path) -> None:
    evaluate(settings, CHAMPION)
    path = tmp_path / "evidence.zip"
    write_evidence(settings, None, path)
    issues = find_issues(path, tmp_path / "cache")
    assert issues["REQUIRED"] == []
    # The organisation is known by name only.
    assert set(issues["RECOMMENDED"]) <= {"The organization SHOULD have a URL."}
    # an archive without one of its files is none
    files = read_archive(path)
    broken = tmp_path / "broken.zip"
    with zipfile.ZipFile(broken, "w") as archive:
        for name in files.keys() - {"record.json"}:
            archive.writestr(name, files[name])
    assert find_issues(broken, tmp_path / "cache")["REQUIRED"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["20200101-none", "--out", "e.zip"], "There is no model '20200101-none'"),
        (["..", "--out", "e.zip"], "There is no model '..'"),
        ([CHAMPION, "--out", "e.html"], "does not end in .zip"),
        ([CHAMPION], "Missing option '--out'"),
    ],
)
def test_a_request_that_cant_be_ends_with_2_and_writes_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.setenv("CHURN_HOME", str(settings.home))
    monkeypatch.chdir(settings.home)
    answer = CliRunner().invoke(main, ["evidence", *arguments])
    assert answer.exit_code == 2
    assert said in answer.output
    assert not list(settings.home.glob("e.*"))


def test_the_bill_has_what_is_installed_and_no_tool_for_tests() -> None:
    bill = read_bill_of_materials()
    by_name = {each["name"]: each for each in bill["components"]}
    declared = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    locked = tomllib.loads((PROJECT / "uv.lock").read_text())["package"]
    versions = {each["name"]: each.get("version") for each in locked}
    for requirement in ("pyspark", "feast", "mlflow", "numpy", "scipy"):
        assert any(each.startswith(requirement) for each in declared["project"]["dependencies"])
        assert by_name[requirement]["version"] == versions[requirement]
        assert all(len(each["content"]) == 64 for each in by_name[requirement]["hashes"])
    # of an extra: pyspark[connect]
    assert "grpcio-status" in by_name
    assert "pytest" not in by_name and "empulse" not in by_name and "telco-churn" not in by_name
    assert by_name["delta-storage"]["purl"] == "pkg:maven/io.delta/delta-storage@4.4.0"


def test_without_a_lock_the_bill_has_the_jars(tmp_path: Path) -> None:
    components = read_bill_of_materials(tmp_path / "uv.lock")["components"]
    assert {each["purl"].partition("/")[0] for each in components} == {"pkg:maven"}


def test_a_figure_that_a_document_lacks_is_a_dash() -> None:
    figures = Figures({"d": {"a/b": [None, {"<c>": 0.125}]}})
    assert figures.show("d", "a/b", 0) == figures.show("d", "x") == figures.show("e") == "–"
    assert figures.show("d", "a/b", 1, "<c>", form="percent") == (
        '<data value="0.125" data-figure="d#/a~1b/1/&lt;c&gt;">12.5%</data>'
    )


# --- letter ----------------------------------------------------------------------------------


WRITTEN = date(2025, 2, 3)


def trace(**others: Any) -> dict[str, Any]:
    """What a letter reads of a trace."""
    contributions = [
        {"feature": "tenure", "text": "customer for 1 month", "contribution": 1.5},
        {"feature": "contract", "text": "two-year contract", "contribution": -2.25},
        {"feature": "payment_method", "text": "electronic <check>", "contribution": 0.1},
        {"feature": "senior_citizen", "text": "senior citizen", "contribution": 0.3},
    ]
    explanation = {"baseline": -1.0, "contributions": contributions, "log_odds": -1.65}
    score = {
        **{"probability": 0.161, "decile": 4, "model_version": "v", "extract_date": "2025-01-01"},
        "explanation": {**explanation, "probability": 0.161},
    }
    cells = {
        **{"customerID": "7590-VHVEG", "tenure": "1", "SeniorCitizen": "1", "Partner": "Yes"},
        **{"MonthlyCharges": "1105.5", "TotalCharges": " ", "Contract": "Two year", "Churn": "Yes"},
    }
    return {
        "customer_id": "7590-VHVEG",
        "bronze": [{"extract_date": "2025-01-01", "became": "silver", "cells": cells}],
        "model": {"training": {"rows": 7043, "label": {"kind": OBSERVED, "days_between": [31]}}},
        "scores": [score],
        "retention_list": None,
        "gold": [{"extract_date": "2025-01-01", "churned": 0}],
        **others,
    }


def test_a_letter_says_what_the_trace_says() -> None:
    traced = trace()
    page = letter_page(traced, WRITTEN)
    found = read_figures(page)
    assert list(differences(found.figures, {"trace": traced})) == []
    assert {each.text for each in found.figures} > {"+1.50", "−2.25", "+0.10", "−1.65"}
    shown = {".".join(each.place) for each in found.figures}
    assert {"scores.0.probability", "scores.0.decile", "model.training.rows"} < shown
    raising, lowering = page.split("This lowers it:")
    assert "customer for 1 month: strongly <small><data" in raising
    assert "electronic &lt;check&gt;: slightly <small><data" in raising
    assert "two-year contract: strongly <small><data" in lowering
    # The domain declares it as sensitive: callers are not told, the customer is.
    assert "senior citizen: " in page
    assert (
        "What describes you as a person (Senior citizen (65 or older)) is part of the estimate."
        in page
    )
    assert "for nothing else" not in page.partition("What we know about you")[0]
    assert "<p>We estimate for each" in page and "what an offer costs decide whom" in page
    assert f"<p>{read_domain().name}</p>" in page and "data protection authority" in page
    assert "Letter of 2025-02-03, from our records of 2025-01-01." in page


def test_a_letter_has_the_entries_for_a_reader_and_as_they_are_stored() -> None:
    page = letter_page(trace(), WRITTEN)
    found = re.findall(r'<tr><th scope="row">(.+)</th><td>(.+)</td></tr>', page)
    rows = [tuple(re.sub("<[^>]+>", "", text) for text in row) for row in found]
    # the label is no entry that the estimate is made of
    assert rows == [
        ("Months with us tenure", "1"),
        ("Senior citizen (65 or older) SeniorCitizen", "Yes 1"),
        ("Partner", "Yes"),
        ("Current monthly bill MonthlyCharges", "$1,105.50 1105.5"),
        ("Billed so far TotalCharges", "Blank"),
        ("Term of the contract Contract", "Two year"),
    ]


def test_a_letter_names_the_parts_that_it_does_not_list() -> None:
    traced = trace()
    names = ("a", "b", "c", "d", "e")
    contributions = traced["scores"][0]["explanation"]["contributions"]
    contributions[3:] = [{"feature": n, "text": n, "contribution": 0.012} for n in names]
    contributions.append({"feature": "f", "text": "seldom", "contribution": 0.05})
    traced["scores"][0]["explanation"]["log_odds"] = -1.54
    page = letter_page(traced, WRITTEN)
    listed = "Listed are all of 0.05 or more, and all about you as a person."
    assert f"{listed} The 5 others are together +0.06. The numbers" in page
    assert "seldom: slightly <small>" in page
    contributions[3:] = []
    assert "others are together" not in letter_page(traced, WRITTEN)


def test_a_letter_has_the_probability_of_the_list() -> None:
    listed = {"run_id": "r", "customers": 9, "rank": 2, "probability": 0.25}
    traced = trace(retention_list=listed)
    page = letter_page(traced, WRITTEN)
    assert "from models that had not seen your record, and it decides whether we" in page
    assert "The first is from a model that had seen your record" in page
    found = read_figures(page).figures
    assert list(differences(found, {"trace": traced})) == []
    assert ("retention_list", "probability") in {each.place for each in found}
    same = letter_page(trace(retention_list={**listed, "probability": 0.161}), WRITTEN)
    assert "list of customers to contact, with this estimate.</p>" in same
    offered = letter_page(trace(retention_list={**listed, "offer": "Automatic payment"}), WRITTEN)
    assert "We plan to offer you: automatic payment (a credit of $10 on the next bill" in offered
    unlisted = {**listed, "rank": None, "probability": None}
    assert "You are on our list" not in letter_page(trace(retention_list=unlisted), WRITTEN)


def test_a_letter_about_a_model_of_one_extract_claims_no_rate() -> None:
    later = letter_page(trace(), WRITTEN)
    assert "that you leave within the next month." in later and "Of 100 customers" in later
    training = {"training": {"rows": 7043, "label": {"kind": WORKBOOK}}}
    first = letter_page(trace(model=training), WRITTEN)
    assert "that you leave." in first and "Of 100 customers" not in first
    assert "It has no date: it was learned from who had left already" in first


def test_a_letter_to_a_customer_who_has_left_says_so() -> None:
    sentence = "Our records have you as having left us."
    assert sentence not in letter_page(trace(), WRITTEN)
    left = letter_page(trace(gold=[{"extract_date": "2025-01-01", "churned": 1}]), WRITTEN)
    assert sentence in left and "that you leave" not in left.partition("What it depends on")[0]


def test_a_strength_is_that_of_the_printed_number() -> None:
    traced = trace()
    traced["scores"][0]["explanation"]["contributions"][2]["contribution"] = 0.147
    assert "electronic &lt;check&gt;: somewhat <small>" in letter_page(traced, WRITTEN)


def test_no_score_no_letter() -> None:
    without = {**trace()["scores"][0], "explanation": None}
    for scores in ([], [without]):
        with pytest.raises(InvalidInputError, match="no score that can be explained"):
            letter_page(trace(scores=scores), WRITTEN)


def test_a_decision_goes_into_the_evidence_as_it_is_stored(
    settings: Settings, tmp_path: Path
) -> None:
    from trainer import decisions

    write_evidence(settings, None, tmp_path / "e.zip")
    decision = decisions.read(registry.folder(settings) / CHAMPION)
    assert decision is not None
    text = read_archive(tmp_path / "e.zip")["evidence.html"].decode()
    assert decision.reason[1:20] in text and asdict(decision)["promoted"]
