"""Find words and idioms that hinder a reader: `python tests/lint_language.py`, part of `make lint`.

Code, SQL, YAML, Markdown and help texts are searched, comments and messages included. The line of a
word that is needed ends in a comment with `language:` and the reason.
"""

import re
import subprocess
import sys
from pathlib import Path

PROJECT = Path(__file__).parent.parent
SUFFIXES = {".java", ".md", ".py", ".sh", ".sql", ".toml", ".yaml", ".yml"}
NAMES = {"Dockerfile", "Makefile"}

# What to write instead, by the pattern.
IDIOMS = {
    r"who(m)?ever": "name the role",
    r"(no|some|any)body(?!-)": "name the role: a user, a caller, another process",
    r"as ever": "as usual, unchanged",
    r"anew": "again, newly",
    r"at will": "optional, as required",
    r"of then": "of that time, previous",
    r"goes before": "takes precedence, precedes",
    r"(is|are) none of": "is not a, must be one of",
    r"no more(?=[^\w\s]|$)": "no longer",
    r"(broke|breaks|break|breaking|broken) off": "interrupted",
    r"(comes|came|come) to (its|an|their) end": "completes, ends",
    r"judge?ments?": "verdict, evaluation",
    r"keepers?": "supervisor",
    r"doors?": "endpoint",
    r"ledgers?": "digest store",
    r"guests?": "compatibility shim",
    r"stand-ins?": "substitute, test double",
    r"(hold|holds|held|holding) (\w+ )?against": "compare with, validate against",
    r"look(s|ed|ing)? after": "maintain, monitor",
    r"shak(es|en) (the )?server": "requires a restart of the server",
    r"reigns?": "time as champion",
}
# Parts of the repository that use such words, and why.
EXCLUDED = {
    "tests/lint_language.py": "the list itself",
    "CONTRIBUTING.md": "its glossary lists the words",
    "CHANGELOG.md": "records of their time",
    "uv.lock": "generated",
}
REASON = re.compile(r"language: \w+")
PATTERNS = {
    re.compile(rf"(?<![\w-])({pattern})(?![\w-])", re.IGNORECASE): instead
    for pattern, instead in IDIOMS.items()
}


def find_idioms(text: str) -> list[tuple[int, str, str]]:
    """Return line number, words and what to write instead, for each idiom of a text."""
    return [
        (number, match[0], instead)
        for number, line in enumerate(text.splitlines(), start=1)
        if not REASON.search(line)
        for pattern, instead in PATTERNS.items()
        for match in pattern.finditer(line)
    ]


def list_files() -> list[str]:
    """Return the committed files to search, relative to the project."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [
        name
        for name in listed.stdout.splitlines()
        if (Path(name).suffix in SUFFIXES or Path(name).name in NAMES)
        and not name.startswith(tuple(EXCLUDED))
        and (PROJECT / name).exists()
    ]


def main() -> None:
    """Print each idiom with its place, and exit with 1 if there are any."""
    problems = [
        f"{name}:{number}: {words!r}: {instead}"
        for name in list_files()
        for number, words, instead in find_idioms((PROJECT / name).read_text(errors="replace"))
    ]
    print(*problems, sep="\n")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
