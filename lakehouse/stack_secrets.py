"""Secrets of the stack, generated once and stored in one volume per service that reads them.

    python -m lakehouse.stack_secrets FOLDER [ENV_FILE [FORMER]]
    python -m lakehouse.stack_secrets ENV_FILE

The first form writes FOLDER/<reader>/<name>, files of mode 0600. Existing files are kept, so that
a second start changes nothing, but the values in ENV_FILE take precedence. FORMER is the folder of
a version that had one volume for all readers; its secrets are moved. The second form writes an
ENV_FILE of mode 0600, or adds missing secrets to it, for operators that manage the secrets
themselves.
"""

import os
import secrets
import sys
from pathlib import Path

from dotenv import dotenv_values

from lakehouse.atomic_write import write_secret

# Prefix of the names in an ENV_FILE, so that no run outside the stack uses them.
PREFIX = "STACK_"
# User ids with which the images run their services. Each reader has a volume of its own, because
# the services of one image share a user id.
OWNER_UIDS = {
    **dict.fromkeys(("driver", "airflow", "api", "mlflow", "buckets", "readers"), 10001),
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
    "s3_access_key": ["s3", "driver", "airflow", "mlflow", "buckets", "readers"],
    "s3_secret_key": ["s3", "driver", "airflow", "mlflow", "buckets", "readers"],
    "airflow_password": ["airflow"],
    "mlflow_password": ["mlflow", "driver", "airflow"],
}
# Databases, by reader, whose clients read the password from a PostgreSQL password file.
PASSFILES = {"airflow": ["airflow", "registry"], "driver": ["registry"], "mlflow": ["mlflow"]}
PASSFILE = "pgpass"


def generate(folder: Path, given: dict[str, str | None], former: Path | None = None) -> None:
    """Write the secrets that are missing or that `given` changes.

    Args:
        folder: Folder with one subfolder per reader.
        given: Values by their names in an ENV_FILE.
        former: Folder of a version that had one volume for all readers.
    """
    values = {}
    for name, readers in NAMES.items():
        paths = [folder / reader / name for reader in readers]
        old = sorted(former.glob(f"*/{name}")) if former else []
        existing = next((path.read_text() for path in (*paths, *old) if path.exists()), None)
        values[name] = given.get(_variable(name)) or existing or _new_secret()
        for reader, path in zip(readers, paths, strict=True):
            _write(path, values[name], OWNER_UIDS[reader])
    for reader, databases in PASSFILES.items():
        lines = "".join(
            f"postgres:5432:{database}:{database}:{_escape(values[f'{database}_db_password'])}\n"
            for database in databases
        )
        _write(folder / reader / PASSFILE, lines, OWNER_UIDS[reader])
    # Remove the moved secrets: a remaining one would be restored after a rotation.
    if former:
        for name in (*NAMES, PASSFILE):
            for old_path in former.glob(f"*/{name}"):
                old_path.unlink()


def add_missing_to_env_file(file: Path) -> list[str]:
    """Add missing secrets to an ENV_FILE and return the names that were added."""
    before = file.read_text() if file.exists() else ""
    given = dotenv_values(file) if before else {}
    missing = [_variable(name) for name in NAMES if not given.get(_variable(name))]
    lines = "".join(f"{name}={_new_secret()}\n" for name in missing)
    gap = "\n" if before and not before.endswith("\n") else ""
    write_secret(file, f"{before}{gap}{lines}")
    return missing


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"


def _new_secret() -> str:
    return secrets.token_urlsafe(32)


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace(":", "\\:")


def _write(path: Path, text: str, user: int) -> None:
    if not path.exists() or path.read_text() != text:
        write_secret(path, text)
    path.parent.chmod(0o700)
    for target in (path, path.parent):
        os.chown(target, user, user)


def main() -> None:
    """Fill the folder of secrets, or complete the ENV_FILE."""
    path = Path(sys.argv[1])
    if path.is_dir():
        file = Path(sys.argv[2]) if len(sys.argv) > 2 else None
        former = Path(sys.argv[3]) if len(sys.argv) > 3 else None
        generate(path, dotenv_values(file) if file and file.exists() else {}, former)
    else:
        added = add_missing_to_env_file(path)
        print(f"{path} holds {len(NAMES)} secrets, {len(added)} of them new")


if __name__ == "__main__":
    main()
