"""Exchange the contract with others: the Open Data Contract Standard, and an empty workbook."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from openpyxl import Workbook
from openpyxl.comments import Comment
from openpyxl.styles import Font, PatternFill
from openpyxl.utils import get_column_letter
from openpyxl.worksheet.datavalidation import DataValidation
from openpyxl.worksheet.worksheet import Worksheet

from lakehouse.domain import ID, LABEL, ContractFile, Domain, SourceColumn, read_file
from lakehouse.errors import InvalidInputError
from lakehouse.project_files import PROJECT
from seeds_loader.reader.file_format import unreadable_error

API_VERSION = "v3.1.0"
# The property in which the standard keeps what it has no word for.
OWN = "churn"
LOGICAL_TYPES = {
    "text": "string",
    "category": "string",
    "flag": "string",
    "days_since": "date",
}
# The range of an imported date, in days before the extract, and Excel's first day.
MANY_DAYS, FIRST_DAY = 36_525, 1
# Rows of the empty workbook that have validation, and Excel's limit on a list of values.
TEMPLATE_ROWS, LIST_CHARACTERS = 10_000, 255
HEADER = PatternFill("solid", fgColor="FF1F3A5F")
WIDTH = 18


def export_contract(domain: Domain) -> dict[str, Any]:
    """Return a domain's contract in the Open Data Contract Standard, version 3."""
    columns = domain.contract.columns
    return {
        "apiVersion": API_VERSION,
        "kind": "DataContract",
        "id": f"churn-{domain.folder.name}",
        "name": f"Customers, {domain.folder.name}",
        "version": "1.0.0",
        "status": "active",
        "description": {"purpose": "The workbook of customers from which churn is predicted."},
        "schema": [
            {
                "name": "customers",
                "logicalType": "object",
                "physicalType": "sheet",
                "description": "One row per customer on the date of the extract.",
                "properties": [
                    _export_column(name, column)
                    for name, column in columns.items()
                    if not column.is_row_number
                ],
            }
        ],
    }


def _export_column(name: str, column: SourceColumn) -> dict[str, Any]:
    exported: dict[str, Any] = {
        "name": name,
        "physicalName": column.name,
        "logicalType": LOGICAL_TYPES.get(column.type, column.type),
        "physicalType": "string",
        "description": _expand(column.description),
        "required": not (column.blank_as or column.zero_if_blank_when_zero),
    }
    if column.name == ID:
        exported |= {"primaryKey": True, "primaryKeyPosition": 1, "unique": True}
    options: dict[str, Any] = {}
    if column.range and column.type != "days_since":
        options |= {"minimum": column.range[0], "maximum": column.range[1]}
    if column.longest:
        options |= {"maxLength": column.longest}
    accepted = [*column.categories, *column.true_values, *column.false_values]
    if options:
        exported["logicalTypeOptions"] = options
    if accepted:
        rule = {"type": "library", "metric": "invalidValues", "mustBe": 0}
        exported["quality"] = [{**rule, "arguments": {"validValues": accepted}}]
    declared = {key: value for key, value in vars(column).items() if value and key[0] != "_"}
    exported["customProperties"] = [{"property": OWN, "value": _to_plain(declared)}]
    return exported


def _to_plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_plain(entry) for key, entry in value.items()}
    if isinstance(value, tuple | list):
        return [_to_plain(entry) for entry in value]
    return value


def _expand(description: str) -> str:
    """Return a description with its reference to a text of models/docs.md replaced by the text."""
    pages = (PROJECT / "models" / "docs.md").read_text()
    blocks = dict(re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", pages, re.DOTALL))
    text = re.sub(r"{{ doc\('(\w+)'\) }}", lambda found: str(blocks[found[1]]), description)
    return " ".join(text.split())


def import_contract(path: Path, label: str | None = None) -> dict[str, Any]:
    """Return the entries of contract.yml that a contract in the standard describes.

    Args:
        path: The contract, as YAML.
        label: The property that says who left, if the contract was not exported from here.

    Raises:
        InvalidInputError: The file is not such a contract, or has no key or no label.
    """
    try:
        declared = yaml.safe_load(path.read_text(encoding="utf-8"))
        properties = declared["schema"][0]["properties"]
    except OSError as error:
        raise unreadable_error(path, error) from error
    except (UnicodeDecodeError, yaml.YAMLError, LookupError, TypeError) as error:
        raise InvalidInputError(
            f"{path.name} is not a contract of the Open Data Contract Standard: {error}",
            where=str(path),
            hint="name a YAML file of version 3 with a schema and its properties",
        ) from error
    columns = {entry["name"]: _import_column(entry, label) for entry in properties}
    names = [column["name"] for column in columns.values()]
    for name, missing in ((ID, "primaryKey"), (LABEL, "--label COLUMN")):
        if name not in names:
            raise InvalidInputError(
                f"no property of {path.name} is the {name}",
                where=str(path),
                hint=f"mark it in the contract ({missing}) or name it",
            )
    return {"columns": columns}


def _import_column(entry: Mapping[str, Any], label: str | None) -> dict[str, Any]:
    for own in entry.get("customProperties") or []:
        if own.get("property") == OWN:
            return dict(own["value"])
    options = entry.get("logicalTypeOptions") or {}
    accepted = [
        value
        for rule in entry.get("quality") or []
        for value in (rule.get("arguments") or {}).get("validValues", [])
    ]
    name = ID if entry.get("primaryKey") else re.sub("[^a-z0-9]+", "_", entry["name"].lower())
    column: dict[str, Any] = {"name": name, "description": entry.get("description", name)}
    if entry["name"] == label and len(accepted) == 2:
        flag = {"true_values": accepted[:1], "false_values": accepted[1:], "is_label": True}
        return {**column, "name": LABEL, "type": "flag", **flag}
    if entry.get("logicalType") == "date":
        return {**column, "type": "days_since", "range": [0, MANY_DAYS]}
    if entry.get("logicalType") in ("integer", "number"):
        limits = [options.get("minimum", 0), options.get("maximum", 1_000_000)]
        return {**column, "type": entry["logicalType"], "range": limits}
    if accepted:
        return {**column, "type": "category", "categories": accepted}
    return {**column, "type": "text", "longest": options.get("maxLength", 100)}


def write_contract_file(entries: Mapping[str, Any], path: Path) -> None:
    """Write contract.yml and read it back.

    Raises:
        lakehouse.errors.ChurnError: The entries are not a valid contract.
    """
    path.write_text(yaml.safe_dump(dict(entries), sort_keys=False, allow_unicode=True, width=100))
    read_file(path, ContractFile)


def write_template(domain: Domain, path: Path) -> None:
    """Write an empty workbook with the contract's headers, validation lists and notes."""
    workbook = Workbook()
    sheet = workbook.active
    assert isinstance(sheet, Worksheet)
    sheet.title = "Customers"
    sheet.freeze_panes = "A2"
    columns = [
        (name, column)
        for name, column in domain.contract.columns.items()
        if not column.is_row_number
    ]
    for number, (name, column) in enumerate(columns, 1):
        cell = sheet.cell(1, number, column.aliases[0] if column.aliases else name)
        cell.fill, cell.font = HEADER, Font(bold=True, color="FFFFFFFF")
        cell.comment = Comment(f"{_expand(column.description)}\n{_describe(column)}", "contract")
        letter = get_column_letter(number)
        sheet.column_dimensions[letter].width = WIDTH
        if column.type in ("text", "category"):
            # Excel would turn ids into numbers, and 1-5 into a date.
            sheet.column_dimensions[letter].number_format = "@"
        if (validation := _validate(column)) is not None:
            validation.add(f"{letter}2:{letter}{TEMPLATE_ROWS}")
            sheet.add_data_validation(validation)
    workbook.save(path)


def _describe(column: SourceColumn) -> str:
    if column.type == "days_since":
        return "A date."
    if column.range:
        kind = "A whole number" if column.type == "integer" else "A number"
        return f"{kind} from {column.range[0]:g} to {column.range[1]:g}."
    accepted = [*column.categories, *column.true_values, *column.false_values]
    return f"One of: {', '.join(accepted)}." if accepted else "A text."


def _validate(column: SourceColumn) -> DataValidation | None:
    if column.type == "days_since":
        return DataValidation(type="date", operator="greaterThan", formula1=str(FIRST_DAY))
    if column.range:
        kind = "whole" if column.type == "integer" else "decimal"
        low, high = (f"{bound:g}" for bound in column.range)
        return DataValidation(type=kind, operator="between", formula1=low, formula2=high)
    # A flag's first spellings are enough to choose from.
    accepted = column.categories or (*column.true_values[:1], *column.false_values[:1])
    listed = ",".join(accepted)
    if not accepted or len(listed) > LIST_CHARACTERS or any("," in value for value in accepted):
        return None
    return DataValidation(type="list", formula1=f'"{listed}"', allow_blank=bool(column.blank_as))
