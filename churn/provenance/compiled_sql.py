"""Compose the SQL of dbt's models over other rows than those of bronze.

The models from bronze to the candidates are compiled by dbt and become one query, so that the rules
of rows and the features are those of a build: no rule is written here.
"""

import re
from collections.abc import Mapping

CLEANED = ("faulty_rows", "customers", "rejected_rows")
FEATURES, LABELS = "audit_customer_features", "audit_churn_labels"
# The models in the order of the data.
COMPOSED = (*CLEANED, FEATURES, LABELS)
PREFIX = "composed_"
ROWS, LOADS = f"{PREFIX}rows", f"{PREFIX}loads"
RELATIONS = {
    "bronze.telco_customers": ROWS,
    "silver.open_loads": LOADS,
    **{f"silver.{name}": f"{PREFIX}{name}" for name in CLEANED},
}


def compose(models: Mapping[str, str], last: str, rows: str, loads: str) -> str:
    """Return one query for the model `last` over `rows` and `loads` instead of the tables.

    `models` is the compiled SQL by model; `rows` and `loads` are queries with the columns of
    bronze.telco_customers and silver.open_loads. Rows of one customer are only compared with each
    other, so that the rows of other customers can be left out.
    """
    steps = {LOADS: loads, ROWS: rows}
    for name in COMPOSED[: COMPOSED.index(last)]:
        steps[f"{PREFIX}{name}"] = replace_relations(models[name], RELATIONS)
    ctes = ",\n".join(f"{name} as (\n{sql}\n)" for name, sql in steps.items())
    return f"with\n{ctes}\nselect * from (\n{replace_relations(models[last], RELATIONS)}\n)"


def replace_relations(sql: str, relations: Mapping[str, str]) -> str:
    """Return the SQL with other relations in place of its tables; bare names of columns stay."""
    for table, relation in relations.items():
        sql = re.sub(rf"\b{re.escape(table)}\b", relation, sql)
    return sql
