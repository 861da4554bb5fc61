"""The Hive metastore of the Spark server: Derby in its folder, or a PostgreSQL database."""

from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from lakehouse.errors import Unusable
from lakehouse.settings import Settings
from lakehouse.whole_files import write_secret

PURPOSE = "postgresql"


def write_configuration(settings: Settings, folder: Path) -> Path:
    """Write hive-site.xml, which holds the password, and return its folder, for the class path.

    Raises:
        lakehouse.errors.Unusable: CHURN_METASTORE_URL is not an address of a PostgreSQL database.
    """
    place = folder / "conf"
    properties = "".join(
        f"<property><name>{name}</name><value>{escape(value)}</value></property>"
        for name, value in _properties(settings, folder).items()
    )
    write_secret(place / "hive-site.xml", f"<configuration>{properties}</configuration>")
    return place


def _properties(settings: Settings, folder: Path) -> dict[str, str]:
    if settings.metastore_url is None:
        return {
            "javax.jdo.option.ConnectionURL": (
                f"jdbc:derby:;databaseName={folder}/metastore;create=true"
            )
        }
    url = urlsplit(settings.metastore_url)
    if url.scheme != "postgresql" or not (url.hostname and url.username) or url.password:
        raise Unusable(
            "CHURN_METASTORE_URL must look like postgresql://user@host:5432/database, without a "
            "password",
            where="the environment or .env, CHURN_METASTORE_URL",
            remedy="put the password into CHURN_METASTORE_PASSWORD",
        )
    return {
        "javax.jdo.option.ConnectionURL": (
            f"jdbc:postgresql://{url.hostname}:{url.port or 5432}{url.path}"
        ),
        "javax.jdo.option.ConnectionDriverName": "org.postgresql.Driver",
        "javax.jdo.option.ConnectionUserName": url.username,
        "javax.jdo.option.ConnectionPassword": settings.metastore_password or "",
        # The server owns the schema and makes it at its first start.
        "datanucleus.schema.autoCreateAll": "true",
        "hive.metastore.schema.verification": "false",
    }
