"""Summarize what uv prints: `uv sync 2>&1 | python3 -m lakehouse.uv_progress`, as in the Makefile.

uv either lists every package that it installs, or nothing. This prints one line for each large
download, with its size and the sum so far, and passes on what is not such a list. It runs with the
machine's Python, before the environment exists.
"""

import re
import sys
from collections.abc import Iterable, Iterator

BEGINS = re.compile(r"^\s*(?:Downloading|Building) (\S+)(?: \(([\d.]+)([KMG])iB\)| @ .*)?$")
ENDS = re.compile(r"^\s*(?:Downloaded|Built) (\S+)(?: @ .*)?$")
# Lists of packages, and counts that mean nothing to a user.
LISTED = re.compile(r"^ [-+~] |^(Resolved|Prepared|Audited|Uninstalled|Bytecode compiled) |^Using ")
MEBIBYTES = {"K": 1 / 1024, "M": 1.0, "G": 1024.0}


def summarize(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines to print for lines of uv."""
    sizes: dict[str, float] = {}
    total = 0.0
    for line in map(str.rstrip, lines):
        if begin := BEGINS.match(line):
            name, amount, unit = begin.groups()
            sizes[name] = float(amount) * MEBIBYTES[unit] if amount else 0.0
            if sizes[name] >= 1:
                yield f"  downloading {name} ({sizes[name]:.0f} MiB)"
        elif end := ENDS.match(line):
            total += sizes.get(end[1], 0.0)
            if sizes.get(end[1], 0.0) >= 1:
                yield f"  downloaded {end[1]}; {total:.0f} MiB so far"
        elif line and not LISTED.match(line):
            yield f"  {line[0].lower()}{line[1:]}" if line.startswith("Installed ") else line


if __name__ == "__main__":
    for text in summarize(sys.stdin):
        print(text, flush=True)
