"""Provide the `churn` command line."""
