"""Read a workbook in a separate process with bounded resources: the loader's entry point.

Reading runs native code that trusts the file: one cell at the end of a sheet, or one wrong length,
can make it request all memory, abort, or never finish. In a separate process this fails the
workbook, not the command (docs/decisions/0005-reader-process.md).
"""

import json
import os
import resource
import signal
import subprocess
import sys
import traceback
import unicodedata
from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from lakehouse.errors import ChurnError, InvalidInputError
from seeds_loader.reader.any_table import MIN_ROWS, read_any_table
from seeds_loader.reader.extract import Extract, read_extract
from seeds_loader.source_format import UNSTATED, SourceFormat

__all__ = ["Extract", "read_unknown_workbook", "read_workbook"]

# A million customers, 90 MB on disk, need 1.6 GB. A small file has no reason to need that.
MEMORY_BYTES = 700 * 1024**2
MEMORY_PER_BYTE = 24
CPU_SECONDS = 40
CPU_SECONDS_PER_BYTE = 1 / 1024**2

MESSAGE_CHARACTERS = 1_000
# Control, format (including those that change the direction of writing), surrogate, line
# separators.
UNPRINTABLE_CATEGORIES = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))


def read_workbook(  # long: its arguments, each with a line
    path: Path,
    sheet: str | None = None,
    progress: Callable[[str], None] | None = None,
    source_format: SourceFormat = UNSTATED,
    labelled: bool = True,
    tolerant: bool = False,
) -> Extract:
    """Read the sheet that meets the contract from an .xlsx, .xls or .csv file.

    Args:
        path: The file.
        sheet: The sheet's name; None to search all sheets.
        progress: Called with a line of text for each step that may take seconds.
        source_format: How the file writes text; what it leaves open is as the contract declares it.
        labelled: If false, the contract is the one without the label: a column of that name is then
            an extra column.
        tolerant: If true, amounts that are not plain numbers cause a warning instead of a refusal:
            their texts stay as they are, and the gate rejects them.

    Raises:
        InvalidInputError: Anything prevents the file from being read completely and correctly, or
            reading needs far more memory or time than is plausible for a file of this size. The
            error has the place and the hint.
    """
    options = {"labelled": labelled, "tolerant": tolerant}
    return _read(path, sheet, progress, source_format, options)


def read_unknown_workbook(
    path: Path,
    sheet: str | None = None,
    progress: Callable[[str], None] | None = None,
    source_format: SourceFormat = UNSTATED,
    min_rows: int = MIN_ROWS,
) -> Extract:
    """Read the largest table of a workbook that no contract describes yet.

    The arguments are those of `read_workbook`; a table has at least `min_rows` rows.

    Raises:
        InvalidInputError: The file can't be read, has no table, or has several of similar size.
    """
    return _read(path, sheet, progress, source_format, {"any_table": True, "min_rows": min_rows})


def _read(
    path: Path,
    sheet: str | None,
    progress: Callable[[str], None] | None,
    source_format: SourceFormat,
    options: dict[str, Any],
) -> Extract:
    _require_utf8(path)
    # -P: modules in the working directory must not be imported.
    options = {"sheet": sheet, "source_format": asdict(source_format), **options}
    command = [sys.executable, "-P", "-m", __name__, str(path), json.dumps(options)]
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as child:
        assert child.stdout is not None
        try:
            for line in child.stdout:
                kind, content = json.loads(line)
                if kind == "extract":
                    return _extract(path, content, child.stdout)
                if kind == "say":
                    if progress:
                        progress(printable(content))
                    continue
                raise _read_error(kind, content)
        except (EOFError, json.JSONDecodeError):
            # The process exited in the middle of its answer.
            pass
        finally:
            child.kill()
    raise _process_ended_error(path, child.returncode)


def printable(text: str) -> str:
    """Return text from a file, safe for a terminal: one bounded line, no control characters."""
    if len(text) > MESSAGE_CHARACTERS:
        half = MESSAGE_CHARACTERS // 2
        text = f"{text[:half]} … {text[-half:]}"
    return "".join(
        character.encode("unicode_escape").decode()
        if unicodedata.category(character) in UNPRINTABLE_CATEGORIES
        else character
        for character in text
    )


def _require_utf8(path: Path) -> None:
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        name = printable(str(path))
        raise InvalidInputError(
            f"the path of {printable(path.name)} holds bytes that are not UTF-8",
            where=name,
            hint="rename the file, and the folder it is in if that is where they are",
        ) from error


def _extract(path: Path, content: dict[str, Any], rows: IO[bytes]) -> Extract:
    saved_at = content["saved_at"]
    try:
        with pa.ipc.open_stream(rows) as stream:
            table = stream.read_all()
    except (pa.ArrowInvalid, OSError) as error:
        raise EOFError from error
    return Extract(
        path=path,
        sha256=content["sha256"],
        sheet=content["sheet"],
        table=table,
        saved_at=datetime.fromisoformat(saved_at) if saved_at else None,
        header_row=content["header_row"],
        format=SourceFormat(**content["format"]),
        choices=content["choices"],
        is_sample=content["is_sample"],
    )


def _read_error(kind: str, content: list[str]) -> Exception:
    if kind == "bug":
        return RuntimeError(f"the reader failed:\n{content[0]}")
    what, where, hint = map(printable, content)
    return {"unusable": InvalidInputError, "fault": ChurnError}[kind](what, where=where, hint=hint)


def _process_ended_error(path: Path, code: int) -> InvalidInputError:
    """Return the error for a reader process that exited without a result or an error."""
    if code == -signal.SIGXCPU:
        why = "reading it takes longer than any workbook of its size should"
    else:
        why = (
            "reading it takes far more memory than a workbook of its size should, or is interrupted"
        )
    return InvalidInputError(
        f"{printable(path.name)} is damaged, or claims far more than it holds: {why}",
        where=printable(str(path)),
        hint="open it in Excel, delete the rows and columns beyond the table on every sheet "
        "(Ctrl+End shows the last cell), and save it again",
    )


def _run_child(path: Path, asked: str, out: IO[bytes]) -> None:
    """Read the file and write lines of JSON, each [kind, content]; the rows follow `extract`.

    `asked` is a JSON object of the further arguments of `read_extract`. This runs in the reader
    process, whose limits are its own.
    """

    def send(kind: str, content: object) -> None:
        out.write(json.dumps([kind, content]).encode() + b"\n")
        out.flush()

    try:
        options = json.loads(asked)
        stated = SourceFormat(**options.pop("source_format"))
        read = read_any_table if options.pop("any_table", False) else read_extract
        extract = read(path, log=lambda text: send("say", text), stated=stated, **options)
    except InvalidInputError as error:
        send("unusable", [error.message, error.where, error.hint])
    except ChurnError as error:
        send("fault", [error.message, error.where, error.hint])
    except (MemoryError, pa.ArrowMemoryError):
        # Abort, as native code does when an allocation fails.
        os.abort()
    except Exception:
        send("bug", [traceback.format_exc()])
    else:
        send(
            "extract",
            {
                "sha256": extract.sha256,
                "sheet": extract.sheet,
                "saved_at": extract.saved_at.isoformat() if extract.saved_at else None,
                "header_row": extract.header_row,
                "format": asdict(extract.format),
                "choices": extract.choices,
                "is_sample": extract.is_sample,
            },
        )
        with pa.ipc.new_stream(out, extract.table.schema) as stream:
            stream.write_table(extract.table)


class _WithoutPandas(MetaPathFinder):
    """Hide pandas: pyarrow imports it if it is installed, which takes longer than reading does."""

    def find_spec(self, name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError(name=name)


def _limit_resources(path: Path) -> None:
    """Limit the resources of this process by the size of the file; core files are not used."""
    size = path.stat().st_size if path.is_file() else 0
    seconds = int(CPU_SECONDS + size * CPU_SECONDS_PER_BYTE)
    for what, bound in (
        (resource.RLIMIT_DATA, MEMORY_BYTES + size * MEMORY_PER_BYTE),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_CORE, 0),
    ):
        _, most = resource.getrlimit(what)
        bound = bound if most == resource.RLIM_INFINITY else min(bound, most)
        resource.setrlimit(what, (bound, most))


if __name__ == "__main__":
    sys.meta_path.insert(0, _WithoutPandas())
    workbook = Path(sys.argv[1])
    _limit_resources(workbook)
    _run_child(workbook, sys.argv[2], sys.stdout.buffer)
