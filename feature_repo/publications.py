"""Read the published extracts, which gold provides for the feature store."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql.connect.session import SparkSession

from lakehouse.errors import InvalidInputError
from lakehouse.sequences import PUBLICATIONS, query_sequence


@dataclass(frozen=True)
class Publication:
    """A published extract.

    Attributes:
        batch_id: Batch id of the published load.
        extract_date: The extract date.
        created: Time of the load in UTC.
        customers: Number of customers in the extract.
        place: Position among all publications, in the order in which they were made.
    """

    batch_id: str
    extract_date: date
    created_at: datetime
    customers: int
    location: int = 0

    @property
    def event_timestamp(self) -> datetime:
        """Return the extract date at 00:00 UTC."""
        return datetime.combine(self.extract_date, datetime.min.time(), UTC)


def find_latest_publication(spark: SparkSession) -> Publication | None:
    """Return the publication with the latest extract date, or None if there is none.

    If the date was restated, it is the last publication of that date.
    """
    published = read_publications(spark)
    return published[-1] if published else None


def latest_publication_or_error(spark: SparkSession) -> Publication:
    """Return the latest publication.

    Raises:
        InvalidInputError: Nothing has been published yet.
    """
    publication = find_latest_publication(spark)
    if publication is None:
        raise not_published_error()
    return publication


def not_published_error(when: str = "yet", where: str = "gold.publications") -> InvalidInputError:
    """Return the error for a request of an extract when none is published.

    `when` is the period that the request is for, by default up to now.
    """
    return InvalidInputError(
        f"No extract has been published {when}",
        where=where,
        hint="load a workbook that passes the gate: `churn run WORKBOOK`",
    )


def read_publications(spark: SparkSession) -> list[Publication]:
    """Return the publication of each extract date, the oldest date first.

    If a date was restated, only its last publication is returned.
    """
    rows = query_sequence(
        spark,
        PUBLICATIONS,
        f"""
        select batch_id, extract_date, created_timestamp, customers,
            row_number() over (order by {PUBLICATIONS.position}) as place
        from {{rows}}
        order by extract_date, {PUBLICATIONS.position}
        """,
    )
    # A later publication of the same date replaces the earlier one.
    of_date = {row["extract_date"]: row for row in rows}
    return [
        Publication(
            batch_id=row["batch_id"],
            extract_date=row["extract_date"],
            created_at=row["created_timestamp"].astimezone(UTC),
            customers=row["customers"],
            location=row["place"],
        )
        for row in of_date.values()
    ]
