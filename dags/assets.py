"""The assets that the DAGs update, and that other DAGs can be scheduled on."""

from airflow.sdk import Asset

GOLD = Asset("churn_gold")
SCORES = Asset("churn_scores")
ALERT = Asset("churn_alert")
