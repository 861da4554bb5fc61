"""Decide whether a newly trained model replaces the champion: a gate of its own.

Both are evaluated on customers that neither was trained on: held out by the challenger, and not
among the training customers of the champion's own held-out form. Each predicts with the form that
was fitted without its hold-out. The challenger replaces the champion if it is better beyond the
noise of those rows and no slice gets worse than the declared bound; a champion whose data was
withdrawn is replaced unless it is better. A model that can't be compared, or is below the required
quality, waits for a promotion by hand: `by_hand`. Apart from that, only `carry_out` here and
`trainer.registry.roll_back` make a version the champion.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Any

from pyspark.sql.connect.dataframe import DataFrame

from feature_repo.labels import OBSERVED
from lakehouse.amounts import format_number
from lakehouse.settings import Settings
from lakehouse.sql import literal
from lakehouse.storage import escape_glob
from trainer import bootstrap, decisions, registry
from trainer.bootstrap import Interval
from trainer.decisions import Decision
from trainer.explain import log_odds_column
from trainer.parameters import Parameters, PromotionRule
from trainer.pipeline import LABEL
from trainer.record import ModelRecord
from trainer.training_data import TrainingRows

if TYPE_CHECKING:
    from feature_repo.training import TrainingSet

CHAMPION, CHALLENGER = "champion", "challenger"
PROFIT = "expected_maximum_profit"


@dataclass(frozen=True)
class Slice:
    """A group of the compared customers, with both Brier scores (lower is better)."""

    name: str
    rows: int
    champion: float
    challenger: float

    @property
    def worsening(self) -> float:
        """Return by how much the challenger's Brier score exceeds the champion's."""
        return self.challenger - self.champion


@dataclass(frozen=True)
class Comparison:
    """Two models on rows that neither was trained on.

    Attributes:
        rows: Number of rows.
        leavers: Number of churned customers among them.
        roc_auc: ROC-AUC of each model.
        gains: Metric to challenger - champion.
        slices: Brier scores by slice.
        profit: Expected maximum profit of each model, per customer.
    """

    rows: int
    leavers: int
    roc_auc: dict[str, float]
    gains: dict[str, Interval]
    slices: list[Slice]
    profit: dict[str, float] = field(default_factory=dict)


def decide(
    settings: Settings,
    rows: TrainingRows,
    training: "TrainingSet",
    parameters: Parameters,
    challenger: ModelRecord,
) -> Decision:
    """Return the decision, with its metrics; nothing is promoted yet."""
    now = registry.read_champion_history(settings)
    champion = registry.find(settings, now.version) if now else None

    def decision(
        promoted: bool, reason: str, waits: bool = False, compared: Comparison | None = None
    ) -> Decision:
        figures = asdict(compared) if compared else {}
        versions = (challenger.version, now.version if now else None)
        return Decision(*versions, promoted, reason, figures, waits, decisions.timestamp())

    if now and now.version == challenger.version:
        return decision(True, "it is the champion, which was missing or damaged, made again")
    if now and challenger.version in now.withdrawn:
        return decision(False, "it was rolled back; only a person makes it champion again")
    poor = _below_minimum(challenger, parameters.promotion)
    if poor:
        return decision(False, poor, waits=True)
    if now is None:
        return decision(True, "it is the first model")
    if champion is None:
        missing = f"the champion {now.version} is missing or damaged, so nothing can be compared"
        return decision(False, missing, waits=True)
    incomparable = _incomparable(settings, parameters.promotion, champion, challenger)
    if incomparable:
        return decision(False, incomparable, waits=True)
    compared = compare(settings, rows, parameters, champion, challenger)
    outdated = bool(set(champion.batches) - set(training.published))
    weighed = _weigh(compared, parameters.promotion, champion, challenger, outdated)
    return decision(*_ask_if_set(settings, *weighed), compared)


def _ask_if_set(
    settings: Settings, promoted: bool, reason: str, waits: bool
) -> tuple[bool, str, bool]:
    """Return the decision; with CHURN_PROMOTION=ask, a model that would be promoted waits."""
    if promoted and settings.promotion == "ask":
        return False, f"{reason}; with CHURN_PROMOTION=ask a person decides", True
    return promoted, reason, waits


def _weigh(
    compared: Comparison,
    rule: PromotionRule,
    champion: ModelRecord,
    challenger: ModelRecord,
    outdated: bool,
) -> tuple[bool, str, bool]:
    """Return whether the challenger replaces the champion, why, and whether an operator decides.

    `outdated` means that the champion was trained on a load that has been replaced since.
    """
    suspect = _far_below(champion, challenger, rule)
    if suspect:
        return False, suspect, True
    promoted, reason = weigh_comparison(compared, rule, champion.version, outdated)
    return promoted, reason, outdated and _too_few(compared, rule) is not None


def apply_decision(settings: Settings, decision: Decision) -> None:
    """Write the decision beside the version, and make it the champion if that was decided."""
    decisions.write(registry.folder(settings) / decision.version, decision)
    if decision.promoted:
        registry.promote(settings, decision.version, reason=decision.reason)


def _below_minimum(challenger: ModelRecord, rule: PromotionRule) -> str | None:
    quality = challenger.metrics["roc_auc"]
    if quality >= rule.minimum_roc_auc:
        return None
    return (
        f"its ROC-AUC out of fold is {quality:.3f}, and a model has to have "
        f"{rule.minimum_roc_auc:.3f} at least"
    )


def _far_below(champion: ModelRecord, challenger: ModelRecord, rule: PromotionRule) -> str | None:
    """Return what is wrong with a model that is far below the champion, or None.

    Both models answer the same question. If one is so much worse on its own customers than the
    champion was on its own, the cause is its data rather than chance.
    """
    mine, theirs = challenger.metrics["roc_auc"], champion.metrics["roc_auc"]
    if mine >= theirs - rule.worst_drop:
        return None
    return (
        f"its ROC-AUC out of fold is {mine:.3f}, far below the {theirs:.3f} of the champion "
        f"{champion.version} (more than {rule.worst_drop:g})"
    )


def _incomparable(
    settings: Settings, rule: PromotionRule, champion: ModelRecord, challenger: ModelRecord
) -> str | None:
    """Return why the champion can't predict the challenger's rows, or None if it can."""
    changed = _label_change(champion.label, challenger.label, rule)
    if changed:
        return (
            f"what churn means has changed, {changed}: the champion {champion.version} answers "
            "another question"
        )
    gone = sorted(set(champion.features) - set(challenger.features))
    if gone:
        return f"the champion {champion.version} asks for features that are gone: {', '.join(gone)}"
    has_rows = registry.has_out_of_fold(settings, champion.version)
    if not has_rows or champion.held_out_form is None or challenger.held_out_form is None:
        return f"the champion {champion.version} is from before models were compared"
    return None


def _label_change(
    before: Mapping[str, Any], now: Mapping[str, Any], rule: PromotionRule
) -> str | None:
    """Return how two labels differ in their definition, or None if they do not."""
    if before["kind"] != now["kind"]:
        return f"from {before['kind']} to {now['kind']}"
    # The marks of a workbook do not depend on a next extract.
    if now["kind"] != OBSERVED:
        return None
    earlier, later = (round(fmean(label["days_between"])) for label in (before, now))
    if abs(later - earlier) <= rule.horizon_change * earlier:
        return None
    return f"from leaving within {format_number(earlier, 'day')} to leaving within {later}"


def compare(
    settings: Settings,
    rows: TrainingRows,
    parameters: Parameters,
    champion: ModelRecord,
    challenger: ModelRecord,
) -> Comparison:
    """Compare both models on the challenger's held-out rows.

    Customers that the champion was trained on are excluded.
    """
    spark = rows.frame.sparkSession
    learned = f"{registry.pipeline(settings, champion.version)}/{registry.OUT_OF_FOLD}"
    training_customers = (
        spark.read.parquet(escape_glob(learned))
        .where("not is_holdout")
        .select("customer_id")
        .distinct()
    )
    unseen = rows.frame.where("is_holdout").join(training_customers, "customer_id", "left_anti")
    both = _predict_both(unseen, parameters, champion, challenger).localCheckpoint()
    counted = bootstrap.count_predictions(both, parameters.threshold, parameters.profit)
    if not counted:
        return Comparison(0, 0, {}, {}, [])
    drawn = bootstrap.draw_replicates(parameters.seed)
    sums = counted[CHALLENGER].sums.sum(axis=0)
    whole = {kind: each.compute_metrics(bootstrap.ALL_BLOCKS) for kind, each in counted.items()}
    return Comparison(
        rows=int(sums[0]),
        leavers=int(sums[1]),
        roc_auc={kind: float(figures["roc_auc"][0]) for kind, figures in whole.items()},
        gains=bootstrap.compute_gains(counted[CHALLENGER], counted[CHAMPION], drawn),
        slices=_slices(both, parameters.slices),
        profit={kind: float(figures[PROFIT][0]) for kind, figures in whole.items()},
    )


def _predict_both(
    rows: DataFrame, parameters: Parameters, champion: ModelRecord, challenger: ModelRecord
) -> DataFrame:
    """Return `kind, block, churned, probability` and slices, for each model and customer."""
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
    """Return a SQL expression for a row's slices, as array<string> of `name: group`."""
    cases = ", ".join(
        f"if({condition}, {literal(f'{name}: {group}')}, null)"
        for name, groups in slices.items()
        for group, condition in groups.items()
    )
    return f"array_compact(array({cases}))"


def _slices(both: DataFrame, slices: Mapping[str, Mapping[str, str]]) -> list[Slice]:
    scores = both.sparkSession.sql(
        """
        select slice, count_if(kind = 'champion') as `rows`,
            avg(if(kind = 'champion', pow(churned - probability, 2), null)) as champion,
            avg(if(kind = 'challenger', pow(churned - probability, 2), null)) as challenger
        from {both} lateral view explode(slices) as slice
        group by slice
        """,
        both=both,
    )
    by_name = {row["slice"]: row for row in scores.toArrow().to_pylist()}
    names = [f"{name}: {group}" for name, groups in slices.items() for group in groups]
    return [
        Slice(name, row["rows"], row["champion"], row["challenger"])
        for name, row in ((name, by_name[name]) for name in names if name in by_name)
    ]


def weigh_comparison(
    compared: Comparison, rule: PromotionRule, champion: str, withdrawn: bool
) -> tuple[bool, str]:
    """Return whether the challenger replaces the champion, and why.

    The reason is a sentence with the numbers.
    """
    outdated = f"{champion} learned from a load that was replaced since"
    few = _too_few(compared, rule)
    if few:
        return False, f"{outdated}; {few}" if withdrawn else few
    name, by_model, gain, minimum = _measure(compared, rule)
    figures = (
        f"{name} {by_model[CHALLENGER]:.4f} against {by_model[CHAMPION]:.4f} of "
        f"{champion} on {format_number(compared.rows, 'customer')} whom neither "
        "has seen, a gain of "
        f"{gain.mean:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
    )
    if withdrawn:
        worse = gain.high < 0
        reason = f"{outdated}; {figures}"
        return not worse, f"worse beyond noise, although {reason}" if worse else reason
    if gain.mean < minimum or gain.low <= 0:
        return False, f"{figures}: not better beyond noise"
    spoilt = [each for each in compared.slices if each.worsening > rule.worst_slice]
    if spoilt:
        named = ", ".join(
            f"{each.name} ({each.champion:.4f} to {each.challenger:.4f})" for each in spoilt
        )
        return False, f"{figures}, but the Brier score of a slice gets worse: {named}"
    return True, f"{figures}: better beyond noise, and no slice gets worse"


def _measure(
    compared: Comparison, rule: PromotionRule
) -> tuple[str, dict[str, float], Interval, float]:
    """Return the declared measure: its name, its values, the gain and the lowest gain required."""
    if rule.measure == "profit":
        gain = compared.gains[PROFIT]
        return "expected profit per customer", compared.profit, gain, rule.minimum_profit_gain
    return "ROC-AUC", compared.roc_auc, compared.gains["roc_auc"], rule.minimum_gain


def _too_few(compared: Comparison, rule: PromotionRule) -> str | None:
    leavers, stayers = compared.leavers, compared.rows - compared.leavers
    if min(leavers, stayers) >= rule.fewest:
        return None
    return (
        f"only {leavers:,} of {compared.rows:,} customers whom neither model has seen left, and "
        f"{rule.fewest} leavers and as many stayers are needed to compare"
    )
