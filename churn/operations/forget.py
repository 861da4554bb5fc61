"""Erase customers from every place of a home, and keep them erased.

The order makes every call repeatable: the registry first, so that no load brings the customers
back; then the plan, which refuses all other writers; then counts and places; the plan is removed
last.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from churn.operations.backup_record import list_recorded_backups
from churn.operations.erasure_plan import (
    ErasurePlan,
    complete_plan,
    correct_counts,
    make_plan,
    read_interrupted_plan,
    write_plan,
)
from churn.operations.personal_data import ONLINE, PLACES, Erasure, list_keys
from churn.operations.reader_access import refresh_and_start
from churn.operations.subjects import Subjects, make_subjects, require_subjects
from lakehouse import audit_log, spark_process, spark_server
from lakehouse.amounts import format_number
from lakehouse.atomic_write import atomic_write
from lakehouse.audit_log import Action
from lakehouse.erased_customers import hash_id, read_erased_customers, register_customers
from lakehouse.errors import ChurnError
from lakehouse.lake_files import find_tables, locate_table, read_rows
from lakehouse.process import Log
from lakehouse.progress import Steps
from lakehouse.readers import server as readers_server
from lakehouse.run_lock import run_lock
from lakehouse.run_lock_file import erasing_file
from lakehouse.settings import Settings

STEPS = 4
FRESH_SERVER = "restarting the Spark server, whose memory has the tables as they were"


@dataclass(frozen=True)
class Forgotten:
    """Result of an erasure.

    Attributes:
        customers: Number of customers.
        found: Number of items by place: rows, lines, or entries that were found there.
        remaining: The same after the erasure.
        hashes: The customers in the registry.
        backups: Backups that were made before, and exist.
        rows: Number of rows removed from the current version of each table.
    """

    customers: int
    found: Mapping[str, int]
    remaining: Mapping[str, int]
    hashes: Sequence[str]
    backups: Sequence[str]
    rows: Mapping[str, int]


def find_subjects(settings: Settings, customer_ids: Sequence[str], steps: Steps) -> Forgotten:
    """Return what an erasure would find, without changing anything."""
    subjects = require_subjects(customer_ids)
    with steps.step("find") as step:
        found = _count(Erasure(settings, subjects, log=steps.log))
        step.outcome = format_number(sum(found.values()), "item")
    backups = list_recorded_backups(settings)
    return Forgotten(len(subjects.ids), found, found, (), backups, {})


def forget(settings: Settings, customer_ids: Sequence[str], steps: Steps) -> Forgotten:
    """Erase customers, or complete an interrupted erasure.

    Args:
        settings: The settings of this CHURN_HOME.
        customer_ids: The customers; none, to complete what was interrupted.
        steps: Progress display with `STEPS` steps.

    Returns:
        What was erased.

    Raises:
        InvalidInputError: No customer is given, and no erasure was interrupted.
        UnavailableError: The online store does not respond, or another run has the lock.
        ChurnError: Something of a customer remains.
    """
    if customer_ids or not erasing_file(settings).exists():
        require_subjects(customer_ids)
    with run_lock(settings, "churn forget", steps.log, erases=True):
        before = read_interrupted_plan(settings)
        if before is not None:
            steps.log("an erasure was interrupted here; completing it first")
            outcome = _erase(settings, before, steps)
        if customer_ids or before is None:
            subjects = require_subjects(customer_ids)
            # Also of customers of whom nothing is stored: their ids are registered.
            audit_log.append(settings, Action.ERASURE, sorted(subjects.ids))
            register_customers(settings, subjects.ids)
            plan = make_plan(settings, subjects, find_tables(settings.lake))
            write_plan(settings, plan)
            outcome = _erase(settings, plan, steps)
    return outcome


def _erase(settings: Settings, plan: ErasurePlan, steps: Steps) -> Forgotten:
    """Erase the plan's customers from all places, and check that nothing remains."""
    erasure = Erasure(settings, plan.subjects, plan.customers, steps.log)
    with steps.step("find") as step:
        found = _count(erasure)
        step.outcome = (
            f"{format_number(sum(found.values()), 'item')} in "
            f"{format_number(sum(map(bool, found.values())), 'place')}"
        )
    was_running = _stop_server(settings)
    had_readers = readers_server.service(settings).stop()
    with steps.step("erase") as step:
        erase_places(settings, plan, erasure)
        step.outcome = "from all places"
    with steps.step("check") as step:
        remaining = _count(erasure)
        _require_none(remaining)
        step.outcome = "nothing remains"
    with steps.step("server") as step:
        step.outcome = _start_server(settings, was_running, steps)
        if had_readers and was_running:
            refresh_and_start(settings, steps.log)
    complete_plan(settings)
    registered = read_erased_customers(settings)
    hashes = [hash_id(registered.key, each) for each in plan.ids]
    backups = list_recorded_backups(settings)
    return Forgotten(len(plan.ids), found, remaining, hashes, backups, plan.rows)


def erase_restored(settings: Settings, log: Log) -> Mapping[str, int]:
    """Erase registered customers from files that were restored and that no server has read yet.

    Args:
        settings: The settings of this CHURN_HOME.
        log: Callback for messages.

    Returns:
        The number of rows removed from each table.

    Raises:
        InvalidInputError: The registry's key is missing or another one.
    """
    subjects = _find_registered(settings)
    if not subjects.ids:
        return {}
    plan = make_plan(settings, subjects, find_tables(settings.lake))
    log(f"customers who were erased and are left out: {len(subjects.ids):,}")
    erase_places(settings, plan, Erasure(settings, subjects, plan.customers, log), online=False)
    return plan.rows


def _find_registered(settings: Settings) -> Subjects:
    """Return the registered customers that tables of the lake have."""
    erased = read_erased_customers(settings)
    if not erased.hashes:
        return Subjects(frozenset())
    return make_subjects(
        row.values[key]
        for table in find_tables(settings.lake)
        for key in list_keys()
        for row in read_rows(locate_table(settings.lake, table), key, erased.match)
    )


def erase_places(
    settings: Settings, plan: ErasurePlan, erasure: Erasure, online: bool = True
) -> None:
    """Correct the counts of the tables, and erase the customers from all places.

    Args:
        settings: The settings of this CHURN_HOME.
        plan: The corrected counts.
        erasure: The customers.
        online: Whether from the online store too; after a restore, it is filled later.
    """
    correct_counts(settings, plan)
    for place in PLACES:
        if online or place.name != ONLINE:
            place.erase(erasure)


def _count(erasure: Erasure) -> dict[str, int]:
    return {place.name: len(place.read(erasure)) for place in PLACES}


def _require_none(remaining: Mapping[str, int]) -> None:
    left = [name for name, count in remaining.items() if count]
    if left:
        raise ChurnError(
            f"Data of a customer remains: {', '.join(left)}",
            where="CHURN_HOME",
            hint="stop other programs that write there, then repeat `churn forget`",
        )


def _stop_server(settings: Settings) -> bool:
    """Stop the Spark server of this machine; return whether one ran.

    It caches tables, and its temporary files have their rows.
    """
    is_running = spark_process.find(settings) is not None
    if not settings.spark_is_elsewhere:
        spark_process.service(settings).stop()
    return is_running


def _start_server(settings: Settings, was_running: bool, steps: Steps) -> str:
    """Start the server again if it ran, or make the one on another machine start again."""
    if not was_running:
        return "none ran"
    if settings.spark_is_elsewhere:
        spark_server.restart(settings, steps.log, FRESH_SERVER)
    else:
        spark_server.ensure_running(settings, steps.log)
    return "started again"


def format_forgotten(forgotten: Forgotten, dry_run: bool) -> list[str]:
    """Format the result as lines of text, without an id."""
    verb = "would be erased" if dry_run else "erased"
    lines = [f"{name}: {count:,}" for name, count in forgotten.found.items() if count]
    is_found = bool(lines)
    if not is_found:
        lines.append("nothing is stored of these customers: check the spelling of the ids")
    for address in forgotten.backups:
        lines.append(
            f"backup {address} may contain them: `churn restore` leaves them out; remove it when "
            "you no longer need it"
        )
    if not is_found:
        ids = format_number(forgotten.customers, "id")
        registered = f"; {ids} registered, to be left out of later loads"
        return [*lines, f"0 customers {verb}{'' if dry_run else registered}"]
    return [*lines, f"{format_number(forgotten.customers, 'customer')} {verb}"]


def write_proof(forgotten: Forgotten, path: Path) -> None:
    """Write a record of the erasure that names no customer, only their hashes."""
    content: dict[str, Any] = {
        "erased_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "customers": list(forgotten.hashes),
        "places": [
            {
                "place": place.name,
                "contents": place.contents,
                "found": forgotten.found[place.name],
                "remaining": forgotten.remaining[place.name],
            }
            for place in PLACES
        ],
        "backups": list(forgotten.backups),
    }
    with atomic_write(path) as draft:
        draft.write_text(json.dumps(content, indent=1) + "\n")
