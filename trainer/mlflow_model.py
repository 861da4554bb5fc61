"""Load a logged version by MLflow: `mlflow.pyfunc.load_model("models:/churn@champion")`.

The predictions are computed from the numbers of its record, without Spark, as in the scoring API.
"""

from pathlib import Path

import pandas as pd

from trainer import record as records
from trainer.reason_texts import read_reasons
from trainer.registry import RECORD
from trainer.scorer import Scorer


class ChurnModel:
    """Model that maps features to the churn probability."""

    def __init__(self, scorer: Scorer) -> None:
        """Create the model on a scorer."""
        self._scorer = scorer

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return a frame of `probability`, with a row for each row of `rows`.

        `rows` contains the features.
        """
        answers = [self._scorer.answer(row) for row in rows.to_dict("records")]
        return pd.DataFrame({"probability": [answer.probability for answer in answers]}, rows.index)


def _load_pyfunc(data_path: str) -> ChurnModel:
    """Return the model in a folder that contains the record.

    MLflow calls this function by its name.
    """
    record = records.read((Path(data_path) / RECORD).read_text())
    return ChurnModel(Scorer(record, read_reasons()))
