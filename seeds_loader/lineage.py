"""Describe the lineage of a load: the datasets it reads and writes."""

from lakehouse.lineage import Dataset, StepIO, file, table
from lakehouse.settings import Settings
from seeds_loader.load import LOADS, ROWS, Load
from seeds_loader.reader.extract import ROW_NUMBER, Extract


def ingest_io(settings: Settings, extract: Extract, loaded: Load) -> StepIO:
    """Return the lineage of a load: bronze has every contract column as it was read.

    A load that was already in bronze has no outputs.
    """
    columns = [name for name in extract.table.column_names if not name.startswith("_")]
    place = file(extract.path)
    workbook = Dataset(place.namespace, place.name, columns=columns)
    if not loaded.is_new:
        return StepIO([workbook])
    rows = table(settings, ROWS)
    return StepIO(
        [workbook],
        [
            Dataset(
                rows.namespace,
                rows.name,
                rows.table,
                [*columns, ROW_NUMBER],
                {name: [(workbook, name)] for name in columns},
            ),
            table(settings, LOADS),
        ],
    )
