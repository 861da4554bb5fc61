"""Read MLflow's alias `champion`, and detect that a person moved it.

MLflow does not record who moved an alias or when. Whether a person moved it therefore follows from
three values: the champion that the last synchronisation recorded as a tag of the registered model,
the changes of the champion in the registry since then, and the alias. All values that the alias can
have without a person are known: the recorded champion, and every champion since. Any other value is
a person's. This holds wherever a process was killed between the registry and MLflow, and the record
is lost or restored together with the alias (docs/decisions/0034-moved-alias.md).

This module does not import MLflow, which takes seconds and imports Spark's client.
"""

import base64
import json
import os
import sqlite3
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lakehouse.errors import UnavailableError
from lakehouse.settings import Settings
from trainer import registry
from trainer.registry import ChampionHistory, Change

# Name of the experiment, and of the registered model; the user of MLflow's server.
NAME, USER = "churn", "admin"
CHAMPION = "champion"
# Tags of a registered version: its name in the registry; who moves the alias to it, and why.
VERSION, PROMOTED_BY, REASON = "churn.version", "churn.promoted_by", "churn.reason"
# Tag of the registered model: the champion that the last synchronisation recorded.
SYNCED = "churn.synced"
# Seconds to wait for MLflow: for its server to respond, for its file to be unlocked.
SERVER_SECONDS, FILE_SECONDS = 5.0, 5.0
STORED = """
    select 'alias' as kind, alias as key, version as value
    from registered_model_aliases
    where name = :name and alias = :alias
    union all
    select 'model', key, value
    from registered_model_tags
    where name = :name
    union all
    select 'version', tags.key, tags.value
    from model_version_tags as tags
    inner join registered_model_aliases as aliases using (name, version)
    where aliases.name = :name and aliases.alias = :alias
"""


@dataclass(frozen=True)
class Synced:
    """What the last synchronisation recorded.

    Attributes:
        champion: Version of the champion; None if there was none.
        changes: Number of changes of the champion in the registry at that time.
    """

    champion: str | None
    changes: int

    def to_tag(self) -> str:
        """Return the text of the tag SYNCED."""
        return json.dumps({"champion": self.champion, "changes": self.changes})


@dataclass(frozen=True)
class Alias:
    """The alias `champion`, as MLflow has it.

    Attributes:
        version: Name, in the registry, of the version that has the alias; "version N of MLflow" if
            another program registered it; None if no version has the alias.
        synced: What the last synchronisation recorded; None before the first one.
        user: User whom the version's tag PROMOTED_BY names; empty without it.
        reason: The version's tag REASON; empty without it.
    """

    version: str | None = None
    synced: Synced | None = None
    user: str = ""
    reason: str = ""


def folder(settings: Settings) -> Path:
    """Return the folder of MLflow's file and artifacts, for use without a server."""
    return settings.home / "mlflow"


def file(settings: Settings) -> Path:
    """Return the path of MLflow's file, for use without a server."""
    return folder(settings) / "mlflow.db"


def find_moved_version(alias: Alias, history: ChampionHistory | None) -> str | None:
    """Return the version that a person moved the alias to; None if no person moved it."""
    if alias.synced is None or alias.version is None:
        return None
    if alias.version in (history.version if history else None, *_own_values(alias.synced, history)):
        return None
    return alias.version


def overruling(alias: Alias, history: ChampionHistory | None) -> Change | None:
    """Return the latest promotion or rollback by a person since the alias was last known.

    MLflow does not record when the alias was moved, so that it may have been before.
    """
    since = _since_known(alias.synced, history) if alias.synced else ()
    by_persons = [each for each in since if each.how in (registry.PROMOTE, registry.ROLLBACK)]
    return by_persons[-1] if by_persons else None


def _since_known(synced: Synced, history: ChampionHistory | None) -> Sequence[Change]:
    """Return the changes since the alias was last known, which an adopted alias begins."""
    since = history.changes[synced.changes :] if history else ()
    adopted = [index for index, each in enumerate(since) if each.how == registry.ALIAS]
    return since[adopted[-1] :] if adopted else since


def _own_values(synced: Synced, history: ChampionHistory | None) -> list[str | None]:
    """Return the values that the alias may have without a person having moved it."""
    since = _since_known(synced, history)
    is_adopted = bool(since) and since[0].how == registry.ALIAS
    return [*([] if is_adopted else [synced.champion]), *(each.version for each in since)]


# --- reading -------------------------------------------------------------------------------------


def read(settings: Settings, seconds: float = FILE_SECONDS) -> Alias:
    """Return the alias, from MLflow's file or its server.

    Args:
        settings: The settings of this CHURN_HOME.
        seconds: How long to wait while another process writes the file.

    Raises:
        UnavailableError: MLflow does not respond, or its file can't be read.
    """
    if settings.mlflow_url is not None:
        return _read_server(settings, settings.mlflow_url.rstrip("/"))
    path = file(settings)
    if not path.exists():
        return Alias()
    try:
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=seconds)
        ) as connection:
            rows = connection.execute(STORED, {"name": NAME, "alias": CHAMPION}).fetchall()
    except sqlite3.Error as error:
        if "no such table" in str(error):  # it is being made
            return Alias()
        raise UnavailableError(
            f"MLflow's file can't be read: {error}",
            where=str(path),
            hint="repeat the command; if the file is damaged, remove its folder: it is made "
            "again from the models, which are whole",
        ) from error
    found: dict[str, dict[str, Any]] = {"alias": {}, "model": {}, "version": {}}
    for kind, key, value in rows:
        found[kind][key] = value
    return _alias(found["alias"].get(CHAMPION), found["model"], found["version"])


def _alias(number: Any, tags: Mapping[str, str], version_tags: Mapping[str, str]) -> Alias:
    """Return the alias from the version's number, and the tags of the model and the version."""
    version = (
        version_tags.get(VERSION) or f"version {number} of MLflow" if number is not None else None
    )
    try:
        synced = Synced(**json.loads(tags[SYNCED]))
    except (KeyError, ValueError, TypeError):
        synced = None
    user, reason = version_tags.get(PROMOTED_BY, ""), version_tags.get(REASON, "")
    return Alias(version, synced, user.strip(), reason.strip())


def _read_server(settings: Settings, url: str) -> Alias:
    """Return the alias from a server, by its REST API."""
    try:
        model = _get(settings, f"{url}/api/2.0/mlflow/registered-models/get", name=NAME)
        model = model.get("registered_model", {})
        aliases = {each["alias"]: each["version"] for each in model.get("aliases", [])}
        number, tags = aliases.get(CHAMPION), _tags(model)
        if number is None:
            return _alias(None, tags, {})
        found = _get(
            settings, f"{url}/api/2.0/mlflow/model-versions/get", name=NAME, version=number
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnavailableError(
            f"MLflow does not answer as it should: {error}",
            where=url,
            hint="see that it is up, and that CHURN_MLFLOW_PASSWORD is its password",
        ) from error
    return _alias(number, tags, _tags(found.get("model_version", {})))


def _tags(entity: Mapping[str, Any]) -> dict[str, str]:
    return {each["key"]: each["value"] for each in entity.get("tags", [])}


def _get(settings: Settings, url: str, **parameters: str) -> dict[str, Any]:
    """Return a response of the server; an empty one if there is nothing of that name."""
    request = urllib.request.Request(f"{url}?{urllib.parse.urlencode(parameters)}")
    login = _login(settings)
    if login is not None:
        request.add_header("Authorization", login)
    authorities = os.environ.get("REQUESTS_CA_BUNDLE")  # which MLflow's own client reads
    context = ssl.create_default_context(cafile=authorities)
    try:
        with urllib.request.urlopen(request, timeout=SERVER_SECONDS, context=context) as response:
            found: dict[str, Any] = json.load(response)
            return found
    except urllib.error.HTTPError as error:
        if error.code == 404 and "RESOURCE_DOES_NOT_EXIST" in error.read().decode(errors="replace"):
            return {}
        raise


def _login(settings: Settings) -> str | None:
    """Return the login to the server: the configured one, else that of MLflow's own client."""
    user, password = USER, settings.mlflow_password
    if password is None:
        token = os.environ.get("MLFLOW_TRACKING_TOKEN")
        if token:
            return f"Bearer {token}"
        user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if not user:
        return None
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"
