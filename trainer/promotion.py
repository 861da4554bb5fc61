"""Whether a newly trained model takes over from the champion: a gate of its own.

Both are judged on customers whom neither has seen: held out by the new one, and not among those
that the champion's own held-out form learned from. Each answers by the form that was fitted without
its hold-out. The new one takes over when it is better beyond the noise of those rows and no slice
gets worse than the declared bound; a champion whose data were withdrawn goes unless it is better.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.sql.connect.dataframe import DataFrame

from lakehouse.settings import Settings
from lakehouse.sql import literal
from lakehouse.whole_files import written_whole
from trainer import bootstrap, registry
from trainer.bootstrap import Interval
from trainer.explain import log_odds_column
from trainer.parameters import Parameters, PromotionRule
from trainer.pipeline import LABEL
from trainer.record import ModelRecord
from trainer.rows import TrainingRows

if TYPE_CHECKING:
    from feature_repo.training import TrainingSet

FILE = "promotion.json"
CHAMPION, CHALLENGER = "champion", "challenger"


@dataclass(frozen=True)
class Slice:
    """A group of the compared customers, with both Brier scores (lower is better)."""

    name: str
    rows: int
    champion: float
    challenger: float

    @property
    def worsening(self) -> float:
        return self.challenger - self.champion


@dataclass(frozen=True)
class Comparison:
    """Two models on rows that neither has seen; `gains`: figure to challenger - champion."""

    rows: int
    leavers: int
    roc_auc: dict[str, float]
    gains: dict[str, Interval]
    slices: list[Slice]


@dataclass(frozen=True)
class Decision:
    """Whether the version took over from `champion` (None: there was none), and why."""

    version: str
    champion: str | None
    promoted: bool
    reason: str
    comparison: dict[str, Any] = field(default_factory=dict)


def decide(
    settings: Settings,
    rows: TrainingRows,
    training: "TrainingSet",
    parameters: Parameters,
    challenger: ModelRecord,
) -> Decision:
    """The decision, with its figures; nothing is promoted yet."""
    now = registry.reign(settings)
    champion = registry.find(settings, now.version) if now else None

    def decision(promoted: bool, reason: str, compared: Comparison | None = None) -> Decision:
        figures = asdict(compared) if compared else {}
        return Decision(challenger.version, now.version if now else None, promoted, reason, figures)

    if now is None:
        return decision(True, "it is the first model")
    if challenger.version in now.withdrawn:
        return decision(False, "it was rolled back; only a person makes it champion again")
    if champion is None:
        return decision(True, f"the champion {now.version} is missing or damaged")
    incomparable = _incomparable(settings, champion, challenger)
    if incomparable:
        return decision(True, incomparable)
    compared = compare(settings, rows, parameters, champion, challenger)
    withdrawn = bool(set(champion.batches) - set(training.published))
    promoted, reason = judge(compared, parameters.promotion, champion.version, withdrawn)
    return decision(promoted, reason, compared)


def _incomparable(settings: Settings, champion: ModelRecord, challenger: ModelRecord) -> str | None:
    """Why the champion can't be held against the challenger's rows; None where it can."""
    if champion.label["kind"] != challenger.label["kind"]:
        return (
            f"what churn means has changed, from {champion.label['kind']} to "
            f"{challenger.label['kind']}: the champion {champion.version} answers another question"
        )
    gone = sorted(set(champion.features) - set(challenger.features))
    if gone:
        return f"the champion {champion.version} asks for features that are gone: {', '.join(gone)}"
    kept = registry.has_out_of_fold(settings, champion.version)
    if not kept or champion.held_out_form is None or challenger.held_out_form is None:
        return f"the champion {champion.version} is from before models were compared"
    return None


def compare(
    settings: Settings,
    rows: TrainingRows,
    parameters: Parameters,
    champion: ModelRecord,
    challenger: ModelRecord,
) -> Comparison:
    """Both models on the challenger's held-out rows of customers whom the champion has not seen."""
    spark = rows.frame.sparkSession
    learned = f"{registry.pipeline(settings, champion.version)}/{registry.OUT_OF_FOLD}"
    seen = spark.read.parquet(learned).where("not is_holdout").select("customer_id").distinct()
    unseen = rows.frame.where("is_holdout").join(seen, "customer_id", "left_anti")
    both = _answers(unseen, parameters, champion, challenger).localCheckpoint()
    counted = bootstrap.counts(both, parameters.threshold)
    if not counted:
        return Comparison(0, 0, {}, {}, [])
    drawn = bootstrap.draws(parameters.seed)
    sums = counted[CHALLENGER].sums.sum(axis=0)
    return Comparison(
        rows=int(sums[0]),
        leavers=int(sums[1]),
        roc_auc={
            kind: float(of_kind.figures(bootstrap.EVERYTHING)["roc_auc"][0])
            for kind, of_kind in counted.items()
        },
        gains=bootstrap.gains(counted[CHALLENGER], counted[CHAMPION], drawn),
        slices=_slices(both, parameters.slices),
    )


def _answers(
    rows: DataFrame, parameters: Parameters, champion: ModelRecord, challenger: ModelRecord
) -> DataFrame:
    """A row for each model and customer: `kind, block, churned, probability`, and the slices."""
    answers = []
    for kind, record in ((CHAMPION, champion), (CHALLENGER, challenger)):
        assert record.held_out_form is not None
        odds = log_odds_column(record.held_out_form, record.derived)
        answers.append(
            rows.selectExpr(
                f"'{kind}' as kind",
                "block",
                LABEL,
                f"1 / (1 + exp(-({odds}))) as probability",
                f"{slices_column(parameters.slices)} as slices",
            )
        )
    return answers[0].union(answers[1])


def slices_column(slices: Mapping[str, Mapping[str, str]]) -> str:
    """The slices that a row is in, as array<string> of `name: group`."""
    cases = ", ".join(
        f"if({condition}, {literal(f'{name}: {group}')}, null)"
        for name, groups in slices.items()
        for group, condition in groups.items()
    )
    return f"array_compact(array({cases}))"


def _slices(both: DataFrame, slices: Mapping[str, Mapping[str, str]]) -> list[Slice]:
    found = both.sparkSession.sql(
        """
        select slice, count_if(kind = 'champion') as `rows`,
            avg(if(kind = 'champion', pow(churned - probability, 2), null)) as champion,
            avg(if(kind = 'challenger', pow(churned - probability, 2), null)) as challenger
        from {both} lateral view explode(slices) as slice
        group by slice
        """,
        both=both,
    )
    by_name = {row["slice"]: row for row in found.toArrow().to_pylist()}
    names = [f"{name}: {group}" for name, groups in slices.items() for group in groups]
    return [
        Slice(name, row["rows"], row["champion"], row["challenger"])
        for name, row in ((name, by_name[name]) for name in names if name in by_name)
    ]


def judge(
    compared: Comparison, rule: PromotionRule, champion: str, withdrawn: bool
) -> tuple[bool, str]:
    """Whether the challenger takes over, and why in a sentence with the numbers."""
    leavers, stayers = compared.leavers, compared.rows - compared.leavers
    outdated = f"{champion} learned from a load that was replaced since"
    if min(leavers, stayers) < rule.fewest:
        reason = (
            f"only {leavers} of {compared.rows} customers whom neither model has seen left, and "
            f"{rule.fewest} leavers and as many stayers are needed to compare"
        )
        return withdrawn, f"{outdated}; {reason}" if withdrawn else reason
    gain = compared.gains["roc_auc"]
    figures = (
        f"ROC-AUC {compared.roc_auc[CHALLENGER]:.4f} against {compared.roc_auc[CHAMPION]:.4f} of "
        f"{champion} on {compared.rows:,} customers whom neither has seen, a gain of "
        f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
    )
    if withdrawn:
        worse = gain.high < 0
        reason = f"{outdated}; {figures}"
        return not worse, f"worse beyond noise, although {reason}" if worse else reason
    if gain.mean < rule.minimum_gain or gain.low <= 0:
        return False, f"{figures}: not better beyond noise"
    spoilt = [each for each in compared.slices if each.worsening > rule.worst_slice]
    if spoilt:
        named = ", ".join(
            f"{each.name} ({each.champion:.4f} to {each.challenger:.4f})" for each in spoilt
        )
        return False, f"{figures}, but the Brier score of a slice gets worse: {named}"
    return True, f"{figures}: better beyond noise, and no slice gets worse"


def write(folder: Path, decision: Decision) -> None:
    """Leave the decision beside the version's record."""
    with written_whole(folder / FILE) as draft:
        draft.write_text(json.dumps(asdict(decision), indent=1))


def read(folder: Path) -> Decision | None:
    """The decision beside the version's record; None where there is none, or a damaged one."""
    try:
        return Decision(**json.loads((folder / FILE).read_text()))
    except (FileNotFoundError, ValueError, TypeError):
        return None
