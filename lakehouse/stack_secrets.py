"""The secrets of the stack: made once, each file for the one user that reads it.

    python -m lakehouse.stack_secrets FOLDER

FOLDER/<reader>/<name> are files of mode 0600. What a `.env` of the project names is taken from
there; what exists stays, so that a second start changes nothing.
"""

import os
import secrets
import sys
from pathlib import Path

from dotenv import dotenv_values

from lakehouse.whole_files import write_secret

# The user numbers that the images run their servers as.
READERS = {"churn": 10001, "postgres": 999, "redis": 999, "s3": 1000}
NAMES = {
    "postgres_password": ["postgres"],
    "airflow_password": ["postgres", "churn"],
    "metastore_password": ["postgres", "churn"],
    "registry_password": ["postgres", "churn"],
    "redis_password": ["redis", "churn"],
    "s3_access_key": ["s3", "churn"],
    "s3_secret_key": ["s3", "churn"],
    "airflow_admin_password": ["churn"],
    "airflow_jwt_secret": ["churn"],
    "airflow_fernet_key": ["churn"],
}


def generate(folder: Path, given: dict[str, str | None]) -> None:
    """Write what is missing; `given` has values by their names in capitals."""
    for name, readers in NAMES.items():
        places = [folder / reader / name for reader in readers]
        known = next((each.read_text() for each in places if each.exists()), None)
        value = given.get(name.upper()) or known or secrets.token_urlsafe(32)
        for reader, place in zip(readers, places, strict=True):
            if not place.exists() or place.read_text() != value:
                write_secret(place, value)
            os.chown(place, READERS[reader], READERS[reader])
            os.chown(place.parent, READERS[reader], READERS[reader])


def main() -> None:
    """Fill the folder."""
    generate(Path(sys.argv[1]), dotenv_values("/project/.env"))


if __name__ == "__main__":
    main()
