"""What a run and a version of MLflow are given, in the order in which its pages show it."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from model_records import FIGURES, a_record

from trainer import mlflow_sync
from trainer.portable_model import LinearModel

OTHER = "gradient_boosted_trees"
RECORD = a_record(
    LinearModel(-1.0, {"tenure": -0.1}, {"tenure": 20.0}),
    ["tenure"],
    evaluations={
        OTHER: {"fold_0": FIGURES},
        "logistic_regression": {"fold_0": FIGURES, "holdout": FIGURES, "out_of_fold": FIGURES},
    },
    signature="0123456789abcdef" * 4,
    seconds={"final": 2.0},
)


def test_the_metrics_of_the_chosen_model_come_first() -> None:
    """MLflow shows metrics in the order in which they were logged."""
    names = [name for name, _, _ in mlflow_sync.metrics(RECORD)]
    assert names[:4] == ["roc_auc", "pr_auc", "brier", "rows"]
    parts = list(dict.fromkeys(name.rpartition("/")[0] for name in names))
    assert parts == ["", "holdout", "fold", f"{OTHER}/fold", "seconds"]
    assert len(names) == len(set(names)) == 4 * 7 + 1


def test_a_version_has_its_metrics_as_tags_and_its_run_a_data_set() -> None:
    assert mlflow_sync.version_tags(RECORD) == {
        "model_type": "logistic_regression",
        "roc_auc": "0.8500",
        "pr_auc": "0.6600",
        "brier": "0.1300",
    }
    logged = mlflow_sync.training_set(RECORD)
    assert logged.dataset.name == "gold.customer_features"
    assert RECORD.signature.startswith(logged.dataset.digest)
    assert len(logged.dataset.digest) == 36  # MLflow's limit
    assert {each.key: each.value for each in logged.tags} == {"mlflow.data.context": "training"}


class Client:
    """Runs, with the tags that a test looks at."""

    def __init__(self, marked: list[str]) -> None:
        """Begin with runs that have the champion's tag."""
        self.marked = marked
        self.calls: list[str] = []

    def search_runs(self, _: list[str], __: str) -> Any:
        return [SimpleNamespace(info=SimpleNamespace(run_id=each)) for each in self.marked]

    def delete_tag(self, run: str, _: str) -> None:
        self.calls.append(f"delete {run}")

    def set_tag(self, run: str, _: str, __: str) -> None:
        self.calls.append(f"set {run}")


def test_the_champions_run_alone_is_marked() -> None:
    def mark(marked: list[str], champion: str | None) -> list[str]:
        client = Client(marked)
        store: Any = SimpleNamespace(client=client, experiment="1")
        version: Any = champion and SimpleNamespace(run_id=champion)
        mlflow_sync._mark_champion(store, version)
        return client.calls

    assert mark([], None) == [] == mark(["a"], "a")
    assert mark(["a"], "b") == ["delete a", "set b"]
    assert mark(["a"], None) == ["delete a"]


def test_the_record_may_lack_an_evaluation() -> None:
    lacking = replace(RECORD, evaluations={"logistic_regression": {"out_of_fold": FIGURES}})
    assert len(list(mlflow_sync.metrics(lacking))) == 7 + 1
