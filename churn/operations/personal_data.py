"""Declare every place that stores data of a customer: how to read it there, and how to erase it.

`churn forget` and `churn person` use this list, so that what the one erases the other exports. A
test compares the list with a search through all bytes of a home.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pyarrow.compute as pc

from churn.operations.erase_text import READABLE, erase_from_file, find_in_file
from churn.operations.subjects import Subjects
from churn.provenance.customer import read_online_customers
from churn.provenance.scratch_home import FOLDER as SCRATCH
from feature_repo.online.erase import erase_online, rewrite_store_files
from lakehouse import online_store, spark_process
from lakehouse.atomic_write import remove_drafts
from lakehouse.delta_rewrite import change_delta_table
from lakehouse.lake_files import find_tables, is_delta, locate_table, read_rows
from lakehouse.parquet_rewrite import RowChange, change_parquet_files
from lakehouse.process import Log, remove_scratch
from lakehouse.readers import published_copy
from lakehouse.settings import Settings
from lakehouse.storage import Storage
from seeds_loader import landing_zone
from seeds_loader.contract import read_contract
from seeds_loader.staging import FOLDER as STAGED
from trainer import deciles, registry

CUSTOMER = "customer_id"
GOLD = "gold.customer_features"
ONLINE = "online store"
Record = dict[str, Any]


@dataclass(frozen=True)
class Erasure:
    """What a request is about.

    Attributes:
        settings: The settings of this CHURN_HOME.
        subjects: The customers.
        customers: Number of remaining customers by batch id, of the publications that they were in.
        log: Callback for messages, which must not name a customer.
    """

    settings: Settings
    subjects: Subjects
    customers: Mapping[str, int] = field(default_factory=dict)
    log: Log = print


@dataclass(frozen=True)
class Place:
    """A place with data of customers.

    Attributes:
        name: Its name, in messages and in exports.
        contents: What it has of a customer.
        read: Return what it has of the customers, as objects of JSON types.
        erase: Remove the customers; return how many items were changed. Repeatable.
    """

    name: str
    contents: str
    read: Callable[[Erasure], list[Record]]
    erase: Callable[[Erasure], int]


# --- tables ------------------------------------------------------------------


def read_table(table: str, erasure: Erasure) -> list[Record]:
    """Return the customers' rows of a table, those of its earlier versions too."""
    place = locate_table(erasure.settings.lake, table)
    return [
        {**row.values, "is_current": row.is_current}
        for key in list_keys()
        for row in read_rows(place, key, erasure.subjects.match)
    ]


def erase_table(table: str, erasure: Erasure) -> int:
    """Remove the customers' rows from all versions of a table; return the number of files."""
    place = locate_table(erasure.settings.lake, table)
    subjects = erasure.subjects
    changes = [RowChange(key, subjects.match) for key in list_keys()]
    if is_delta(place):
        return sum(change_delta_table(place, each, subjects.includes) for each in changes)
    return sum(change_parquet_files(place, each) for each in changes)


def list_keys() -> set[str]:
    """Return the columns with ids of customers: the workbook's, and that of all later tables."""
    return {CUSTOMER, read_contract().id}


def list_other_tables(settings: Settings) -> list[str]:
    """Return the tables of the lake that the project does not declare as having customers."""
    known = {each.name for each in TABLES}
    return [table for table in find_tables(settings.lake) if table not in known]


def _read_other_tables(erasure: Erasure) -> list[Record]:
    return [
        {"table": table, **record}
        for table in list_other_tables(erasure.settings)
        for record in read_table(table, erasure)
    ]


def _erase_other_tables(erasure: Erasure) -> int:
    return sum(erase_table(table, erasure) for table in list_other_tables(erasure.settings))


def _read_copies(erasure: Erasure) -> list[Record]:
    return [
        {"table": table, **row.values}
        for table in published_copy.list_copies(erasure.settings)
        for row in read_rows(
            published_copy.locate_copy(erasure.settings, table), CUSTOMER, erasure.subjects.match
        )
    ]


def _erase_copies(erasure: Erasure) -> int:
    """Remove the copies as a whole: their ids may be pseudonyms."""
    copies = published_copy.list_copies(erasure.settings)
    published_copy.remove(erasure.settings)
    return len(copies)


def _table(name: str, contents: str) -> Place:
    return Place(name, contents, partial(read_table, name), partial(erase_table, name))


TABLES = (
    _table("bronze.telco_customers", "rows of workbooks"),
    _table("silver.rejected_rows", "rejected rows, with reasons"),
    _table("silver.customers", "cleaned rows"),
    _table("audit.customer_features", "features of the loads evaluated last"),
    _table("audit.churn_labels", "labels of the loads evaluated last"),
    _table(GOLD, "published features"),
    _table("gold.churn_labels", "published labels"),
    _table("gold.churn_scores", "scores and their reasons"),
    _table("bronze.campaign_members", "campaigns that the customer was drawn for"),
    _table("bronze.campaign_outcomes", "what the team recorded of its calls"),
)


# --- models ------------------------------------------------------------------


def _out_of_fold(settings: Settings) -> Iterator[tuple[str, Storage]]:
    for version in registry.list_pipelines(settings):
        place = settings.storage(registry.pipeline(settings, version)).join(registry.OUT_OF_FOLD)
        if place.exists():
            yield version, place


def _read_out_of_fold(erasure: Erasure) -> list[Record]:
    return [
        {"model": version, **row.values}
        for version, place in _out_of_fold(erasure.settings)
        for row in read_rows(place, CUSTOMER, erasure.subjects.match)
    ]


def _erase_out_of_fold(erasure: Erasure) -> int:
    change = RowChange(CUSTOMER, erasure.subjects.match)
    return sum(change_parquet_files(place, change) for _, place in _out_of_fold(erasure.settings))


def _deciles(settings: Settings) -> Iterator[tuple[Path, deciles.Deciles]]:
    for version in registry.versions(settings):
        folder = registry.folder(settings) / version
        stored = deciles.read(folder)
        if stored is not None:
            yield folder, stored


def _read_deciles(erasure: Erasure) -> list[Record]:
    return [
        {"model": folder.name, "extract_date": stored.extract_date, "last_of_decile": last.decile}
        for folder, stored in _deciles(erasure.settings)
        for last in stored.boundaries
        if erasure.subjects.includes(last.customer_id)
    ]


def _erase_deciles(erasure: Erasure) -> int:
    """Replace the customers by the customer before, so that all others have the same decile."""
    changed = 0
    for folder, stored in _deciles(erasure.settings):
        customers = erasure.customers.get(stored.batch_id, stored.customers)
        boundaries = tuple(
            replace(last, customer_id=_find_before(erasure, stored, last.customer_id))
            if erasure.subjects.includes(last.customer_id)
            else last
            for last in stored.boundaries
        )
        after = replace(stored, customers=customers, boundaries=boundaries)
        if after != stored:
            deciles.write(folder, after)
            changed += 1
    return changed


def _find_before(erasure: Erasure, stored: deciles.Deciles, customer_id: str) -> str:
    """Return the next lower id of the extract, or an empty one: ids decide between equal risks."""
    place = locate_table(erasure.settings.lake, GOLD).join(f"extract_date={stored.extract_date}")
    rows = read_rows(place, CUSTOMER, lambda ids: pc.less(ids, customer_id))
    ids = (row.values[CUSTOMER] for row in rows)
    return max((each for each in ids if not erasure.subjects.includes(each)), default="")


# --- online store ------------------------------------------------------------


def _read_online(erasure: Erasure) -> list[Record]:
    ids = sorted(erasure.subjects.ids)
    found = read_online_customers(erasure.settings, ids, erasure.log)
    return [{CUSTOMER: each, **online} for each, online in (found or {}).items()]


def _erase_online(erasure: Erasure) -> int:
    address = online_store.ensure_running(erasure.settings, erasure.log)
    with address.client() as client:
        removed = erase_online(client, erasure.subjects.ids, erasure.customers)
        for warning in rewrite_store_files(client):
            erasure.log(f"warning: {warning}")
    return removed


# --- files -------------------------------------------------------------------


def _readable_files(settings: Settings, folders: tuple[str, ...]) -> Iterator[Path]:
    for name in folders:
        for path in sorted((settings.home / name).rglob("*")):
            if path.is_file() and not path.is_symlink() and _is_readable(path):
                yield path


def _is_readable(path: Path) -> bool:
    return any(suffix.lower() in READABLE for suffix in path.suffixes)


def _read_files(folders: tuple[str, ...], erasure: Erasure) -> list[Record]:
    return [
        {"file": str(path.relative_to(erasure.settings.home)), "text": text}
        for path in _readable_files(erasure.settings, folders)
        for text in find_in_file(path, erasure.subjects)
    ]


def _erase_files(folders: tuple[str, ...], erasure: Erasure) -> int:
    files = _readable_files(erasure.settings, folders)
    return sum(erase_from_file(path, erasure.subjects) for path in files)


def _files(name: str, contents: str, *folders: str) -> Place:
    return Place(name, contents, partial(_read_files, folders), partial(_erase_files, folders))


def _erase_scratch(erasure: Erasure) -> int:
    """Remove temporary files of the stopped Spark server and of processes that were killed."""
    spark = spark_process.service(erasure.settings)
    if spark.find() is None:
        remove_scratch(spark.scratch)
    remove_drafts(erasure.settings.home)
    registry.remove_drafts(erasure.settings)
    landing_zone.remove_drafts(erasure.settings)
    staged = erasure.settings.lake.join(STAGED)
    if staged.exists():
        staged.files.delete_dir(staged.root)
    for left in (erasure.settings.home / SCRATCH).glob("*"):
        if not psutil.pid_exists(int(left.name)):  # of a `churn reproduce` that was killed
            shutil.rmtree(left, ignore_errors=True)
    return 0


PLACES: tuple[Place, ...] = (
    *TABLES,
    Place(
        "other tables",
        "tables of the lake that the project does not declare",
        _read_other_tables,
        _erase_other_tables,
    ),
    Place(
        "copies for readers",
        "published rows without personal columns; written again by the next run",
        _read_copies,
        _erase_copies,
    ),
    Place(
        "out-of-fold rows",
        "rows that model versions were evaluated on",
        _read_out_of_fold,
        _erase_out_of_fold,
    ),
    Place(
        "decile boundaries",
        "the last customer of each decile of a model version",
        _read_deciles,
        _erase_deciles,
    ),
    _files("workbooks", "received and generated workbooks", "landed", "landing", "sample"),
    _files("runs", "reports and lists of runs, lists of campaigns", "runs", "campaigns"),
    _files("site", "copies of reports and lists, pages", "site"),
    _files("logs", "lines of log files", "logs", "airflow"),
    _files("lineage", "events and texts of MLflow", "lineage", "mlflow"),
    _files("dbt", "compiled statements", "dbt"),
    Place(ONLINE, "online features, in Redis and its files", _read_online, _erase_online),
    Place(
        "temporary files",
        "copies of rows while the Spark server runs; not readable",
        lambda _: [],
        _erase_scratch,
    ),
)
