"""Compose the SQL of dbt's models over other rows than those of bronze.

The models from bronze to the candidates are compiled by dbt and combined into one query, so that
row rules and features are the same as in a build: no rule is duplicated here.
"""

from collections.abc import Mapping

from sqlglot import exp, parse_one

CLEANED = ("rejected_rows", "customers")
FEATURES, LABELS = "audit_customer_features", "audit_churn_labels"
# The models in the order of the data flow.
COMPOSED = (*CLEANED, FEATURES, LABELS)
PREFIX = "composed_"
ROWS, LOADS, DATES = f"{PREFIX}rows", f"{PREFIX}loads", f"{PREFIX}dates"
RELATIONS = {
    "bronze.telco_customers": ROWS,
    "silver.pending_loads": LOADS,
    "silver.pending_dates": DATES,
    **{f"silver.{name}": f"{PREFIX}{name}" for name in CLEANED},
}


def compose(models: Mapping[str, str], last: str, rows: str, loads: str) -> str:
    """Return one query for the model `last` over `rows` and `loads` instead of the tables.

    Rows of one customer are only compared with each other, so that the rows of other customers can
    be left out.

    Args:
        models: The compiled SQL by model.
        last: The model whose rows are wanted.
        rows: A query with the columns of bronze.telco_customers.
        loads: A query with the columns of silver.pending_loads.
    """
    dates = "collect_set(extract_date)"
    steps = {
        LOADS: loads,
        DATES: f"select {dates} as extract_dates, {dates} as dates_to_clean from {LOADS}",
        ROWS: rows,
    }
    for name in COMPOSED[: COMPOSED.index(last)]:
        steps[f"{PREFIX}{name}"] = replace_relations(models[name], RELATIONS)
    ctes = ",\n".join(f"{name} as (\n{sql}\n)" for name, sql in steps.items())
    return f"with\n{ctes}\nselect * from (\n{replace_relations(models[last], RELATIONS)}\n)"


def replace_relations(sql: str, relations: Mapping[str, str]) -> str:
    """Return the SQL with its tables replaced by other relations; all other text is unchanged."""
    found = [
        (table.args["db"].meta["start"], table.this.meta["end"] + 1, relations[name])
        for table in parse_one(sql, dialect="spark").find_all(exp.Table)
        if (name := f"{table.db}.{table.name}") in relations
    ]
    for start, end, relation in sorted(found, reverse=True):
        sql = f"{sql[:start]}{relation}{sql[end:]}"
    return sql


def read_constant(sql: str, column: str) -> str | None:
    """Return the text that a query selects as a column; None if it selects none."""
    aliases = parse_one(sql, dialect="spark").find_all(exp.Alias)
    return next((each.this.name for each in aliases if each.alias == column), None)
