"""Suggest existing names for one that does not exist: a typing error, another case or ending."""

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from lakehouse.errors import InvalidInputError

# At most so many entries of a folder are compared, since each takes time.
MOST_ENTRIES = 5000
# Length from which the beginning of a name identifies it.
SHORTEST = 3
# From this similarity on, a name is a typing error: with less, `version` would suggest `person`.
SIMILARITY = 0.78


def find_near_matches(name: str, names: Iterable[str], count: int = 3) -> list[str]:
    """Return the names most similar to `name`, the nearest first, whatever their case.

    Args:
        name: The name that does not exist.
        names: The existing names.
        count: Maximum number of names to return.
    """
    by_folded: dict[str, list[str]] = {}
    for each in names:
        # The dashes of options would make short ones similar.
        by_folded.setdefault(each.casefold().lstrip("-"), []).append(each)
    wanted = name.strip().casefold().lstrip("-")
    is_long_enough = len(name.strip()) >= SHORTEST
    # An abbreviation is not similar to a long name.
    begun = [each for each in by_folded if is_long_enough and each.startswith(wanted)]
    near = begun or difflib.get_close_matches(wanted, by_folded, count, SIMILARITY)
    # Two swapped letters of a short name.
    near = near or [each for each in by_folded if sorted(each) == sorted(wanted)]
    return [each for folded in near for each in by_folded[folded]][:count]


def format_suggestion(name: str, names: Iterable[str]) -> str:
    """Return a question that precedes the rest of a hint; empty if no name is similar."""
    # A name that exists nevertheless is damaged.
    return format_meant(find_near_matches(name, (each for each in names if each != name)))


def format_meant(near: Sequence[str]) -> str:
    """Return the question for these names, with which a hint begins; empty if there are none."""
    *others, last = near or ("",)
    return f"did you mean {', '.join(others)}{' or ' if others else ''}{last}? " if last else ""


def list_spellings(name: str) -> set[str]:
    """Return other spellings of an id: without blanks, in upper case and in lower case."""
    plain = "".join(name.split())
    return {plain, plain.upper(), plain.lower()} - {name}


def list_printable(folder: Path) -> list[str]:
    """Return the names in a folder that a message may show; none if it can't be read."""
    try:
        with os.scandir(folder) as entries:
            names = [each.name for each, _ in zip(entries, range(MOST_ENTRIES), strict=False)]
    except OSError:
        return []
    return sorted(name for name in names if name.isprintable())


def find_near_files(path: Path, suffixes: Iterable[str] = ()) -> list[str]:
    """Return the names in the folder of a missing path that are most similar to its own.

    Args:
        path: The missing file or folder.
        suffixes: Endings that are interchangeable; names with others are not suggested.
    """
    wanted = tuple(suffixes)
    by_stem: dict[str, list[str]] = {}
    for name in list_printable(path.parent):
        if not wanted or Path(name).suffix.lower() in wanted:
            by_stem.setdefault(Path(name).stem, []).append(name)
    # The endings are left out: they make every two short names similar.
    near = find_near_matches(path.stem, by_stem)
    return [name for stem in near for name in by_stem[stem]][:3]


def require_file(path: Path, suffixes: Iterable[str] = ()) -> None:
    """Check that a file exists; the error names similar files of its folder.

    Args:
        path: The file.
        suffixes: Endings of the files to suggest; by default all.

    Raises:
        InvalidInputError: There is no such file, or the path is a folder.
    """
    # A relative path does not show in which folder it was looked for.
    place = path.absolute()
    if path.is_dir():
        raise InvalidInputError(
            f"{path.name or path} is a folder", where=str(place), hint="name a file inside it"
        )
    if not path.exists():
        hint = f"{format_meant(find_near_files(path, suffixes))}check the path and its spelling"
        if not place.parent.is_dir():
            hint += f"; there is no folder {place.parent} either"
        raise InvalidInputError(f"There is no file {path.name}", where=str(place), hint=hint)
