"""Delta tables whose creation broke off: a folder with files, but without a first commit.

Nobody can read such a folder as a table, and Delta refuses to make a table where files lie.
"""

from lakehouse.process import Say
from lakehouse.storage import Storage

# Their tables are all Delta tables; in gold, those that have a log are.
DELTA_SCHEMAS = ("bronze", "silver", "audit")


def remove_uncommitted_tables(lake: Storage, say: Say) -> None:
    """Remove those folders. Call it while no writer is at work, before the next one begins."""
    for schema in lake.folders():
        for table in lake.folders(schema.base_name):
            inside = {each.base_name for each in lake.below(table)}
            is_delta = schema.base_name in DELTA_SCHEMAS or "_delta_log" in inside
            # Delta names commits and checkpoints by their version; what has another name is a draft
            log = lake.below(table, "_delta_log")
            if is_delta and not any(each.base_name[0].isdecimal() for each in log):
                name = f"{schema.base_name}.{table.base_name}"
                say(f"removing what is left of {name}, never completed")
                lake.remove(table)
