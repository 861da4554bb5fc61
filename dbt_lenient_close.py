"""Plugin of dbt: a session that the server can't close cleanly has done its work all the same.

Closing a session, Hive now and then registers functions whose libraries Spark leaves out: it
answers NoClassDefFoundError, or hangs up. The model was built by then; dbt would call it failed.
"""

from contextlib import suppress

from dbt.plugins.manager import dbtPlugin
from pyhive import exc, hive
from thrift.transport.TTransport import TTransportException

HARMLESS = (exc.OperationalError, TTransportException, ConnectionError)
_close = hive.Connection.close


def _close_leniently(connection: hive.Connection) -> None:
    with suppress(*HARMLESS):
        _close(connection)


class LenientClose(dbtPlugin):
    """Closes PyHive's connections without a fault."""

    def initialize(self) -> None:
        hive.Connection.close = _close_leniently


plugins = [LenientClose]
