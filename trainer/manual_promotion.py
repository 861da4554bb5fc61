"""Promote a version by an operator's decision.

Like the registry and the decisions, this needs no Spark.
"""

from lakehouse import commit_metadata
from lakehouse.errors import InvalidInputError
from lakehouse.settings import Settings
from trainer import decisions, registry
from trainer.decisions import Decision
from trainer.record import ModelRecord


def require_promotable(settings: Settings, version: str, reason: str) -> ModelRecord:
    """Return the record of a version that may be promoted by hand.

    Raises:
        InvalidInputError: No reason is given, there is no such version, or it is the champion
            already.
    """
    place = str(registry.folder(settings))
    if not reason.strip():
        raise InvalidInputError(
            "A promotion by hand has a reason, which is kept with it",
            where="--reason",
            remedy="say in a sentence why the model may take over",
        )
    record = registry.find(settings, version)
    if record is None:
        there = ", ".join(registry.versions(settings)) or "none"
        raise InvalidInputError(
            f"No model {version}",
            where=f"{place}; versions there: {there}",
            remedy="name one of these; `churn train` makes one of what is published",
        )
    if registry.champion_version(settings) == version:
        raise InvalidInputError(
            f"{version} is the champion already",
            where=place,
            remedy="nothing is left to do; `churn score` scores with it",
        )
    return record


def promote_by_hand(settings: Settings, version: str, reason: str) -> Decision:
    """Make the version the champion at the request of an operator.

    The operator's name, the time and the reason are recorded. Call it under the run lock.

    Raises:
        InvalidInputError: No reason is given, there is no such version, or it is the champion
            already.
    """
    require_promotable(settings, version, reason)
    before = decisions.read(registry.folder(settings) / version)
    user, time = commit_metadata.user() or "unknown", decisions.now()
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
    registry.promote(settings, version, "promote", reason.strip())
    return decision
