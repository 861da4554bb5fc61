"""Read and append what is recorded of retention campaigns: their customers, outcomes and closings.

The tables are declared in models/campaigns/_campaigns__sources.yml. Rows are only added. The
members of a campaign are written before its row in `campaigns`, which makes them valid.
"""

from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import unquote

import numpy as np
import yaml
from pyspark.sql.connect.session import SparkSession

from lakehouse.project_files import PROJECT
from lakehouse.sql import Rows, literal, query, query_if_exists, statement
from trainer.retention_campaign import Measurement
from trainer.uplift import Trial

SCHEMA = "bronze"
DECLARED = PROJECT / "models" / "campaigns" / "_campaigns__sources.yml"
CAMPAIGNS, MEMBERS = f"{SCHEMA}.campaigns", f"{SCHEMA}.campaign_members"
OUTCOMES, CLOSINGS = f"{SCHEMA}.campaign_outcomes", f"{SCHEMA}.campaign_closings"
# The members of campaigns that are not closed; `control` limits them to the control groups.
OPEN_MEMBERS = f"""
    select customer_id from {MEMBERS}
    where
        campaign in (select campaign from {CAMPAIGNS})
        and campaign not in (select campaign from {CLOSINGS})
"""


@cache
def declared_columns() -> dict[str, dict[str, str]]:
    """Return the columns of each table as name to SQL type."""
    (source,) = yaml.safe_load(DECLARED.read_text())["sources"]
    return {
        f"{SCHEMA}.{table['name']}": {
            column["name"]: column["data_type"] for column in table["columns"]
        }
        for table in source["tables"]
    }


def create_tables(spark: SparkSession) -> None:
    """Create the tables that the metastore does not know.

    The location is given because files of a table may be there already, under a new metastore.
    """
    location = unquote(spark.catalog.getDatabase(SCHEMA).locationUri)
    for table, columns in declared_columns().items():
        fields = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        place = literal(f"{location}/{table.partition('.')[2]}")
        spark.sql(f"create table if not exists {table} ({fields}) using delta location {place}")


def append(spark: SparkSession, table: str, rows: Sequence[dict[str, Any]]) -> None:
    """Append rows to one of the tables; a missing column is null."""
    columns = declared_columns()[table]
    schema = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    values = [tuple(row.get(name) for name in columns) for row in rows]
    frame = spark.createDataFrame(values, schema)
    frame.write.format("delta").mode("append").saveAsTable(table)


def remove_interrupted(spark: SparkSession, campaign: str) -> None:
    """Remove the members of a start that did not complete."""
    statement(spark, f"delete from {MEMBERS} where campaign = :campaign", campaign=campaign)


def find_campaign(spark: SparkSession, campaign: str) -> dict[str, Any] | None:
    """Return the row of a started campaign, or None."""
    sql = f"select * from {CAMPAIGNS} where campaign = :campaign"
    rows = query_if_exists(spark, CAMPAIGNS, sql, campaign=campaign)
    return rows[0] if rows else None


def read_members(spark: SparkSession, campaign: str) -> Rows:
    """Return the members of a campaign, those to call first, in the order of the list."""
    sql = f"select * from {MEMBERS} where campaign = :campaign order by list_rank nulls last"
    return query(spark, sql, campaign=campaign)


def find_closing(spark: SparkSession, campaign: str) -> dict[str, Any] | None:
    """Return the row of a closed campaign, or None."""
    rows = query(spark, f"select * from {CLOSINGS} where campaign = :campaign", campaign=campaign)
    return rows[0] if rows else None


def open_members_condition(spark: SparkSession, control_only: bool) -> str:
    """Return a condition on customer_id that leaves out members of campaigns that are not closed.

    Args:
        spark: A Spark Connect session.
        control_only: Whether only control customers are left out, who must not be called.
    """
    if not spark.catalog.tableExists(CAMPAIGNS):
        return "true"
    arm = " and arm = 'control'" if control_only else ""
    return f"customer_id not in ({OPEN_MEMBERS}{arm})"


def list_campaigns(spark: SparkSession) -> Rows:
    """Return the campaigns, the latest first, with the effect of the closed ones."""
    return query_if_exists(
        spark,
        "gold.campaigns",
        """
        select campaigns.*, results.effect, results.effect_low, results.effect_high, results.saved
        from gold.campaigns as campaigns
        left join gold.campaign_results as results
            on campaigns.campaign = results.campaign and analysis = 'intention_to_treat'
        order by started_at desc, campaigns.campaign
        """,
    )


def read_measurements(spark: SparkSession) -> list[Measurement]:
    """Return the measured effect of each closed campaign, as drawn by lot."""
    rows = query_if_exists(
        spark,
        "gold.campaign_results",
        """
        select retention_rate, retention_rate_low as low, retention_rate_high as high
        from gold.campaign_results
        where analysis = 'intention_to_treat' and retention_rate is not null
        """,
    )
    return [Measurement(row["retention_rate"], row["low"], row["high"]) for row in rows]


def read_trial(spark: SparkSession, features: Sequence[str]) -> Trial | None:
    """Return the customers of closed campaigns as they were at the start, or None without any."""
    columns = ", ".join(f"features.`{name}`" for name in features)
    rows = query_if_exists(
        spark,
        "gold.campaign_members",
        f"""
        select
            members.probability,
            members.arm = 'contacted' as contacted,
            members.has_left = 1 as has_left,
            1 - campaigns.control_share as share,
            {columns}
        from gold.campaign_members as members
        inner join gold.campaigns as campaigns on members.campaign = campaigns.campaign
        inner join gold.customer_features as features
            on
                members.customer_id = features.customer_id
                and campaigns.extract_date = features.extract_date
        where members.has_left is not null
        order by members.campaign, members.customer_id
        """,
    )
    if not rows:
        return None
    return Trial(
        inputs=np.array([[float(row[name] or 0) for name in features] for row in rows]),
        risk=np.array([row["probability"] for row in rows]),
        contacted=np.array([row["contacted"] for row in rows]),
        left=np.array([row["has_left"] for row in rows]),
        share=np.array([row["share"] for row in rows]),
    )
