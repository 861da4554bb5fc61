"""Promote a version by a person's decision: by command, or by moving MLflow's alias `champion`.

Like the registry and the decisions, this needs no Spark.
"""

from dataclasses import dataclass, replace

from lakehouse import commit_metadata
from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings
from trainer import decisions, mlflow_alias, registry
from trainer.decisions import Decision
from trainer.mlflow_alias import Alias
from trainer.record import ModelRecord

# Recorded for an alias that was moved, unless tags of the version name the user and the reason.
ALIAS_USER, ALIAS_REASON = "MLflow alias", "the alias champion was moved to it in MLflow"


@dataclass(frozen=True)
class MovedAlias:
    """The alias, moved by a person since the last synchronisation.

    Attributes:
        version: The version that has the alias now.
        refusal: Why the version is not promoted; None if it can be.
    """

    version: str
    refusal: str | None

    def warning(self) -> str:
        """Return the refusal as a sentence."""
        return f"MLflow's alias champion names {self.version}, not promoted: {self.refusal}"


def require_promotable(settings: Settings, version: str, reason: str) -> ModelRecord:
    """Return the record of a version that may be promoted by hand.

    Raises:
        InvalidInputError: No reason is given, there is no such version, it needs features that are
            no longer declared, or it is the champion already.
    """
    place = str(registry.folder(settings))
    _require_reason(reason)
    record = registry.find(settings, version)
    if record is None:
        raise registry.unknown_version_error(settings, version)

    # imports Feast, which takes seconds
    from feature_repo.feature_definitions import read_feature_columns

    missing = sorted(set(record.features) - {each.name for each in read_feature_columns()})
    if missing:
        raise InvalidInputError(
            f"{version} needs features that are no longer declared: {', '.join(missing)}",
            where=place,
            hint="name a version of the features that there are; `churn train` makes one",
        )
    if registry.champion_version(settings) == version:
        raise InvalidInputError(
            f"{version} is the champion already",
            where=place,
            hint="nothing is left to do; `churn score` scores with it",
        )
    return record


def promote_by_hand(
    settings: Settings,
    version: str,
    reason: str,
    how: str = registry.PROMOTE,
    user: str | None = None,
) -> Decision:
    """Make the version the champion at the request of a person.

    The person's name, the time and the reason are recorded. Call it under the run lock.

    Args:
        settings: The settings of this CHURN_HOME.
        version: The version.
        reason: The reason.
        how: Recorded as `how` of the change.
        user: The person; by default the user of this process.

    Raises:
        InvalidInputError: See `require_promotable`.
    """
    require_promotable(settings, version, reason)
    before = decisions.read(registry.folder(settings) / version)
    user, time = user or commit_metadata.user() or "unknown", decisions.timestamp()
    decision = Decision(
        version,
        registry.champion_version(settings),
        True,
        f"promoted by hand by {user} on {time}: {reason.strip()}",
        before.comparison if before else {},
        decided=time,
        user=user,
    )
    decisions.write(registry.folder(settings) / version, decision)
    registry.promote(settings, version, how, reason.strip(), user)
    return decision


def decline_by_hand(
    settings: Settings, version: str, reason: str, user: str | None = None
) -> Decision:
    """Record that a person keeps the champion, so that the version no longer waits.

    Call it under the run lock.

    Args:
        settings: The settings of this CHURN_HOME.
        version: The version.
        reason: The reason.
        user: The person; by default the user of this process.

    Raises:
        InvalidInputError: The reason is missing, or the version does not wait for a decision.
    """
    _require_reason(reason)
    waiting = decisions.find_waiting(settings)
    if waiting is None or waiting.version != version:
        waits = f"{waiting.version} waits" if waiting else "none waits"
        raise InvalidInputError(
            f"{version} does not wait for a decision; {waits}",
            where=str(registry.folder(settings)),
            hint="`churn status` shows what waits",
        )
    user, time = user or commit_metadata.user() or "unknown", decisions.timestamp()
    decision = replace(
        waiting,
        reason=f"declined by {user} on {time}: {reason.strip()}",
        waits=False,
        decided=time,
        user=user,
    )
    decisions.write(registry.folder(settings) / version, decision)
    return decision


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise InvalidInputError(
            "A manual decision needs a reason, which is stored with it",
            where="--reason",
            hint="say in a sentence why the model may take over, or may not",
        )


def moved_alias(settings: Settings, alias: Alias) -> MovedAlias | None:
    """Return the version that a person moved the alias to; None if no person moved it."""
    history = registry.read_champion_history(settings)
    version = mlflow_alias.find_moved_version(alias, history)
    if version is None:
        return None
    change = mlflow_alias.overruling(alias, history)
    if change is not None:
        by = f" by {change.user}" if change.user else ""
        return MovedAlias(
            version,
            f"{change.version} was made champion{by} on {change.time} ({change.how}), and MLflow "
            "does not record which came first; move the alias again, or use `churn promote`",
        )
    try:
        require_promotable(settings, version, ALIAS_REASON)
    except InvalidInputError as refusal:
        return MovedAlias(version, refusal.message)
    return MovedAlias(version, None)


def adopt_alias(settings: Settings, alias: Alias) -> MovedAlias | None:
    """Promote the version that a person moved the alias to, unless it can't be promoted.

    Call it under the run lock.

    Returns:
        The moved alias; None if no person moved it.
    """
    moved = moved_alias(settings, alias)
    if moved is not None and moved.refusal is None:
        reason, user = alias.reason or ALIAS_REASON, alias.user or ALIAS_USER
        promote_by_hand(settings, moved.version, reason, registry.ALIAS, user)
    return moved
