"""DataFrame sessions on the Spark server, over Spark Connect."""

import atexit
import os
from collections.abc import Iterator
from contextlib import contextmanager

import grpc  # type: ignore[import-untyped]
from pyspark.errors.exceptions.connect import SparkConnectGrpcException
from pyspark.sql.connect.client.core import DefaultChannelBuilder
from pyspark.sql.connect.client.retries import DefaultPolicy
from pyspark.sql.connect.session import SparkSession

from lakehouse import spark_process
from lakehouse.errors import UnavailableError
from lakehouse.process import port_is_open
from lakehouse.settings import Settings
from lakehouse.spark_credentials import read_password

# The client's default policy tries for ten minutes to reach a server that has ended.
RETRIES = {"max_retries": 6, "max_backoff": 4000}


class _Channels(DefaultChannelBuilder):  # type: ignore[misc]
    """Channel builder that sends the token with each request.

    Spark's own client sends a token over plain text only to the host name `localhost`, otherwise
    over TLS.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings.connect_url)
        self._token = read_password(settings)

    def toChannel(self) -> grpc.Channel:  # noqa: N802 - overrides pyspark's method
        """Return a plain-text channel, even if the environment has a token for other servers."""
        return self._insecure_channel(self.endpoint)

    def metadata(self) -> list[tuple[str, str]]:
        """Return the metadata that is sent with each request."""
        return [*super().metadata(), ("authorization", f"Bearer {self._token}")]


def connect(settings: Settings) -> SparkSession:
    """Open a DataFrame session, which becomes the active one; the caller must stop it.

    Raises:
        UnavailableError: If there is no password.
    """
    # Spark ML checks this variable, which `create` does not set, and starts a JVM without it.
    os.environ["SPARK_CONNECT_MODE_ENABLED"] = "1"
    spark = SparkSession.builder.channelBuilder(_Channels(settings)).create()
    spark.client.set_retry_policies([DefaultPolicy(**RETRIES)])
    # Runs before the client's own last request, which a closed client does not send: if the server
    # has ended by then, the request would delay the end of the process.
    atexit.register(spark.client.close)
    return spark


@contextmanager
def session(settings: Settings) -> Iterator[SparkSession]:
    """Open a DataFrame session on the running server for the duration of the body.

    Raises:
        UnavailableError: If the server does not respond, or ended while the session was open.
    """
    # Checked first because the client tries for minutes to reach a server that does not exist.
    if not port_is_open(settings.connect_port, settings.spark_host):
        raise UnavailableError(
            "The Spark server does not answer",
            where=settings.connect_url,
            hint="`churn up` starts it; `churn status` shows what runs",
        )
    spark = connect(settings)
    running = spark_process.find(settings)
    try:
        yield spark
    except SparkConnectGrpcException:
        if running is not None:
            spark_process.check_running(settings, running)
        raise
    finally:
        spark.stop()
