"""What gold holds for the feature store: the latest published extract."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

from pyspark.sql.connect.session import SparkSession


@dataclass(frozen=True)
class Publication:
    """A published extract; `created` is its load's time in UTC."""

    batch_id: str
    extract_date: date
    created: datetime
    customers: int

    @property
    def event_timestamp(self) -> datetime:
        """The extract date at 00:00 UTC."""
        return datetime.combine(self.extract_date, datetime.min.time(), UTC)


def latest_publication(spark: SparkSession) -> Publication | None:
    """The publication with the latest extract date; of a restated date the last one."""
    if not spark.catalog.tableExists("gold.publications"):
        return None
    rows = spark.sql(
        """
        select batch_id, extract_date, created_timestamp, customers
        from gold.publications
        order by extract_date desc, created_timestamp desc
        limit 1
        """
    ).toArrow()
    if rows.num_rows == 0:
        return None
    row = rows.to_pylist()[0]
    return Publication(
        batch_id=row["batch_id"],
        extract_date=row["extract_date"],
        created=row["created_timestamp"].astimezone(UTC),
        customers=row["customers"],
    )
