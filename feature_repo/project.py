"""Define the Feast project's name, the key of its entity, and the version of entity keys."""

PROJECT_NAME = "churn"
KEY_VERSION = 3
JOIN_KEY = "customer_id"
