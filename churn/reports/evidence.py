"""Write the evidence of a model version: one page and the documents behind it, in one archive."""

import json
import zipfile
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from churn.reports import ro_crate
from churn.reports.bill_of_materials import read_bill_of_materials
from churn.reports.evidence_page import Evidence, evidence_page
from churn.reports.ro_crate import Part
from churn.reports.xlsx_output import require_writable, translate_write_errors
from lakehouse.atomic_write import atomic_write
from lakehouse.sample_home import is_sample
from lakehouse.settings import Settings
from trainer import decisions, full_evaluation, registry
from trainer.record import ModelRecord

PAGE = "evidence.html"
# Documents of a version that are part of its evidence, with what they are.
DOCUMENTS = {
    registry.RECORD: "The version's record: metrics, parameters, label, coefficients, origin",
    full_evaluation.FILE: "The full evaluation: intervals, slices, profit, behaviour",
    decisions.FILE: "The decision on the version's promotion, with the comparison it is based on",
}
BILL = "bom.cdx.json"


def write_evidence(settings: Settings, version: str | None, path: Path) -> str:
    """Write the evidence of a version, by default of the champion, and return a message.

    Raises:
        lakehouse.errors.InvalidInputError: There is no such version, or the file can't be written.
    """
    require_writable(path, ".zip")
    evidence = read_evidence(settings, version)
    place = registry.folder(settings) / evidence.record.version
    page = evidence_page(evidence, is_sample(settings)).encode()
    parts = {PAGE: Part(page, "text/html", "All of the evidence, for people")}
    parts |= {
        name: Part((place / name).read_bytes(), "application/json", DOCUMENTS[name])
        for name in evidence.documents
    }
    bill = json.dumps(evidence.bill, indent=1).encode()
    parts[BILL] = Part(bill, "application/json", "Bill of materials, as CycloneDX 1.6")
    _write_archive(path, evidence.record, parts)
    missing = "" if full_evaluation.FILE in parts else "; without intervals and slices: the version"
    missing += " was not evaluated in full (`churn evaluate`)" if missing else ""
    return f"evidence of {evidence.record.version}: {path}, page {PAGE}{missing}"


def read_evidence(settings: Settings, version: str | None) -> Evidence:
    """Return what is known about a version, by default the champion.

    Raises:
        lakehouse.errors.InvalidInputError: There is no such version, or no champion.
    """
    champion = registry.champion_version(settings)
    name = version or champion or registry.champion_or_error(settings).version
    record = registry.read_record(settings, name) if Path(name).name == name else None
    if record is None:
        raise registry.unknown_version_error(settings, name)
    place, history = registry.folder(settings) / name, registry.read_champion_history(settings)
    stored: dict[str, Any] = {registry.RECORD: json.loads((place / registry.RECORD).read_text())}
    evaluation, decision = full_evaluation.read(settings, name), decisions.read(place)
    if evaluation:
        stored[full_evaluation.FILE] = evaluation
    if decision:
        stored[decisions.FILE] = asdict(decision)
    changes = [asdict(each) for each in history.changes if each.version == name] if history else []
    return Evidence(record, stored, name == champion, changes, read_bill_of_materials())


def _write_archive(path: Path, record: ModelRecord, parts: Mapping[str, Part]) -> None:
    written = datetime.now(UTC)
    metadata = ro_crate.describe_archive(record, parts, written)
    files = {ro_crate.FILE: json.dumps(metadata, indent=1).encode()}
    files |= {name: part.content for name, part in parts.items()}
    with (
        translate_write_errors(path),
        atomic_write(path) as draft,
        zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, written.timetuple()[:6]), content, 8)
