"""Know the sites of this machine: the command that starts each, and whether it runs.

A site that starts records its process and port below CHURN_HOME. The pages of the others link to it
only while that process lives: an open port alone may belong to another program.
"""

import re
from contextlib import suppress
from dataclasses import dataclass

import psutil

from lakehouse.command_name import CHURN
from lakehouse.process import ProcessInfo, Service, write_state
from lakehouse.sample_home import command_of
from lakehouse.settings import LOOPBACK, Settings

LOOPBACK_NAMES = frozenset(("127.0.0.1", "localhost", "[::1]"))
HOST = re.compile(r"(\[[0-9a-f:]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?", re.IGNORECASE)


@dataclass(frozen=True)
class Site:
    """A site that a command of this project starts.

    Attributes:
        name: Its name in links and messages.
        key: What the names of its settings begin with.
        start: The command that starts it.
        folder: Folder of its state, below CHURN_HOME.
    """

    name: str
    key: str
    start: str
    folder: str

    @property
    def port_variable(self) -> str:
        """Return the environment variable that sets the port."""
        return f"CHURN_{self.key.upper()}_PORT"

    def port(self, settings: Settings) -> int:
        """Return the configured port."""
        return int(getattr(settings, f"{self.key}_port"))

    def start_command(self, settings: Settings) -> str:
        """Return the command that starts it, as it is called for this home."""
        return self.start.replace(CHURN, command_of(settings), 1)

    def bind(self, settings: Settings) -> str:
        """Return the address to bind to."""
        return str(getattr(settings, f"{self.key}_bind", LOOPBACK))

    def is_local(self, settings: Settings) -> bool:
        """Return whether only this machine reaches the site."""
        return self.bind(settings) == LOOPBACK

    def find_port(self, settings: Settings) -> int | None:
        """Return the port on which the site is served now; None if it does not run."""
        running = self._service(settings).find()
        return running.ports[0] if running else None

    def record_start(self, settings: Settings) -> None:
        """Record that this process serves the site, unless other machines may reach it."""
        if not self.is_local(settings):
            return
        process, service = psutil.Process(), self._service(settings)
        running = ProcessInfo(
            pid=process.pid,
            created=process.create_time(),
            supervisor=process.pid,
            ports=[self.port(settings)],
            identity=self.name,
            log="",
        )
        # A home that can only be read: the site works, and no page links to it.
        with suppress(OSError):
            service.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_state(service.state_file, running)

    def _service(self, settings: Settings) -> Service:
        return Service(self.name, settings.home / self.folder, None)


DOCS = Site("the docs site", "docs", "churn docs", "sites/docs")
AIRFLOW = Site("Airflow", "airflow", "churn airflow up", "airflow/api-server")
FEAST = Site("Feast", "feast_ui", "churn features ui", "sites/feast")
MLFLOW = Site("MLflow", "mlflow", "churn mlflow", "sites/mlflow")
API = Site("Scoring API", "api", "churn serve", "sites/api")
# In the order of the bar and of the front page's table.
OTHERS = (AIRFLOW, FEAST, MLFLOW, API)


def parse_host(header: str) -> str | None:
    """Return the name in a Host header, in lower case; None if the header is malformed."""
    match = HOST.fullmatch(header)
    return match[1].lower() if match else None
