"""dbt plugin that passes this checkout's settings to dbt: the server's password and the lake.

It also makes created files private to their owner, lets nodes share sessions, and adds run and
user to all Delta commits. A dbt profile can only contain environment variables and literal text,
but `dbt build` must work from a checkout in which no variable was exported. dbt starts its plugins
after it has read the profile and before it connects.
"""

import os
import sys

import click
from dbt.adapters.spark.connections import SparkCredentials
from dbt.adapters.spark.impl import SparkAdapter
from dbt.plugins.manager import dbtPlugin
from dbt_common.context import get_invocation_context
from dbt_common.exceptions import DbtRuntimeError
from dbt_common.invocation import get_invocation_id

from lakehouse.commit_metadata import METADATA, RUN, USER, format_commit_metadata, user
from lakehouse.dbt_sessions import SharedSessions, add_session_setting
from lakehouse.errors import ChurnError
from lakehouse.private_home import protect
from lakehouse.settings import read_settings
from lakehouse.spark_credentials import find_password


class Credentials(dbtPlugin):
    """Fill in the credentials that the profile leaves empty, and what macros read."""

    def initialize(self) -> None:
        """Set the umask, the password of the profile's connection, and CHURN_LAKE_URI for macros.

        Raises:
            DbtRuntimeError: If the settings are invalid or `CHURN_HOME` cannot be made private.
        """
        credentials = click.get_current_context().obj["profile"].credentials
        try:
            settings = read_settings()
            protect(settings, lambda text: print(text, file=sys.stderr))
        except ChurnError as error:
            raise DbtRuntimeError(str(error)) from error
        # `env_var` reads the copy of the environment that dbt made when it started.
        get_invocation_context().env["CHURN_LAKE_URI"] = settings.lake.address
        # Commands that need no server, such as `dbt deps`, have a different credentials class.
        if not isinstance(credentials, SparkCredentials):
            return
        SparkAdapter.ConnectionManager = SharedSessions
        SparkAdapter.list_schemas = lambda *asked: SharedSessions.list_schemas(*asked)
        # Set when a session is opened: a parsed hook would be parsed again for every run.
        run_id = os.environ.get(RUN) or get_invocation_id()
        author = format_commit_metadata(run_id, os.environ.get(USER) or user())
        password = find_password(settings) or ""

        def complete(incomplete: SparkCredentials) -> None:
            incomplete.password = incomplete.password or password
            add_session_setting(incomplete, METADATA, author)

        SharedSessions.complete = complete


plugins = [Credentials]
