"""Render the reference pages from the code that they describe."""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import yaml

from churn.cli.help import SECTIONS
from churn.cli.main import main as command_line
from churn.cli.output import INTERRUPTED_CODE
from docsite.api import format_api
from docsite.markdown import format_cell, format_table
from lakehouse import errors
from lakehouse.domain import read_domain
from lakehouse.settings import PROJECT

MODELS = PROJECT / "models"
DOC_BLOCK = re.compile(r"\{% docs (\w+) %\}\s*(.*?)\s*\{% enddocs %\}", re.DOTALL)
DOC = re.compile(r"\{\{ doc\('(\w+)'\) \}\}")
FENCED = re.compile(r"```.*?```", re.DOTALL)
COMMON_OPTIONS = ("quiet", "verbose", "color")
# Folders of models whose schema has another name.
SCHEMAS = {"campaigns": "gold"}


def render() -> dict[str, str]:
    """Return the pages by their path in the site."""
    return {
        "reference/commands.md": format_commands(),
        "reference/exit-codes.md": format_exit_codes(),
        "reference/tables.md": format_tables(),
        "reference/rules.md": format_rules(),
        "reference/dags.md": format_dags(),
        "reference/api.md": format_api(),
        "decisions/index.md": format_decisions(),
    }


# --- the command line --------------------------------------------------------------------------


def format_commands() -> str:
    """Return the page of all commands with their arguments and options."""
    # A context without a parent would change the names of the help's option, which click caches.
    context = click.Context(command_line, info_name="churn", **command_line.context_settings)
    common = [each for each in command_line.commands["status"].params if _is_common(each)]
    parts = [
        "# Commands",
        "`churn COMMAND -h` prints the same. The exit codes are [listed here](exit-codes.md).",
        "## Options of every command",
        format_table(("Option", "Meaning"), _list_options(common, context)),
    ]
    for title, names in SECTIONS.items():
        parts.append(f"## {title}")
        for name in names:
            parts += _format_command(command_line.commands[name], f"churn {name}", 3, context)
    return "\n\n".join(parts) + "\n"


def _format_command(
    command: click.Command, path: str, level: int, parent: click.Context
) -> Iterator[str]:
    context = click.Context(command, parent, info_name=path)
    yield f"{'#' * level} {path}"
    yield f"`{' '.join([path, *command.collect_usage_pieces(context)])}`"
    yield "\n\n".join(" ".join(part.split()) for part in (command.help or "").split("\n\n"))
    if options := _list_options((each for each in command.params if not _is_common(each)), context):
        yield format_table(("Option", "Meaning"), options)
    if isinstance(command, click.Group):
        for name, each in command.commands.items():
            if not each.hidden:
                yield from _format_command(each, f"{path} {name}", level + 1, context)


def _is_common(parameter: click.Parameter) -> bool:
    """Return whether all commands have this option."""
    return parameter.name in COMMON_OPTIONS


def _list_options(
    parameters: Iterable[click.Parameter], context: click.Context
) -> list[tuple[str, str]]:
    return [
        (f"`{', '.join(each.opts)}{_format_value(each, context)}`", _format_help(each))
        for each in parameters
        if isinstance(each, click.Option) and not each.hidden
    ]


def _format_value(option: click.Option, context: click.Context) -> str:
    return "" if option.is_flag else f" {option.make_metavar(context)}"


def _format_help(option: click.Option) -> str:
    default = f" Default: {option.default}." if option.show_default else ""
    return f"{option.help or ''}{default}"


def format_exit_codes() -> str:
    """Return the page of the exit codes, with the errors that end a command with them."""
    kinds = [
        each
        for each in vars(errors).values()
        if isinstance(each, type) and issubclass(each, errors.ChurnError)
    ]
    kinds.sort(key=lambda kind: kind.exit_code)
    rows = [
        ("0", "Done, or there was nothing to do.", ""),
        ("1", "Unexpected error; or what the command verifies does not hold.", ""),
    ]
    rows += [
        (str(kind.exit_code), (kind.__doc__ or "").partition("\n")[0], f"`{kind.__name__}`")
        for kind in kinds
        if kind is not errors.ChurnError
    ]
    rows.append((str(INTERRUPTED_CODE), "The user interrupted the command.", "`KeyboardInterrupt`"))
    return (
        "# Exit codes\n\n"
        "Every message says what is wrong, where, and what to do. An error without a message of\n"
        "its own ends with 1, after its trace.\n\n"
        f"{format_table(('Code', 'Meaning', 'Error'), rows)}\n"
    )


# --- tables and rules --------------------------------------------------------------------------


def format_tables() -> str:
    """Return the page of all tables with their columns, as the dbt project describes them."""
    blocks = dict(DOC_BLOCK.findall((MODELS / "docs.md").read_text()))
    sections: dict[str, list[str]] = {"bronze": [], "silver": [], "audit": [], "gold": []}
    for path in sorted(MODELS.rglob("*.yml")):
        for schema, table in _list_tables(path):
            sections[schema].append(_format_one_table(schema, table, blocks))
    parts = [
        "# Tables and columns",
        "Public tables have a contract: names and types of their columns are stable. The others "
        "are steps of their schema. `churn docs` serves the same with the lineage.",
    ]
    for schema, tables in sections.items():
        parts += [f"## {schema}", *tables]
    return "\n\n".join(parts) + "\n"


def _list_tables(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield schema and declaration of each table of a YAML file of the dbt project."""
    declared = yaml.safe_load(path.read_text())
    for source in declared.get("sources", []):
        for table in source["tables"]:
            yield source["schema"], table
    folder = SCHEMAS.get(path.parent.name, path.parent.name)
    for table in declared.get("models", []):
        yield folder, table


def _format_one_table(schema: str, table: Mapping[str, Any], blocks: Mapping[str, str]) -> str:
    access = table.get("config", {}).get("access", "")
    rows: list[tuple[str, ...]] = [
        (
            f"`{column['name']}`",
            column.get("data_type", ""),
            _resolve(column.get("description", ""), blocks),
        )
        for column in table.get("columns") or []
    ]
    note = f" *{access}*" if access else ""
    heading = f"### {schema}.{table['name']}\n\n{_resolve(table['description'], blocks)}{note}"
    if not rows:
        return heading
    header: tuple[str, ...] = ("Column", "Type", "Meaning")
    if not any(row[1] for row in rows):  # only tables with a contract declare types
        header, rows = ("Column", "Meaning"), [(row[0], row[2]) for row in rows]
    count = f"{len(rows)} columns" if len(rows) > 1 else "1 column"
    # Collapsed, so that the tables of a schema fit a page.
    return (
        f'{heading}\n\n<details markdown="1">\n<summary>{count}</summary>\n\n'
        f"{format_table(header, rows)}\n\n</details>"
    )


def _resolve(description: str, blocks: Mapping[str, str]) -> str:
    """Return a description with its doc blocks, without the code that it renders in dbt's site."""
    resolved = DOC.sub(lambda match: blocks[match[1]], description)
    return " ".join(FENCED.sub("See [Rules](rules.md).", resolved).split())


def format_rules() -> str:
    """Return the page of the rules of rows and loads, and of the derived features."""
    declared = read_domain().variables
    gate = [
        (f"`{name}`", rule["severity"], _format_bound(rule), rule["description"])
        for name, rule in declared["gate_rules"].items()
    ]
    rows = [
        (f"`{name}`", ", ".join(f"`{each}`" for each in rule["columns"]), rule["description"])
        for name, rule in declared["row_rules"].items()
    ]
    metrics = [
        (f"`{name}`", metric["unit"], metric["description"])
        for name, metric in declared["gate_metrics"].items()
    ]
    derived = [
        (f"`{name}`", f"`{feature['expression']}`", feature["description"])
        for name, feature in declared["derived_features"].items()
    ]
    return "\n\n".join(
        [
            "# Rules and derived features",
            "The declarations of the domain `telco`. How to change one: "
            "[CONTRIBUTING](../contributing.md#where-to-make-a-change).",
            "## Rules of the gate",
            "An `error` refuses the load, a `warn` is reported. A feature that is watched for "
            "drift has two more: `drift_of_…` and `unusual_drift_of_…`.",
            format_table(("Rule", "Severity", "Threshold", "Meaning"), gate),
            "## Metrics of a load",
            format_table(("Metric", "Unit", "Meaning"), metrics),
            "## Rules over several cells of a row",
            format_table(("Rule", "Cells", "Meaning"), rows),
            "## Derived features",
            format_table(("Feature", "SQL", "Meaning"), derived),
        ]
    )


def _format_bound(rule: Mapping[str, Any]) -> str:
    words = {"at_most": "at most", "at_least": "at least"}
    bounds = [f"{word} {rule[key]}" for key, word in words.items() if key in rule]
    return f"`{rule['metric']}` {' and '.join(bounds)}"


# --- Airflow, decisions ------------------------------------------------------------------------


def format_dags() -> str:
    """Return the page of the DAGs: schedule, parameters and tasks, read without Airflow."""
    parts = ["# DAGs", "All of them are paused at first. [How they work together](../airflow.md)."]
    found = sorted(
        each for path in (PROJECT / "dags").glob("*.py") for each in _find_dags(path.read_text())
    )
    return "\n\n".join([*parts, *(text for _, text in found)]) + "\n"


def _find_dags(source: str) -> Iterator[tuple[str, str]]:
    """Yield name and description of each DAG that a file defines."""
    tree = ast.parse(source)
    shared = ast.parse((PROJECT / "dags" / "defaults.py").read_text())
    constants = {**_find_constants(shared), **_find_constants(tree)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "DAG":
            name = ast.literal_eval(node.args[0])
            options = {each.arg: each.value for each in node.keywords}
            schedule = options["schedule"]
            if isinstance(schedule, ast.Name):
                schedule = constants.get(schedule.id, schedule)
            if isinstance(schedule, ast.Call) and schedule.args:
                # A timetable begins with its cron expression.
                schedule = schedule.args[0]
            text = ast.literal_eval(options["description"])
            about = (ast.get_docstring(tree) or "").partition("\n\n")[2]
            parts = [f"## {name}", f"{text}.", about, f"Schedule: `{ast.unparse(schedule)}`"]
            if rows := _list_parameters(options.get("params")):
                parts.append(format_table(("Parameter", "Meaning"), rows))
            yield name, "\n\n".join(part for part in parts if part)


def _find_constants(tree: ast.Module) -> dict[str, ast.expr]:
    """Return the values that a module assigns to names."""
    return {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and node.value is not None
    }


def _list_parameters(params: ast.expr | None) -> list[tuple[str, str]]:
    rows = []
    if isinstance(params, ast.Dict):
        for key, value in zip(params.keys, params.values, strict=True):
            if isinstance(key, ast.Constant) and isinstance(value, ast.Call):
                options = {each.arg: each.value for each in value.keywords}
                name = ast.literal_eval(key)
                rows.append((f"`{name}`", ast.literal_eval(options["description"])))
    return rows


def format_decisions() -> str:
    """Return the list of the decisions, each with the title of its page."""
    rows = []
    for path in sorted((PROJECT / "docs" / "decisions").glob("[0-9]*.md")):
        title = path.read_text().partition("\n")[0].lstrip("# ")
        rows.append(f"- [{format_cell(title)}]({path.name})")
    return (
        "# Decisions\n\nEach page has the context, the choice and its price.\n\n"
        + "\n".join(rows)
        + "\n"
    )
