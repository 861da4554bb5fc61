"""Removal of Delta tables whose creation was interrupted: folders with files but no first commit.

Such a folder cannot be read as a table, and Delta refuses to create a table where files exist.
"""

from lakehouse.process import Log
from lakehouse.storage import Storage

# All tables of these schemas are Delta tables; in gold, only those with a log are.
DELTA_SCHEMAS = ("bronze", "silver", "audit")


def remove_uncommitted_tables(lake: Storage, log: Log) -> None:
    """Remove the folders of tables without a commit.

    Call it while no writer is active, before the next writer begins.
    """
    for schema in lake.list_folders():
        for table in lake.list_folders(schema.base_name):
            inside = {info.base_name for info in lake.list_under(table)}
            is_delta = schema.base_name in DELTA_SCHEMAS or "_delta_log" in inside
            # Delta names commits and checkpoints by version; files with other names are drafts.
            log_files = lake.list_under(table, "_delta_log")
            if is_delta and not any(info.base_name[0].isdecimal() for info in log_files):
                name = f"{schema.base_name}.{table.base_name}"
                log(f"removing what is left of {name}, never completed")
                lake.remove(table)
