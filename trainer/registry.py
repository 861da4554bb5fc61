"""Manage the model versions under `$CHURN_HOME/models`, and which of them is the champion.

`<version>/` contains `record.json` and, in `model/`, the Spark pipeline; the comparison with the
champion of that time; and, after the version was used for scoring, the boundaries of the deciles.
`champion.json` contains the champion's version, the previous champions, the versions that were
rolled back, and the user, time and reason of each change. A version is written under a hidden name
and renamed, so that readers see only complete versions.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from lakehouse import audit_log, commit_metadata
from lakehouse.atomic_write import atomic_write
from lakehouse.audit_log import Action
from lakehouse.errors import ChurnError, InvalidInputError
from lakehouse.near_matches import format_suggestion
from lakehouse.settings import Settings
from trainer import record as records
from trainer.parameters import Parameters
from trainer.record import ModelRecord

RECORD, CHAMPION = "record.json", "champion.json"
# Folder below the pipeline: the rows that the model was evaluated on, with its predictions.
OUT_OF_FOLD = "out_of_fold"
# Folder of the lake for the pipelines, if it is in an object store.
PIPELINES = "_models"
# How the champion changed: by a run's decision, by a person's command, by a person who moved
# MLflow's alias, or back to an earlier champion.
TRAIN, PROMOTE, ALIAS, ROLLBACK = "train", "promote", "alias", "rollback"


@dataclass(frozen=True)
class Change:
    """A change of the champion.

    Attributes:
        version: The version that became champion.
        time: Time of the change (UTC).
        user: User of the process that made the change; for `alias`, the user whom the version's tag
            in MLflow names, or "MLflow alias".
        how: `train`, `promote`, `alias` or `rollback`.
        reason: The reason.
    """

    version: str
    time: str
    user: str
    how: str
    reason: str


@dataclass(frozen=True)
class ChampionHistory:
    """The champion, and how it changed.

    Attributes:
        version: Version of the champion.
        before: Previous champions, the most recent one last.
        withdrawn: Versions that were rolled back, which can be promoted again only by hand.
        changes: All changes, the most recent one last; those from before they were recorded are
            missing.
    """

    version: str
    before: tuple[str, ...] = ()
    withdrawn: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()


def folder(settings: Settings) -> Path:
    """Return the folder of the versions."""
    return settings.home / "models"


def pipeline(settings: Settings, version: str, drafted: Path | None = None) -> str:
    """Return the path of a version's pipeline, or the path for that of a draft.

    The executors of a cluster can access only the lake. If the lake is in an object store, the
    pipeline is therefore stored there, below `_models`; readers do not access it before the record
    is published.
    """
    if settings.lake.folder:
        return str((drafted or folder(settings) / version) / "model")
    return settings.lake.join(PIPELINES, version).address


def version_of(
    extract_date: date, signature: str, parameters: Parameters, features: Sequence[str]
) -> str:
    """Return the version that this training set and these parameters result in.

    An example is `20251203-1a2b3c4d`.
    """
    identity = json.dumps([signature, parameters.to_json(), list(features)], sort_keys=True)
    return f"{extract_date:%Y%m%d}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def versions(settings: Settings) -> list[str]:
    """Return the names of all versions in order, without drafts."""
    return sorted(each.parent.name for each in folder(settings).glob(f"[!.]*/{RECORD}"))


def list_pipelines(settings: Settings) -> list[str]:
    """Return the versions with a pipeline; in an object store, also those not yet published."""
    if settings.lake.folder:
        return versions(settings)
    return sorted(each.base_name for each in settings.lake.list_folders(PIPELINES))


def require_version(settings: Settings, version: str) -> None:
    """Check that there is a version of this name.

    Raises:
        InvalidInputError: There is none.
    """
    if version not in versions(settings):
        raise unknown_version_error(settings, version)


def unknown_version_error(settings: Settings, version: str) -> InvalidInputError:
    """Return the error for a version that does not exist or is damaged."""
    there = versions(settings)
    return InvalidInputError(
        f"There is no model {version!r}",
        where=f"{folder(settings)}; versions there: {', '.join(there) or 'none'}",
        hint=f"{format_suggestion(version, there)}name one of these; `churn history champion` "
        "lists those that were champion"
        if there
        else "`churn run WORKBOOK` trains the first, or `churn train` where gold has data",
    )


def find(settings: Settings, version: str) -> ModelRecord | None:
    """Return the version's record, or None if the version is missing or damaged."""
    if not settings.storage(pipeline(settings, version)).exists():
        return None
    return read_record(settings, version)


def read_record(settings: Settings, version: str) -> ModelRecord | None:
    """Return the version's record, or None if it is missing or damaged.

    Unlike `find`, do not check that the pipeline exists.
    """
    try:
        return records.read((folder(settings) / version / RECORD).read_text())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def has_out_of_fold(settings: Settings, version: str) -> bool:
    """Return whether the rows that the version was evaluated on are stored."""
    return settings.storage(pipeline(settings, version)).join(OUT_OF_FOLD).exists()


@contextmanager
def draft(settings: Settings, version: str) -> Iterator[Path]:
    """Yield a folder for a version in preparation; it is deleted afterwards unless published.

    Call it under the run lock: other drafts are treated as left behind, and deleted.
    """
    place = folder(settings) / f".{version}.{os.getpid()}.new"
    remove_drafts(settings)
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def remove_drafts(settings: Settings) -> None:
    """Remove what killed trainings left, with the rows that they had predicted.

    Call it under the run lock.
    """
    for drafted in folder(settings).glob(".*.new"):
        shutil.rmtree(drafted, ignore_errors=True)


def publish(settings: Settings, drafted: Path, record: ModelRecord) -> None:
    """Make the drafted folder the version of the record.

    Call it under the run lock: a damaged version of that name is replaced.
    """
    (drafted / RECORD).write_text(records.write(record))
    target = folder(settings) / record.version
    shutil.rmtree(target, ignore_errors=True)
    os.replace(drafted, target)


def promote(
    settings: Settings, version: str, how: str = TRAIN, reason: str = "", user: str | None = None
) -> None:
    """Make the version the champion; write nothing if it already is.

    The callers are in `trainer.promotion` and `trainer.manual_promotion`, which decide whether the
    version may become the champion.
    """
    try:
        now = read_champion_history(settings)
    except (ValueError, KeyError, TypeError):  # a damaged file must not prevent a promotion
        now = None
    change = _change(version, how, reason, user)
    if now is None:
        _reign(settings, ChampionHistory(version, changes=(change,)))
    elif now.version != version:
        before = (*(each for each in now.before if each != version), now.version)
        withdrawn = tuple(each for each in now.withdrawn if each != version)
        _reign(settings, ChampionHistory(version, before, withdrawn, (*now.changes, change)))


def _change(version: str, how: str, reason: str, user: str | None = None) -> Change:
    time = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Change(version, time, commit_metadata.user() if user is None else user, how, reason)


def champion_or_error(settings: Settings) -> ModelRecord:
    """Return the champion's record.

    Raises:
        InvalidInputError: There is no champion yet.
        ChurnError: The champion's version is missing or damaged.
    """
    record = champion(settings)
    if record is None:
        there = versions(settings)
        raise InvalidInputError(
            "No model is champion" if there else "No model has been trained yet",
            where=f"{folder(settings)}{'; versions there: ' if there else ''}{', '.join(there)}",
            hint="`churn promote VERSION --reason TEXT` makes one of these champion, which is "
            "for a person to decide: its promotion.json says why"
            if there
            else "`churn run WORKBOOK`, or `churn train` where gold has data",
        )
    return record


def roll_back(settings: Settings, version: str | None = None) -> str:
    """Make an earlier champion the champion again, by default the last one, and return it.

    The replaced champion is withdrawn: no run promotes it again. Call it under the run lock.

    Raises:
        InvalidInputError: There is no earlier champion, or the named version does not exist.
    """
    target = find_rollback_target(settings, version)
    now = read_champion_history(settings)
    if now is not None and target != now.version:
        before = tuple(each for each in now.before if each != target)
        kept = (each for each in now.withdrawn if each not in (target, now.version))
        change = _change(target, ROLLBACK, f"{now.version} was rolled back")
        new = ChampionHistory(target, before, (*kept, now.version), (*now.changes, change))
        _reign(settings, new)
    return target


def find_rollback_target(settings: Settings, version: str | None = None) -> str:
    """Return the version that `roll_back` makes champion.

    Raises:
        InvalidInputError: There is no earlier champion, or the named version does not exist.
    """
    now = read_champion_history(settings)
    earlier = [each for each in now.before if find(settings, each)] if now else []
    target = version or (earlier[-1] if earlier else None)
    if version and find(settings, version) is None:
        raise unknown_version_error(settings, version)
    if now is None or target is None or find(settings, target) is None:
        champion_version = now.version if now else None
        others = [each for each in versions(settings) if each != champion_version]
        raise InvalidInputError(
            "There is no earlier champion to go back to",
            where=f"{folder(settings)}; other versions: {', '.join(others) or 'none'}",
            hint=_hint_rollback(others, champion_version),
        )
    return target


def _hint_rollback(others: Sequence[str], champion_version: str | None) -> str:
    if others:
        return "`churn rollback VERSION` with one of these"
    if champion_version:
        return "there is only the champion; a later `churn run` adds another"
    return "`churn run WORKBOOK` trains the first"


def read_champion_history(settings: Settings) -> ChampionHistory | None:
    """Return the champion and its predecessors, or None before the first training."""
    place = folder(settings) / CHAMPION
    if not place.exists():
        return None
    stored = json.loads(place.read_text())
    return ChampionHistory(
        str(stored["version"]),
        tuple(stored.get("before", ())),
        tuple(stored.get("withdrawn", ())),
        tuple(Change(**each) for each in stored.get("changes", ())),
    )


def _reign(settings: Settings, new: ChampionHistory) -> None:
    change = new.changes[-1]
    audit_log.append(
        settings, Action.PROMOTION, version=new.version, how=change.how, decided_by=change.user
    )
    with atomic_write(folder(settings) / CHAMPION) as draft:
        draft.write_text(json.dumps(asdict(new)))


def remove(settings: Settings, version: str) -> None:
    """Remove a version. Call it under the run lock."""
    place = folder(settings) / version
    # Removed first: without its record, a partly removed folder is not a version.
    (place / RECORD).unlink(missing_ok=True)
    model = settings.storage(pipeline(settings, version))
    for each in model.list_children():
        model.remove(each)
    shutil.rmtree(place, ignore_errors=True)


def champion_version(settings: Settings) -> str | None:
    """Return the champion's version, or None before the first training."""
    now = read_champion_history(settings)
    return now.version if now else None


def champion(settings: Settings) -> ModelRecord | None:
    """Return the champion's record, or None before the first training.

    Raises:
        ChurnError: The champion is named, and its version is missing or damaged.
    """
    version = champion_version(settings)
    if version is None:
        return None
    found = find(settings, version)
    if found is None:
        raise ChurnError(
            f"The champion {version} is missing or damaged",
            where=str(folder(settings) / version),
            hint="`churn train` makes it again where what it learned from is published still; "
            "else `churn rollback`, or `churn promote VERSION --reason TEXT`, names another one",
        )
    return found
