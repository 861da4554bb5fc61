"""Define the Feast project's name and the version of its entity keys."""

PROJECT_NAME = "churn"
KEY_VERSION = 3
