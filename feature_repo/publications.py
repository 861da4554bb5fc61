"""What gold holds for the feature store: the published extracts."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql.connect.session import SparkSession

from lakehouse.errors import InvalidInputError
from lakehouse.sequences import PUBLICATIONS, query_sequence


@dataclass(frozen=True)
class Publication:
    """A published extract; `created` is its load's time in UTC, `place` its own among all
    publications, in the order in which they were made."""

    batch_id: str
    extract_date: date
    created: datetime
    customers: int
    place: int = 0

    @property
    def event_timestamp(self) -> datetime:
        """The extract date at 00:00 UTC."""
        return datetime.combine(self.extract_date, datetime.min.time(), UTC)


def latest_publication(spark: SparkSession) -> Publication | None:
    """The publication with the latest extract date; of a restated date the last one."""
    published = publications(spark)
    return published[-1] if published else None


def latest_publication_or_error(spark: SparkSession) -> Publication:
    """The latest publication.

    Raises:
        InvalidInputError: nothing was published yet.
    """
    publication = latest_publication(spark)
    if publication is None:
        raise not_published_error()
    return publication


def not_published_error(when: str = "yet", where: str = "gold.publications") -> InvalidInputError:
    """The fault of who asks for an extract where none is published, by now or `when`."""
    return InvalidInputError(
        f"No extract has been published {when}",
        where=where,
        remedy="load a workbook that passes the gate: `churn run WORKBOOK`",
    )


def publications(spark: SparkSession) -> list[Publication]:
    """The publication of each extract date, the oldest date first; of a restated one the last."""
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
    # A later publication of the same date takes the place of the earlier one.
    of_date = {row["extract_date"]: row for row in rows}
    return [
        Publication(
            batch_id=row["batch_id"],
            extract_date=row["extract_date"],
            created=row["created_timestamp"].astimezone(UTC),
            customers=row["customers"],
            place=row["place"],
        )
        for row in of_date.values()
    ]
