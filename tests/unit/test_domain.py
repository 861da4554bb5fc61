"""The domain folder: what it declares, how errors are located, and that nothing else knows it."""

import re
import subprocess
from pathlib import Path

import pytest

from lakehouse.dbt_project import DECLARED, declared_columns, remove_generated
from lakehouse.domain import DOMAINS, PROJECT, read_domain
from lakehouse.errors import ChurnError

TELCO = DOMAINS / "telco"
# Words that also have another meaning in this project.
COMMON = {
    *("contract", "Contract", "partner", "Partner", "Dependents", "dependents", "gender"),
    *("churned", "customer_id", "Churn"),
}
# The telco sample, the tests and the measurements of that domain, and texts that have examples.
EXEMPT = ("domains/telco/", "seeds_loader/sample/", "tests/", "benchmarks/", "docs/")
SUFFIXES = {".py", ".sql", ".yml", ".yaml", ".toml", ".j2", ".js", ".css", ".java", ".sh", ""}


def telco_names() -> set[str]:
    domain = read_domain(TELCO)
    names = set(domain.contract.columns)
    names |= {column.name for column in domain.contract.columns.values()}
    names |= {column["name"] for column in declared_columns("features", domain.variables)}
    return names - COMMON


def test_no_column_of_telco_is_known_outside_its_folder() -> None:
    names = sorted(telco_names(), key=len, reverse=True)
    pattern = re.compile(rf"(?<![\w])({'|'.join(map(re.escape, names))})(?![\w])")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.check_output(command, cwd=PROJECT, text=True)
    files = [
        name
        for name in listed.splitlines()
        if not name.startswith(EXEMPT)
        and Path(name).suffix in SUFFIXES
        and (PROJECT / name).is_file()
    ]
    assert len(files) > 250
    found = []
    for name in files:
        text = DECLARED.sub("", remove_generated((PROJECT / name).read_text(errors="replace")))
        found += [f"{name}: {match}" for match in sorted(set(pattern.findall(text)))]
    assert found == []


@pytest.mark.parametrize(
    ("file", "old", "new", "message", "entry"),
    [
        ("contract.yml", "type: integer", "type: whole", "columns.tenure.type", "tenure:"),
        ("contract.yml", "range: [0, 600]", "", "a integer needs a range", "tenure:"),
        ("rules.yml", "severity: warn", "severity: alarm", "severity", "severity: alarm"),
        ("rules.yml", "    at_most: 0\n", "", "at_least or at_most", "unique_customers:"),
        ("features.yml", "number: whole", "number: roman", "number", "number: roman"),
        ("features.yml", "texts: [under 12 months, ", "texts: [", "one text for each value", ""),
        ("features.yml", "says: {one:", "says: {two:", "says.two", "two:"),
        ("campaign.yml", "months: 12", "months: 0", "months", "months: 0"),
        (
            "campaign.yml",
            "offer_cost: 39.0",
            "offer_cost: -1",
            "profit.offer_cost",
            "offer_cost: -1",
        ),
        ("report.yml", "format: amount", "format: money", "format", "format: money"),
        ("model.yml", "log1p: [tenure]", "log2p: [tenure]", "log2p", "log2p"),
        ("contract.yml", "name: tenure", "name: customer_id", "several columns", ""),
        ("contract.yml", "is_label: true", "", "exactly one column has is_label", ""),
        ("rules.yml", "gate_rules:", "gate_rules: [", "can't be read", ""),
    ],
)
def test_an_error_names_file_line_and_fix(
    tmp_path: Path, file: str, old: str, new: str, message: str, entry: str
) -> None:
    for path in TELCO.glob("*.yml"):
        (tmp_path / path.name).write_text(path.read_text())
    text = (tmp_path / file).read_text()
    assert old in text
    text = text.replace(old, new, 1)
    (tmp_path / file).write_text(text)
    domain = read_domain(tmp_path)
    with pytest.raises(ChurnError) as raised:
        getattr(domain, file.removesuffix(".yml"))
    assert message in raised.value.message
    assert raised.value.hint
    where, _, line = raised.value.where.rpartition(", line ")
    assert where == str(tmp_path / file)
    # the entry itself, or the one around it
    lines = text.splitlines()
    assert entry in lines[int(line) - 1] or entry in "\n".join(lines[: int(line)])


def test_a_folder_without_a_domain_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChurnError, match="no domain") as raised:
        read_domain(tmp_path / "nothing")
    assert "churn init" in raised.value.hint


@pytest.mark.parametrize(
    ("value", "message", "hint"),
    [
        ("no-such", "CHURN_DOMAIN=no-such names no domain", "set it to a domain that exists "),
        ("telko", "CHURN_DOMAIN=telko names no domain", "did you mean telco? "),
        ("docs", "CHURN_DOMAIN=docs names a folder without contract.yml", "set it to "),
    ],
)
def test_an_unknown_selected_domain_is_reported_as_the_setting_that_names_it(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str, hint: str
) -> None:
    monkeypatch.setenv("CHURN_DOMAIN", value)
    with pytest.raises(ChurnError) as raised:
        read_domain()
    assert raised.value.message.startswith(message)
    assert raised.value.where == "the environment or .env, CHURN_DOMAIN"
    assert raised.value.hint.startswith(hint) and "(telco)" in raised.value.hint


def test_a_caller_that_changes_the_variables_changes_no_other_callers() -> None:
    changed = read_domain(TELCO).variables
    changed["gate_rules"]["minimum_customers"]["at_least"] = 0
    assert read_domain(TELCO).variables["gate_rules"]["minimum_customers"]["at_least"] == 1000
