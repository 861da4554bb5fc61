"""Reads mutated workbooks, one after the other, and says of each how it went.

Called with the numbers of the first mutation and of the one behind the last. Writes a line of JSON
before each, [number], and after it, [number, outcome, detail, seconds, MiB at most so far]: who
started it knows where it died.
"""

import json
import re
import resource
import signal
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path

import pyarrow as pa
from mutations import Mutation, mutation, seeds
from readings import Cells, cells_of, same

from lakehouse.errors import InvalidInputError
from seeds_loader.contract import read_contract
from seeds_loader.reader.extract import EXTRA, ROW_NUMBER, Extract, read_extract
from seeds_loader.reader.file_format import detect_format
from seeds_loader.reader.sandbox import MEMORY_BYTES

Row = dict[str, str | None]


def main(first: int, behind: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, resource.RLIM_INFINITY))
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, behind):
            print(json.dumps([number]), flush=True)
            # what never ends is ended
            signal.alarm(300)
            start = time.process_time()
            outcome, detail = try_one(mutation(number), Path(folder))
            seconds = round(time.process_time() - start, 2)
            peak = peak_mebibytes()
            print(json.dumps([number, outcome, detail, seconds, peak]), flush=True)


def peak_mebibytes() -> int:
    """The most memory that this process has had; `getrusage` begins with that of its parent."""
    status = Path("/proc/self/status").read_text()
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(peak) // 1024


def try_one(broken: Mutation, folder: Path) -> tuple[str, str]:
    """How reading ends: loaded (compared with another reading), unproven, refused, or a fault."""
    path = write(broken, folder)
    try:
        extract = read_extract(path, None, lambda _: None)
    except InvalidInputError as fault:
        if path.name not in fault.message + fault.where or not fault.hint:
            return "fault", f"no place or no hint: {fault}"
        return "refused", fault.message
    except Exception:
        return "fault", traceback.format_exc()
    if fault := broken_promise(extract):
        return "fault", fault
    read = rows_of(extract)
    if broken.may_change is not None:
        changed = differences(read, original(broken.seed))
        if len(changed) > broken.may_change:
            return "fault", f"cells that were not touched differ: {changed[:3]}"
        return "loaded", ""
    said = cells_of(broken.content, detect_format(path), extract.sheet)
    if said is None:
        return "unproven", ""
    if fault := unlike(extract, read, said):
        return "fault", fault
    return "loaded", ""


def write(broken: Mutation, folder: Path) -> Path:
    path = folder / f"mutated{Path(broken.seed).suffix}"
    path.write_bytes(broken.content)
    return path


@cache
def original(seed: str) -> dict[int, Row]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / seed
        path.write_bytes(seeds()[seed])
        return rows_of(read_extract(path, None, lambda _: None))


def rows_of(extract: Extract) -> dict[int, Row]:
    return {
        row.pop(ROW_NUMBER): {**dict(row.pop(EXTRA)), **row} for row in extract.table.to_pylist()
    }


def broken_promise(extract: Extract) -> str:
    """What of Extract's description does not hold; empty if all does."""
    table = extract.table
    names = read_contract().names
    numbers = table[ROW_NUMBER].to_pylist()
    table.validate(full=True)
    if table.column_names != [*names, EXTRA, ROW_NUMBER]:
        return f"columns {table.column_names}"
    if any(table[name].type != pa.string() for name in names) or table[EXTRA].null_count:
        return "types"
    if not numbers or numbers != sorted(set(numbers)) or numbers[0] <= extract.header_row:
        return "row numbers"
    blank = [number for number, row in rows_of(extract).items() if not any(row.values())]
    return f"blank rows {blank}" if blank else ""


def differences(read: dict[int, Row], said: dict[int, Row]) -> list[str]:
    return [
        f"row {number}, {name}: {read.get(number, {}).get(name)!r} for {value!r}"
        for number in sorted({*read, *said})
        for name in {**said.get(number, {}), **read.get(number, {})}
        if not same(read.get(number, {}).get(name), value := said.get(number, {}).get(name))
    ]


def unlike(extract: Extract, read: dict[int, Row], said: Cells) -> str:
    """Where the extract and another reading of the same file part; empty where they agree."""
    contract = read_contract()
    header: dict[int, str] = {}
    for (row, column), text in sorted(said.items()):
        if row == extract.header_row:
            known = contract.match(text)
            title = known.name if known else text.strip()
            number, name = 1, title
            while name in header.values():
                number += 1
                name = f"{title}_{number}"
            header[column] = name
    expected: dict[int, Row] = {}
    for (row, column), text in said.items():
        if row > extract.header_row:
            expected.setdefault(row, {})
            if column in header:
                expected[row][header[column]] = text
    # what stands below no header is named by the reader; that it is there is enough
    named = {*header.values(), *contract.names}
    pruned = {
        number: {name: value for name, value in row.items() if name in named}
        for number, row in read.items()
    }
    if pruned.keys() != expected.keys():
        return f"rows {sorted(pruned.keys() ^ expected.keys())[:5]}"
    return "; ".join(differences(pruned, expected)[:3])


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
