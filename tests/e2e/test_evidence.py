"""Evidence and letter of a real run: their figures are those of record, evaluation and trace."""

import json
import zipfile
from html import unescape
from pathlib import Path

import pytest
from crate_validator import find_issues
from environments import CompletedRun
from page_figures import differences, read_figures

from trainer import registry
from trainer.full_evaluation import METRIC_NAMES

CUSTOMERS = ("7590-VHVEG", "5575-GNVDE")


def test_the_evidence_is_that_of_the_record(completed_run: CompletedRun, tmp_path: Path) -> None:
    home = completed_run.home
    version = home.churn_json("evaluate")["version"]
    path = tmp_path / "evidence.zip"
    assert version in home.churn("evidence", version, "--out", path).stdout
    place = registry.folder(home.settings) / version
    documents = {each.name: json.loads(each.read_text()) for each in place.glob("*.json")}
    with zipfile.ZipFile(path) as archive:
        page = archive.read("evidence.html").decode()
        for name in ("record.json", "evaluation.json", "promotion.json"):
            assert archive.read(name) == (place / name).read_bytes()
    found = read_figures(page)
    assert list(differences(found.figures, documents)) == []
    assert set(found.bare) <= {"–"}  # no later extract to evaluate on
    shown = {(each.document, each.place) for each in found.figures}
    for name in METRIC_NAMES:
        for part in ("mean", "low", "high"):
            assert ("evaluation.json", ("cross_validated", name, part)) in shown
    for number, _ in enumerate(documents["evaluation.json"]["slices"]):
        assert ("evaluation.json", ("slices", str(number), "gap")) in shown
    for number in range(10):
        assert ("evaluation.json", ("deciles", str(number), "profit")) in shown
    assert find_issues(path, tmp_path / "cache")["REQUIRED"] == []
    assert "exists already" in home.churn("evidence", "--out", path, code=2).stderr


@pytest.mark.parametrize("customer_id", CUSTOMERS)
def test_the_letter_agrees_with_the_trace(
    completed_run: CompletedRun, tmp_path: Path, customer_id: str
) -> None:
    home, path = completed_run.home, tmp_path / "letter.html"
    assert customer_id in home.churn("letter", customer_id, "--out", path).stdout
    traced = home.churn_json("trace", customer_id)
    page = path.read_text()
    found = read_figures(page)
    assert list(differences(found.figures, {"trace": traced})) == []
    score = traced["scores"][0]
    assert f"{score['probability']:.1%}" in page
    contributions = score["explanation"]["contributions"]
    strongest = max(contributions, key=lambda reason: abs(reason["contribution"]))
    named = {each.place[4] for each in found.figures if "contributions" in each.place}
    assert str(contributions.index(strongest)) in named
    for number in named:
        assert contributions[int(number)]["text"] in unescape(page)
