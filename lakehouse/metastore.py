"""The Hive metastore of the Spark server: Derby in its folder, or a PostgreSQL database."""

from pathlib import Path
from xml.sax.saxutils import escape

from lakehouse.postgresql import database
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
    place = database(settings.metastore_url, "CHURN_METASTORE_URL")
    return {
        "javax.jdo.option.ConnectionURL": place.for_java,
        "javax.jdo.option.ConnectionDriverName": "org.postgresql.Driver",
        "javax.jdo.option.ConnectionUserName": place.user,
        "javax.jdo.option.ConnectionPassword": settings.metastore_password or "",
        # The server owns the schema and makes it at its first start.
        "datanucleus.schema.autoCreateAll": "true",
        "hive.metastore.schema.verification": "false",
    }
