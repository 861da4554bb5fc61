"""A logged version, loaded by MLflow: `mlflow.pyfunc.load_model("models:/churn@champion")`.

It is computed from the numbers of its record, without Spark, as the scoring API does.
"""

from pathlib import Path

import pandas as pd

from trainer import record as records
from trainer.reason_texts import read_reasons
from trainer.registry import RECORD
from trainer.scorer import Scorer


class ChurnModel:
    """Features to the probability of leaving."""

    def __init__(self, scorer: Scorer) -> None:
        self._scorer = scorer

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """A frame of `probability`, row by row; `rows` holds the features."""
        answers = [self._scorer.answer(row) for row in rows.to_dict("records")]
        return pd.DataFrame({"probability": [each.probability for each in answers]}, rows.index)


def _load_pyfunc(data_path: str) -> ChurnModel:
    """What MLflow calls, by this name, with the folder that holds the record."""
    record = records.read((Path(data_path) / RECORD).read_text())
    return ChurnModel(Scorer(record, read_reasons()))
