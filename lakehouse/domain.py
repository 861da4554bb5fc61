"""Read the domain: the folder with everything that is specific to one kind of workbook.

`CHURN_DOMAIN` selects it: the name of a folder in `domains/`, or a path. Its files declare the
workbook's columns, the rules of rows and loads, the derived features with the wording of reasons,
what the model adds, the retention campaign, and what the reports show. `domains/common.yml` has
what all domains share. dbt's variables and the columns in its YAML are generated from them
(`lakehouse/generated_columns.py`).
"""

import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import field
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from dotenv import dotenv_values
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from lakehouse.errors import ChurnError, InvalidInputError
from lakehouse.near_matches import format_suggestion
from lakehouse.project_files import PROJECT, WORKSPACE

DOMAINS = PROJECT / "domains"
COMMON = DOMAINS / "common.yml"
# `churn init` of an installed wheel writes to the workspace.
DOMAIN_FOLDERS = (DOMAINS, WORKSPACE / "domains")
# The domain whose dbt variables and columns are part of the checkout.
DEFAULT = "telco"
VARIABLE = "CHURN_DOMAIN"
# The customer's id and the label have these names in every domain.
ID, LABEL = "customer_id", "churned"
# Keys of a column that no model of dbt uses: a change of them is no new version of the rules.
UNUSED_IN_SQL = ("personal", "in_letter", "unit")
USED_IN_MESSAGES = ("detail", "expected", "lowest", "highest", "texts", "label")

# Sum of the parameters of the acceptance rate's Beta distribution, and the highest mean that it can
# have, if campaign.yml declares only a retention_rate.
ACCEPTANCE_WEIGHT, HIGHEST_SHARE = 20.0, 0.99

# SQL and patterns may be plain numbers in YAML.
STRICT = ConfigDict(extra="forbid", coerce_numbers_to_str=True)
Name = Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*$")]
Range = tuple[float, float]
Positive = Annotated[float, Field(gt=0)]
Cost = Annotated[float, Field(ge=0)]
Severity = Literal["error", "warn"]
File = TypeVar("File")


# --- contract.yml ----------------------------------------------------------------------------


@dataclass(frozen=True, config=STRICT)
class SourceColumn:
    """A column of the workbook; contract.yml explains the keys."""

    name: Name
    description: str
    type: Literal["text", "flag", "integer", "number", "days_since", "category"]
    aliases: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    true_values: tuple[str, ...] = ()
    false_values: tuple[str, ...] = ()
    range: Range | None = None
    longest: int | None = None
    refused: dict[str, str] = field(default_factory=dict)
    zero_if_blank_when_zero: str | None = None
    blank_as: str | None = None
    date_format: str | None = None
    is_label: bool = False
    is_row_number: bool = False
    personal: bool = False
    in_letter: str = ""
    unit: str = ""

    @model_validator(mode="after")
    def _check_type(self) -> Self:
        required = {
            "category": self.categories,
            "flag": self.true_values and self.false_values,
            "integer": self.range,
            "number": self.range,
            "days_since": self.range,
        }
        if not required.get(self.type, True):
            keys = {"category": "categories", "flag": "true_values and false_values"}
            raise ValueError(f"a {self.type} needs {keys.get(self.type, 'a range')}")
        if self.date_format and self.type != "days_since":
            raise ValueError(f"date_format is for days_since, and this is a {self.type}")
        if self.is_row_number and self.name != ID:
            raise ValueError(f"only {ID} can be the row's number")
        if self.blank_as and self.type == "category" and self.blank_as not in self.categories:
            raise ValueError(f"blank_as is {self.blank_as}, which is not a category")
        return self


@dataclass(frozen=True, config=STRICT)
class TextFormat:
    """How workbooks write text; None: the loader determines it."""

    decimal: Literal[".", ","] | None = None
    encoding: str | None = None


@dataclass(frozen=True, config=STRICT)
class ContractFile:
    """The declarations of contract.yml."""

    columns: Annotated[dict[str, SourceColumn], Field(min_length=1)]
    source_format: TextFormat = TextFormat()
    kept_row: tuple[Name, ...] = ()

    @model_validator(mode="after")
    def _check_roles(self) -> Self:
        names = [column.name for column in self.columns.values()]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise ValueError(f"several columns are named {', '.join(sorted(twice))}")
        if ID not in names:
            raise ValueError(f"no column is named {ID}: it identifies the customer")
        labels = [column.name for column in self.columns.values() if column.is_label]
        if labels != [LABEL]:
            raise ValueError(f"exactly one column has is_label, and it is named {LABEL}")
        unknown = [name for name in self.kept_row if name not in names]
        if unknown:
            raise ValueError(f"kept_row names {', '.join(unknown)}, which no column has")
        return self


# --- rules.yml -------------------------------------------------------------------------------


@dataclass(frozen=True, config=STRICT)
class RowRule:
    """A rule over more than one cell of a row."""

    description: str
    columns: tuple[str, ...]
    condition: str
    # For the message of the reject: a sentence with the row's values, and the value that the cell
    # should have about, with the limits, as SQL over silver's numbers.
    detail: str = ""
    expected: str = ""
    lowest: str = ""
    highest: str = ""


@dataclass(frozen=True, config=STRICT)
class GateMetric:
    """A metric that rules of the gate compare with a threshold."""

    description: str
    unit: str
    of: Literal["features", "labels", "load", "baseline"]
    expression: str
    details: str | None = None
    # What a rule on it checks, for a report: by the rule's threshold if the two differ.
    statement: str | dict[Literal["at_least", "at_most"], str] = ""


@dataclass(frozen=True, config=STRICT)
class GateRule:
    """A rule of the gate."""

    description: str
    severity: Severity
    metric: str
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _check_threshold(self) -> Self:
        if (self.at_least is None) == (self.at_most is None):
            raise ValueError("a rule has either at_least or at_most")
        return self


@dataclass(frozen=True, config=STRICT)
class Drift:
    """The features whose drift the gate limits."""

    floor: float
    warn_above: float
    error_above: float
    bands: dict[str, tuple[float, ...]]
    categories: tuple[str, ...]


@dataclass(frozen=True, config=STRICT)
class ExpectedChange:
    """Rules that do not apply to one extract, with the reason."""

    extract_date: str
    rules: tuple[str, ...]
    reason: str


@dataclass(frozen=True, config=STRICT)
class RulesFile:
    """The declarations of rules.yml."""

    gate_rules: dict[str, GateRule]
    drift: Drift
    row_rules: dict[str, RowRule] = field(default_factory=dict)
    reject_reasons: dict[str, str] = field(default_factory=dict)
    gate_metrics: dict[str, GateMetric] = field(default_factory=dict)
    expected_changes: tuple[ExpectedChange, ...] = ()


# --- features.yml ----------------------------------------------------------------------------


@dataclass(frozen=True, config=STRICT)
class DerivedFeature:
    """A feature that is computed from other columns.

    `texts` has a text for each of its values; `label` is what it is called to readers.
    """

    description: str
    type: Literal["integer", "number"]
    expression: str
    range: Range
    cells: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_texts(self) -> Self:
        low, high = self.range
        if self.texts and (self.type != "integer" or len(self.texts) != high - low + 1):
            raise ValueError("texts has one text for each value of a range of integers")
        return self

    def format(self, value: float) -> str | None:
        """Return the text of a value; None if the feature has none for it."""
        place = int(value - self.range[0])
        return self.texts[place] if 0 <= place < len(self.texts) else None

    # A sentence with the row's values, for the message of a reject.
    detail: str = ""
    label: str = ""


@dataclass(frozen=True, config=STRICT)
class ReasonTerms:
    """The wording of a reason."""

    inputs: tuple[str, ...] = ()
    words: dict[str, str] = field(default_factory=dict)
    otherwise: str | None = None
    number: Literal["whole", "amount", "percent", "plain"] | None = None
    says: dict[Literal["one", "above", "below", "otherwise"], str] = field(default_factory=dict)
    is_sensitive: bool = False

    @model_validator(mode="after")
    def _check_sentence(self) -> Self:
        if (self.number is None) == ("otherwise" in self.says):
            raise ValueError("a reason has a number with says.otherwise, or words")
        return self


@dataclass(frozen=True, config=STRICT)
class FeaturesFile:
    """The declarations of features.yml."""

    derived_features: dict[Name, DerivedFeature] = field(default_factory=dict)
    reasons: dict[str, ReasonTerms] = field(default_factory=dict)

    @property
    def sensitive_reasons(self) -> frozenset[str]:
        """Return the reasons that no caller is told."""
        return frozenset(name for name, terms in self.reasons.items() if terms.is_sensitive)


# --- model.yml -------------------------------------------------------------------------------


@dataclass(frozen=True, config=STRICT)
class Baseline:
    """A simple rule that a model has to beat: the share of leavers in each of some groups."""

    name: str
    groups: tuple[str, ...]


@dataclass(frozen=True, config=STRICT)
class Clock:
    """The feature that counts the months since a customer joined.

    Attributes:
        feature: Its name.
        moving: Other features that grow with it: how long a customer stayed decides them.
    """

    feature: str
    moving: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT)
class ModelFile:
    """The declarations of model.yml."""

    forbidden_features: tuple[str, ...]
    log1p: tuple[str, ...] = ()
    accepted_features: tuple[str, ...] = ()
    slices: dict[str, dict[str, str]] = field(default_factory=dict)
    baseline: Baseline | None = None
    behaviour: dict[str, Any] = field(default_factory=dict)
    clock: Clock | None = None


# --- campaign.yml ----------------------------------------------------------------------------


@dataclass(frozen=True, config=STRICT)
class Offer:
    """An offer of a retention campaign.

    Attributes:
        eligibility: Description of the eligible customers.
        condition: SQL condition of the eligible customers.
        sets: Feature to the SQL expression that the offer sets it to.
        costs: Cost of the offer, as a SQL expression over the features.
        costs_in_words: What the customer is given, and for how long.
    """

    eligibility: str
    condition: str
    sets: dict[str, str]
    costs: str
    costs_in_words: str = ""


@dataclass(frozen=True, config=STRICT)
class ProfitTerms:
    """What the maximum profit of a model is computed from (`trainer.profit`).

    Attributes:
        alpha: First parameter of the Beta distribution of the acceptance rate.
        beta: Its second parameter.
        customer_value: Value of a customer who stays.
        offer_cost: Cost of an offer that is accepted.
        contact_cost: Cost of one contact.
    """

    alpha: Positive
    beta: Positive
    customer_value: Positive
    offer_cost: Cost
    contact_cost: Cost

    @model_validator(mode="after")
    def _check_costs(self) -> Self:
        if self.offer_cost >= self.customer_value:
            raise ValueError("offer_cost is not below customer_value: no offer can pay")
        return self


@dataclass(frozen=True, config=STRICT)
class DeclaredProfit:
    """The entry `profit` of campaign.yml; what it omits has a default.

    Attributes:
        acceptance: Parameters alpha and beta of the Beta distribution of the acceptance rate, the
            share of the contacted leavers who accept and stay; None: its mean is retention_rate,
            and it is as wide as the published one, Beta(6, 14).
        customer_value: Value of a customer who stays, the same for all; default: as published.
        offer_cost: Cost of an offer that is accepted; default: as published.
    """

    acceptance: tuple[Positive, Positive] | None = None
    customer_value: Positive = 200.0
    offer_cost: Cost = 10.0


@dataclass(frozen=True, config=STRICT)
class CampaignFile:
    """The declarations of campaign.yml.

    Attributes:
        monthly_value: What a customer brings per month, as a SQL expression over the features; None
            if the workbook does not tell.
        months: Months of revenue that count as saved, without a model of the time until customers
            leave.
        most_months: Highest number of months that count as saved with such a model.
        contact_cost: Cost of one contact.
        retention_rate: Share of the contacted customers about to churn who are retained.
        retention_rate_range: Its lowest and highest plausible value; None: half of it to 1.5 times.
        offers: The offers by name.
        profit: What the maximum profit of a model is computed from, besides the above.
    """

    monthly_value: str | None
    months: Annotated[int, Field(ge=1)]
    contact_cost: Cost
    retention_rate: Annotated[float, Field(gt=0, le=1)]
    retention_rate_range: Range | None = None
    offers: dict[str, Offer] = field(default_factory=dict)
    most_months: Annotated[int, Field(ge=1)] = 24
    profit: DeclaredProfit = DeclaredProfit()

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        low, high = self.retention_rate_range or (self.retention_rate, self.retention_rate)
        if not 0 <= low <= self.retention_rate <= high <= 1:
            raise ValueError("retention_rate is not in retention_rate_range, or that not in 0 to 1")
        _ = self.profit_terms  # validates them
        return self

    @property
    def profit_terms(self) -> ProfitTerms:
        """Return what the maximum profit of a model is computed from."""
        share = min(self.retention_rate, HIGHEST_SHARE)
        alpha, beta = self.profit.acceptance or (
            ACCEPTANCE_WEIGHT * share,
            ACCEPTANCE_WEIGHT * (1 - share),
        )
        declared = self.profit
        return ProfitTerms(
            alpha, beta, declared.customer_value, declared.offer_cost, self.contact_cost
        )


# --- report.yml ------------------------------------------------------------------------------


@dataclass(frozen=True, config=STRICT)
class ListColumn:
    """A column of the retention list and of the report's table of customers at risk.

    Attributes:
        column: A column of silver.customers.
        header: Its header.
        format: How its values are shown.
        width: Its width in the workbook, in characters.
    """

    column: Name
    header: str
    format: Literal["text", "whole", "amount"] = "text"
    width: float = 12


@dataclass(frozen=True, config=STRICT)
class WhatIf:
    """The values that a request to the scoring API may change.

    Attributes:
        numbers: Columns of numbers.
        choices: Categories and flags.
        without: For a feature that is 1, the columns that can't be changed then.
        problem: Code of the error for a client who changes one of them all the same.
        message: Its message.
        excluded: Values that are no choice, because they describe another column.
    """

    numbers: tuple[Name, ...] = ()
    choices: tuple[Name, ...] = ()
    without: dict[Name, tuple[Name, ...]] = field(default_factory=dict)
    problem: str = "not-applicable"
    message: str = "The change does not apply to this customer"
    excluded: tuple[str, ...] = ()


@dataclass(frozen=True, config=STRICT)
class ReportFile:
    """The declarations of report.yml.

    Attributes:
        example_id: An id, to show users how one looks.
        company: The company's name, as the author of its lists; empty: that of the folder.
        currency: The sign in front of amounts.
        breakdowns: The groups by which the report shows churn: a SQL expression over silver.
        list_columns: What the list shows of a customer.
        trace_cells: The cells of the workbook that a trace shows first.
        what_if: What the scoring API lets clients change.
        what_if_example: An example of such a request.
    """

    example_id: str
    company: str = ""
    currency: str = ""
    breakdowns: dict[str, str] = field(default_factory=dict)
    list_columns: tuple[ListColumn, ...] = ()
    trace_cells: tuple[str, ...] = ()
    what_if: WhatIf = WhatIf()
    what_if_example: dict[str, Any] = field(default_factory=dict)


# --- the domain ------------------------------------------------------------------------------


@dataclass(frozen=True, config=STRICT)
class CommonFile:
    """The declarations of common.yml."""

    sql_types: dict[str, str]
    reject_reasons: dict[str, str]
    gate_metrics: dict[str, GateMetric]


class Domain:
    """A domain folder. Each file is read when it is first needed."""

    @property
    def has_ids(self) -> bool:
        """Return whether customers are known by an id, not by their row alone."""
        return not any(column.is_row_number for column in self.contract.columns.values())

    def __init__(self, folder: Path) -> None:
        """Remember the folder.

        Raises:
            InvalidInputError: There is no such folder.
        """
        self.folder = folder
        if not (folder / "contract.yml").is_file():
            raise InvalidInputError(
                f"There is no domain in {folder}",
                where=str(folder / "contract.yml"),
                hint="name a folder that `churn init WORKBOOK` has written",
            )

    @property
    def name(self) -> str:
        """Return the company's name; the folder's if the domain declares none."""
        return self.report.company or self.folder.name

    @cached_property
    def contract(self) -> ContractFile:
        """Return the workbook's columns."""
        return read_file(self.folder / "contract.yml", ContractFile)

    @cached_property
    def rules(self) -> RulesFile:
        """Return the rules of rows and loads."""
        return read_file(self.folder / "rules.yml", RulesFile)

    @cached_property
    def features(self) -> FeaturesFile:
        """Return the derived features and the wording of reasons."""
        return read_file(self.folder / "features.yml", FeaturesFile)

    @cached_property
    def model(self) -> ModelFile:
        """Return what the domain adds to the model and its evaluation."""
        return read_file(self.folder / "model.yml", ModelFile)

    @cached_property
    def campaign(self) -> CampaignFile:
        """Return customer value and offers."""
        return read_file(self.folder / "campaign.yml", CampaignFile)

    @cached_property
    def report(self) -> ReportFile:
        """Return what reports, lists and the API show."""
        return read_file(self.folder / "report.yml", ReportFile)

    @property
    def gate_metrics(self) -> dict[str, GateMetric]:
        """Return the metrics of the gate: those of all domains, and those of this one."""
        return {**read_file(COMMON, CommonFile).gate_metrics, **self.rules.gate_metrics}

    @property
    def variables(self) -> dict[str, Any]:
        """Return the variables of the dbt project as plain values, which the caller may change."""
        return deepcopy(self._variables)

    @cached_property
    def _variables(self) -> dict[str, Any]:
        read_file(COMMON, CommonFile)
        _ = self.contract, self.rules, self.features  # validates them
        common, contract, rules, features = (
            _load(path)
            for path in (
                COMMON,
                *(self.folder / f"{name}.yml" for name in ("contract", "rules", "features")),
            )
        )
        return {
            # What readers or letters show decides no row: a change of it evaluates no load again.
            "source_contract": {
                header: {key: value for key, value in column.items() if key not in UNUSED_IN_SQL}
                for header, column in contract["columns"].items()
            },
            "kept_row": contract.get("kept_row", []),
            "source_format": contract.get("source_format", {"decimal": None, "encoding": None}),
            "sql_types": common["sql_types"],
            "row_rules": _without_messages(rules.get("row_rules", {})),
            "derived_features": _without_messages(features.get("derived_features", {})),
            "reject_reasons": {**common["reject_reasons"], **rules.get("reject_reasons", {})},
            "gate_metrics": {
                # A statement is for reports alone: a new wording is no new version of the rules.
                name: {key: text for key, text in metric.items() if key != "statement"}
                for name, metric in _metrics(common, rules).items()
            },
            "gate_rules": rules["gate_rules"],
            "drift": rules["drift"],
            "expected_changes": rules.get("expected_changes", []),
        }


def _without_messages(declared: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {key: value for key, value in terms.items() if key not in USED_IN_MESSAGES}
        for name, terms in declared.items()
    }


def _metrics(common: Mapping[str, Any], rules: Mapping[str, Any]) -> dict[str, Any]:
    return {**common["gate_metrics"], **rules.get("gate_metrics", {})}


def domain_folder(environ: Mapping[str, str] | None = None) -> Path:
    """Return the folder that `CHURN_DOMAIN` selects, in the environment or in `.env`."""
    name = _read_selection(environ)
    for folder in DOMAIN_FOLDERS:
        if (folder / name).is_dir():
            return folder / name
    return (WORKSPACE / Path(name).expanduser()).absolute()


def _read_selection(environ: Mapping[str, str] | None = None) -> str:
    """Return the value of `CHURN_DOMAIN`, or its default."""
    values = os.environ if environ is None else environ
    return values.get(VARIABLE) or dotenv_values(WORKSPACE / ".env").get(VARIABLE) or DEFAULT


def read_domain(folder: Path | None = None) -> Domain:
    """Return a domain, by default the selected one.

    Raises:
        ChurnError: There is no such folder. A file that can't be used raises it when it is read.
    """
    if folder is not None:
        return _read_domain(folder)
    selected = domain_folder()
    if not (selected / "contract.yml").is_file():
        raise _unknown_domain_error(_read_selection(), is_folder=selected.is_dir())
    return _read_domain(selected)


def _unknown_domain_error(name: str, is_folder: bool) -> InvalidInputError:
    found = (path for folder in DOMAIN_FOLDERS for path in folder.glob("*/contract.yml"))
    names = sorted({path.parent.name for path in found})
    lacks = "a folder without contract.yml, which is no domain" if is_folder else "no domain"
    return InvalidInputError(
        f"{VARIABLE}={name} names {lacks}",
        where=f"the environment or .env, {VARIABLE}",
        hint=f"{format_suggestion(name, names)}set it to a domain that exists "
        f"({', '.join(names)}), or to the path of a folder that `churn init WORKBOOK` has written; "
        f"without it, the domain is {DEFAULT}",
    )


@cache
def _read_domain(folder: Path) -> Domain:
    return Domain(folder)


def read_file(path: Path, kind: type[File]) -> File:
    """Read a declaration file as a dataclass.

    Raises:
        ChurnError: The file can't be read or has an invalid entry; the error names its line.
    """
    declared = _load(path)
    try:
        return TypeAdapter(kind).validate_python(declared)
    except ValidationError as error:
        first = error.errors()[0]
        keys = [str(key) for key in first["loc"]]
        raise ChurnError(
            f"{'.'.join(keys) or path.name}: {first['msg']}"
            + (f" ({error.error_count() - 1} more)" if error.error_count() > 1 else ""),
            where=f"{path}, line {_find_line(path, keys)}",
            hint="correct the entry; the comments of the file explain its keys",
        ) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        declared = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise ChurnError(
            f"{path.name} can't be read: {error}",
            where=f"{path}, line {line}",
            hint="restore the file, or correct its YAML",
        ) from error
    if not isinstance(declared, dict):
        raise ChurnError(
            f"{path.name} has no entries", where=f"{path}, line 1", hint="restore the file"
        )
    return declared


def _find_line(path: Path, keys: list[str]) -> int:
    """Return the line of an entry, or of the innermost one around it that the file has."""
    node = yaml.compose(path.read_text(encoding="utf-8"), yaml.SafeLoader)
    line = 1
    for key in keys:
        if isinstance(node, yaml.MappingNode):
            pairs = {name.value: (name, value) for name, value in node.value}
            if key not in pairs:
                break
            name, node = pairs[key]
            line = name.start_mark.line + 1
        elif isinstance(node, yaml.SequenceNode) and key.isdecimal() and int(key) < len(node.value):
            node = node.value[int(key)]
            line = node.start_mark.line + 1
    return line
