"""The secrets of the stack: made once, each in a file in the volume of the one service reading it.

    python -m lakehouse.stack_secrets FOLDER [ENV_FILE [FORMER]]
    python -m lakehouse.stack_secrets ENV_FILE

The first fills FOLDER/<reader>/<name>, files of mode 0600. What exists stays, so that a second
start changes nothing, but what the ENV_FILE names goes before it. FORMER is the folder of a version
that had one volume for all readers: what stands in it is moved. The second writes an ENV_FILE, of
mode 0600, or adds what it lacks, for those who want the secrets in hand.
"""

import os
import secrets
import sys
from pathlib import Path

from dotenv import dotenv_values

from lakehouse.atomic_write import write_secret

# In an ENV_FILE the names have this before them, so that no run outside the stack takes them.
PREFIX = "STACK_"
# The user numbers that the images run their services as. Each reader has a volume of its own, since
# those of one image are one user.
READERS = {
    **dict.fromkeys(("driver", "airflow", "api", "mlflow", "buckets"), 10001),
    **{"postgres": 999, "redis": 999, "s3": 1000},
}
NAMES = {
    "postgres_password": ["postgres"],
    "airflow_db_password": ["postgres"],
    "metastore_db_password": ["postgres", "driver", "airflow"],
    "registry_db_password": ["postgres"],
    "mlflow_db_password": ["postgres"],
    "redis_password": ["redis", "driver", "airflow", "api"],
    "spark_password": ["driver", "airflow"],
    "s3_access_key": ["s3", "driver", "airflow", "mlflow", "buckets"],
    "s3_secret_key": ["s3", "driver", "airflow", "mlflow", "buckets"],
    "airflow_password": ["airflow"],
    "mlflow_password": ["mlflow", "driver", "airflow"],
}
# Databases whose clients read the password from a file of PostgreSQL's own format, by reader.
PASSFILES = {"airflow": ["airflow", "registry"], "driver": ["registry"], "mlflow": ["mlflow"]}
PASSFILE = "pgpass"


def fill(folder: Path, given: dict[str, str | None], former: Path | None = None) -> None:
    """Write what is missing or given otherwise; `given`: values by their names in an ENV_FILE."""
    values = {}
    for name, readers in NAMES.items():
        places = [folder / reader / name for reader in readers]
        old = sorted(former.glob(f"*/{name}")) if former else []
        known = next((each.read_text() for each in (*places, *old) if each.exists()), None)
        values[name] = given.get(_variable(name)) or known or _new()
        for reader, place in zip(readers, places, strict=True):
            _write(place, values[name], READERS[reader])
    for reader, databases in PASSFILES.items():
        lines = "".join(
            f"postgres:5432:{database}:{database}:{_escaped(values[f'{database}_db_password'])}\n"
            for database in databases
        )
        _write(folder / reader / PASSFILE, lines, READERS[reader])
    # Moved: what stays there would come back after a rotation.
    if former:
        for name in (*NAMES, PASSFILE):
            for each in former.glob(f"*/{name}"):
                each.unlink()


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
    place.parent.chmod(0o700)
    for each in (place, place.parent):
        os.chown(each, user, user)


def main() -> None:
    """Fill the folder, or complete the file."""
    place = Path(sys.argv[1])
    if place.is_dir():
        file = Path(sys.argv[2]) if len(sys.argv) > 2 else None
        former = Path(sys.argv[3]) if len(sys.argv) > 3 else None
        fill(place, dotenv_values(file) if file and file.exists() else {}, former)
    else:
        added = complete(place)
        print(f"{place} holds {len(NAMES)} secrets, {len(added)} of them new")


if __name__ == "__main__":
    main()
