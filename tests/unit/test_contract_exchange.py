"""The contract goes to others and comes back: as a standard file, and as an empty workbook."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from openpyxl import load_workbook

from churn.cli.main import main
from lakehouse.domain import DOMAINS, read_domain
from lakehouse.errors import InvalidInputError
from seeds_loader.contract_exchange import export_contract, import_contract, write_contract_file
from seeds_loader.reader.sandbox import read_workbook

TELCO = DOMAINS / "telco"


def churn(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["contract", *map(str, arguments)])


def test_an_exported_contract_comes_back_as_it_was(tmp_path: Path) -> None:
    exported, back = tmp_path / "odcs.yml", tmp_path / "contract.yml"
    assert churn("export", "--out", exported).exit_code == 0
    assert churn("import", exported, "--out", back).exit_code == 0
    written = yaml.safe_load(back.read_text())["columns"]
    declared = yaml.safe_load((TELCO / "contract.yml").read_text())["columns"]
    assert list(written) == list(declared)
    for name, column in declared.items():
        assert written[name] == column, name


def test_the_export_has_the_words_of_the_standard() -> None:
    exported = export_contract(read_domain(TELCO))
    assert (exported["kind"], exported["apiVersion"]) == ("DataContract", "v3.1.0")
    properties = {entry["name"]: entry for entry in exported["schema"][0]["properties"]}
    assert len(properties) == 21
    assert properties["customerID"]["primaryKey"] and properties["customerID"]["unique"]
    assert properties["tenure"]["logicalTypeOptions"] == {"minimum": 0, "maximum": 600}
    (rule,) = properties["Contract"]["quality"]
    assert rule["arguments"]["validValues"] == ["Month-to-month", "One year", "Two year"]
    assert not properties["TotalCharges"]["required"] and properties["tenure"]["required"]
    assert all("doc(" not in entry["description"] for entry in properties.values())


FOREIGN: dict[str, Any] = {
    "schema": [
        {
            "properties": [
                {"name": "Id", "logicalType": "string", "primaryKey": True},
                {"name": "Visits", "logicalType": "integer", "logicalTypeOptions": {"maximum": 9}},
                {
                    "name": "Gone",
                    "logicalType": "string",
                    "quality": [{"arguments": {"validValues": ["Y", "N"]}}],
                },
            ]
        }
    ]
}


def test_a_contract_of_another_tool_is_imported(tmp_path: Path) -> None:
    file = tmp_path / "odcs.yml"
    file.write_text(yaml.safe_dump(FOREIGN))
    with pytest.raises(InvalidInputError, match="churned") as raised:
        import_contract(file)
    assert "--label" in raised.value.hint
    entries = import_contract(file, label="Gone")
    write_contract_file(entries, tmp_path / "contract.yml")
    columns = entries["columns"]
    assert columns["Visits"] == {
        **{"name": "visits", "description": "visits", "type": "integer", "range": [0, 9]},
    }
    assert columns["Gone"]["true_values"] == ["Y"] and columns["Gone"]["is_label"]


@pytest.mark.parametrize("text", ["[", "a: b", "schema: []", "schema: [{}]"])
def test_what_is_no_contract_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "odcs.yml"
    file.write_text(text)
    answer = churn("import", file, "--out", tmp_path / "contract.yml")
    assert answer.exit_code == 2 and "Open Data Contract Standard" in answer.output
    assert not (tmp_path / "contract.yml").exists()


def test_the_template_filled_in_loads(tmp_path: Path) -> None:
    path = tmp_path / "empty.xlsx"
    assert churn("template", "--out", path).exit_code == 0
    assert churn("template", "--out", path).exit_code == 2, "nothing is overwritten"
    workbook = load_workbook(path)
    sheet = workbook["Customers"]
    headers = [cell.value for cell in sheet[1]]
    columns = list(read_domain(TELCO).contract.columns.values())
    assert len(headers) == len(columns) == 21
    assert all(cell.comment and len(cell.comment.text) > 20 for cell in sheet[1])
    lists = {str(rule.sqref).split("2:")[0]: rule for rule in sheet.data_validations.dataValidation}
    assert len(lists) == 20, "all columns but the id"
    for row in range(2, 27):
        for number, column in enumerate(columns, 1):
            value: Any = f"{row:04}-ABCDE"
            if column.type in ("integer", "number"):
                value = 10
            elif column.categories or column.true_values:
                value = (*column.categories, *column.true_values)[0]
            sheet.cell(row, number, value)
    workbook.save(path)
    extract = read_workbook(path)
    assert extract.table.num_rows == 25
    assert extract.table["customerID"].to_pylist()[0] == "0002-ABCDE"
