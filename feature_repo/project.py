"""Define the Feast project: its name and description, its entity's key, the keys' version."""

PROJECT_NAME = "churn"
DESCRIPTION = (
    "Features of customers at the date of an extract, for predicting who leaves. A gate validates "
    "each extract before its features are published here."
)
# Tags of the project and of its objects, by which Feast's first page lists them.
TAGS = {"model": "churn"}
GOLD_TAGS = {**TAGS, "layer": "gold"}
KEY_VERSION = 3
JOIN_KEY = "customer_id"
