"""Spark ML over Spark Connect."""

import os


def ml_over_connect() -> None:
    """Tell pyspark.ml that sessions are remote.

    Spark ML looks at this variable, which only `getOrCreate` sets, and starts a JVM without it.
    """
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
