"""Apply a person's decision on a waiting model version, which Airflow has asked for."""

from churn.pipeline import commands
from churn.pipeline.airflow_steps import NothingToDoError
from lakehouse.progress import Steps
from lakehouse.settings import Settings
from trainer import decisions, registry


def find_waiting_version(settings: Settings) -> dict[str, str]:
    """Return the version that waits for a decision, and what the person needs to know.

    Raises:
        NothingToDoError: No version waits.
    """
    waiting = decisions.find_waiting(settings)
    if waiting is None:
        raise NothingToDoError("no version waits for a decision")
    versions = {"The version": waiting.version, "The champion": waiting.champion}
    lines = [f"{waiting.version} waits: {waiting.reason}."]
    for title, version in versions.items():
        record = registry.find(settings, version) if version else None
        if record is not None:
            metrics = record.metrics
            lines.append(
                f"{title}, {version}: ROC-AUC {metrics['roc_auc']:.3f}, Brier score "
                f"{metrics['brier']:.3f}, out of fold, on the extract of {record.extract_date}."
            )
    return {"version": waiting.version, "question": "\n\n".join(lines)}


def apply_decision(
    settings: Settings, version: str, is_promoted: bool, reason: str, user: str
) -> dict[str, str]:
    """Promote the version and score with it, or decline it; repeated, complete what is missing.

    Args:
        settings: The settings of this CHURN_HOME.
        version: The version that the person was asked about.
        is_promoted: Whether the person promotes it.
        reason: The person's reason.
        user: The person's name.

    Raises:
        NothingToDoError: Another decision was made meanwhile.
    """
    if is_promoted and registry.champion_version(settings) == version:
        # A try that was interrupted had promoted it.
        commands.score(settings, Steps(2))
        return {"champion": version}
    waiting = decisions.find_waiting(settings)
    if waiting is None or waiting.version != version:
        raise NothingToDoError(f"{version} no longer waits: another decision was made meanwhile")
    if is_promoted:
        return {"champion": commands.promote(settings, version, reason, Steps(4), user)}
    commands.decline(settings, version, reason, Steps(1), user)
    return {"declined": version}
