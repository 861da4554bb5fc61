"""Plugin of dbt: the Spark server's password, and files for nobody else.

A profile can hold environment variables and text, and `dbt build` is to work from a checkout where
no variable was exported. dbt starts its plugins when it has read the profile and before it
connects.
"""

import sys

import click
from dbt.plugins.manager import dbtPlugin
from dbt_common.exceptions import DbtRuntimeError

from lakehouse.errors import ChurnError
from lakehouse.private_home import protect
from lakehouse.settings import read_settings
from lakehouse.spark_credentials import find_password


class Credentials(dbtPlugin):
    """Fills in what the profile leaves empty."""

    def initialize(self) -> None:
        credentials = click.get_current_context().obj["profile"].credentials
        try:
            settings = read_settings()
            protect(settings, lambda text: print(text, file=sys.stderr))
        except ChurnError as fault:
            raise DbtRuntimeError(str(fault)) from fault
        # Commands that need no server, such as `dbt deps`, have credentials of another kind.
        if getattr(credentials, "password", None) == "":
            credentials.password = find_password(settings) or ""


plugins = [Credentials]
