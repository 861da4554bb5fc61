"""Export everything that is stored about one customer, as JSON and as a page."""

import json
import zipfile
from datetime import UTC, datetime
from pathlib import Path

from churn.operations.personal_data import PLACES, Erasure
from churn.operations.subjects import require_subjects
from churn.reports.person_page import person_page
from lakehouse import audit_log
from lakehouse.amounts import format_number
from lakehouse.atomic_write import atomic_write
from lakehouse.audit_log import Action
from lakehouse.erased_customers import register_customers
from lakehouse.errors import InvalidInputError
from lakehouse.progress import Steps
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings

STEPS = 1
DATA, PAGE = "person.json", "person.html"


def export_person(settings: Settings, customer_id: str, out: Path, steps: Steps) -> str:
    """Write everything that is stored about a customer to a ZIP file.

    Args:
        settings: The settings of this CHURN_HOME.
        customer_id: The customer.
        out: The .zip file to write; private to its owner.
        steps: Progress display with `STEPS` steps.

    Returns:
        A message about the result.

    Raises:
        InvalidInputError: Nothing is stored about the customer, the file can't be written, or the
            domain's customers have no ids.
    """
    _require_writable(out)
    erasure = Erasure(settings, require_subjects([customer_id]), log=steps.log)
    with steps.step("find") as step:
        places = [
            {"place": place.name, "contents": place.contents, "records": place.read(erasure)}
            for place in PLACES
        ]
        count = sum(len(place["records"]) for place in places)
        step.outcome = format_number(count, "item")
    if not count:
        raise InvalidInputError(
            f"Nothing is stored about {customer_id!r}",
            where=str(settings.home),
            hint="check the id, as the workbook spells it",
        )
    exported_at = datetime.now(UTC).isoformat(timespec="seconds")
    person = {"customer_id": customer_id.strip(), "exported_at": exported_at, "places": places}
    audit_log.append(settings, Action.EXPORT, erasure.subjects.ids, what="person", file=str(out))
    with atomic_write(out) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(DATA, json.dumps(person, indent=1, ensure_ascii=False, default=str) + "\n")
        archive.writestr(PAGE, person_page(person, is_sample(settings)))
    filled = format_number(sum(bool(place["records"]) for place in places), "place")
    return f"{out}: {format_number(count, 'item')} of {filled}"


def record_objection(settings: Settings, customer_id: str) -> None:
    """Register that a customer objects to being listed; the id itself is not stored.

    Raises:
        InvalidInputError: The id is blank, the domain's customers have no ids, or the registry's
            key is missing or another one.
    """
    register_customers(settings, require_subjects([customer_id]).ids, "objections")


def _require_writable(out: Path) -> None:
    if out.exists() or not out.parent.is_dir():
        raise InvalidInputError(
            f"{out} exists already" if out.exists() else f"There is no folder {out.parent}",
            where=str(out),
            hint="name a new file in a folder that exists",
        )
