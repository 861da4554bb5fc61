"""The secrets of the stack: made once, each in a file for the one user that reads it.

    python -m lakehouse.stack_secrets FOLDER [ENV_FILE]
    python -m lakehouse.stack_secrets ENV_FILE

The first fills FOLDER/<reader>/<name>, files of mode 0600. What exists stays, so that a second
start changes nothing, but what the ENV_FILE names goes before it. The second writes such a file,
of mode 0600, or adds what it lacks, for those who want the secrets in hand.
"""

import os
import secrets
import sys
from pathlib import Path

from dotenv import dotenv_values

from lakehouse.whole_files import write_secret

# In an ENV_FILE the names have this before them, so that no run outside the stack takes them.
PREFIX = "STACK_"
# The user numbers that the images run their servers as.
READERS = {"churn": 10001, "postgres": 999, "redis": 999, "s3": 1000}
NAMES = {
    "postgres_password": ["postgres"],
    "airflow_db_password": ["postgres"],
    "metastore_db_password": ["postgres", "churn"],
    "registry_db_password": ["postgres"],
    "redis_password": ["redis", "churn"],
    "spark_password": ["churn"],
    "s3_access_key": ["s3", "churn"],
    "s3_secret_key": ["s3", "churn"],
    "airflow_password": ["churn"],
    "mlflow_db_password": ["postgres"],
    "mlflow_password": ["churn"],
}
# Databases whose clients read the password from a file of PostgreSQL's own format.
PASSFILE = {name: f"{name}_db_password" for name in ("airflow", "registry", "mlflow")}


def fill(folder: Path, given: dict[str, str | None]) -> None:
    """Write what is missing or given otherwise; `given`: values by their names in an ENV_FILE."""
    values = {}
    for name, readers in NAMES.items():
        places = [folder / reader / name for reader in readers]
        known = next((each.read_text() for each in places if each.exists()), None)
        values[name] = given.get(_variable(name)) or known or _new()
        for reader, place in zip(readers, places, strict=True):
            _write(place, values[name], READERS[reader])
    passfile = "".join(
        f"postgres:5432:{database}:{database}:{_escaped(values[name])}\n"
        for database, name in PASSFILE.items()
    )
    _write(folder / "churn" / "pgpass", passfile, READERS["churn"])


def complete(file: Path) -> list[str]:
    """Add to an ENV_FILE what it lacks; returns the names that were added."""
    before = file.read_text() if file.exists() else ""
    given = dotenv_values(file) if before else {}
    missing = [_variable(name) for name in NAMES if not given.get(_variable(name))]
    lines = "".join(f"{name}={_new()}\n" for name in missing)
    gap = "\n" if before and not before.endswith("\n") else ""
    write_secret(file, f"{before}{gap}{lines}")
    return missing


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _new() -> str:
    return secrets.token_urlsafe(32)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _write(place: Path, text: str, user: int) -> None:
    if not place.exists() or place.read_text() != text:
        write_secret(place, text)
    for each in (place, place.parent):
        os.chown(each, user, user)


def main() -> None:
    """Fill the folder, or complete the file."""
    place = Path(sys.argv[1])
    if place.is_dir():
        file = Path(sys.argv[2]) if len(sys.argv) > 2 else None
        fill(place, dotenv_values(file) if file and file.exists() else {})
    else:
        added = complete(place)
        print(f"{place} holds {len(NAMES)} secrets, {len(added)} of them new")


if __name__ == "__main__":
    main()
