"""Predictions of rows by models that did not see them, for both kinds."""

from dataclasses import dataclass
from functools import reduce

from pyspark.ml.functions import vector_to_array
from pyspark.sql.connect.dataframe import DataFrame

from lakehouse.service import Say
from trainer.evaluate import HOLDOUT
from trainer.kinds import INPUTS, LABEL, each, estimator
from trainer.parameters import KINDS, Parameters


@dataclass(frozen=True)
class Fit:
    """A training on all rows but the judged ones; `judged` is a SQL condition."""

    kind: str
    part: str
    judged: str
    title: str


def fits(parameters: Parameters) -> list[Fit]:
    """Every training of the cross-validation, those of the slow kind first."""
    # A long fit that begins last would leave the other thread idle.
    slow_first = list(reversed(KINDS))
    return [
        Fit(kind, f"fold_{k}", f"fold = {k}", f"fold {k + 1} of {parameters.folds}")
        for kind in slow_first
        for k in range(parameters.folds)
    ] + [Fit(kind, HOLDOUT, "is_holdout", "hold-out") for kind in slow_first]


def cross_validate(rows: DataFrame, parameters: Parameters, say: Say) -> DataFrame:
    """Rows of `kind, part, churned, probability`, as `evaluate` takes them."""

    def judge(fit: Fit) -> DataFrame:
        say(f"{fit.title}, {fit.kind.replace('_', ' ')}")
        columns = rows.select(LABEL, INPUTS, "fold", "is_holdout")
        fitted = estimator(fit.kind, parameters).fit(columns.where(f"not ({fit.judged})"))
        judged = fitted.transform(columns.where(fit.judged))
        return judged.withColumn("chance", vector_to_array("probability")[1]).selectExpr(
            f"'{fit.kind}' as kind", f"'{fit.part}' as part", LABEL, "chance as probability"
        )

    parts = each(rows.sparkSession, judge, fits(parameters))
    return reduce(DataFrame.union, parts)
