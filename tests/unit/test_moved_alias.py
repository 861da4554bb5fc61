"""An alias that a person moves in MLflow is a promotion; nothing else that differs is one.

On a real store of MLflow in its file, without Spark. Processes die between any two steps: the
client then refuses every further write.
"""

import random
import shutil
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from model_records import a_record
from starlette.testclient import TestClient

from churn.operations.status import status
from churn.operations.status_text import format_status
from churn.pipeline import airflow_steps
from churn.pipeline.mlflow_sync import adopt_alias, adopt_alias_if_free
from churn.provenance.history import format_history
from churn.provenance.history import history as champions
from feature_repo.feature_definitions import read_feature_columns
from lakehouse import run_lock
from lakehouse.atomic_write import atomic_write
from lakehouse.errors import UnavailableError
from lakehouse.run_lock_file import lock_file, restoring_file, run_lock_if_free
from lakehouse.settings import PROJECT, Settings
from serving.app import application
from serving.champion_alias import RETRY_SECONDS
from serving.models import Models
from trainer import deciles, decisions, manual_promotion, mlflow_alias, mlflow_sync, registry
from trainer.deciles import Boundary, Deciles
from trainer.mlflow_alias import Alias, Synced
from trainer.mlflow_sync import Store
from trainer.portable_model import LinearModel
from trainer.registry import ChampionHistory, Change

FIRST, SECOND, THIRD, GONE = (f"2025{k}203-0000000{k}" for k in (1, 2, 3, 4))
FEATURES = [each.name for each in read_feature_columns()]


def log(_: str) -> None:
    """Discard progress messages."""


def publish(settings: Settings, version: str, features: list[str] = FEATURES) -> None:
    form = LinearModel(-1.0, dict.fromkeys(features, 0.1), dict.fromkeys(features, 0.5))
    with registry.draft(settings, version) as drafted:
        (drafted / "model" / "metadata").mkdir(parents=True)
        registry.publish(settings, drafted, a_record(form, features, version=version, derived={}))


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions that can serve and one that can't; the first is champion, all in MLflow."""
    home = tmp_path_factory.mktemp("template")
    settings = settings_of(home)
    for version in (FIRST, SECOND, THIRD):
        publish(settings, version)
    publish(settings, GONE, ["no_longer_declared"])
    registry.promote(settings, FIRST, reason="it is the first model")
    sync(settings)
    return home


def settings_of(home: Path) -> Settings:
    return Settings(project=PROJECT, home=home, lake_uri=str(home / "lake"), landing="")


@pytest.fixture
def settings(template: Path, tmp_path: Path) -> Settings:
    shutil.copytree(template, tmp_path / "home")
    (tmp_path / "home" / "lake").mkdir()
    settings = settings_of(tmp_path / "home")
    lock_file(settings).touch()
    return settings


def client(settings: Settings) -> MlflowClient:
    return MlflowClient(mlflow_sync.address(settings), mlflow_sync.address(settings))


def sync(settings: Settings, store: Store | None = None) -> list[str]:
    """What a sync said, without the versions that it logged."""
    said: list[str] = []
    store = store or mlflow_sync.open_store(settings)
    mlflow_sync.sync(settings, store, lambda _: "a page", said.append)
    return [each for each in said if not each.startswith("logging")]


def number(settings: Settings, version: str) -> str:
    (found,) = client(settings).search_model_versions(
        f"name = 'churn' and tag.`{mlflow_alias.VERSION}` = '{version}'"
    )
    return str(found.version)


def move(settings: Settings, version: str) -> None:
    """As a person does, by MLflow's client."""
    client(settings).set_registered_model_alias("churn", "champion", number(settings, version))


def named(settings: Settings) -> str | None:
    return mlflow_alias.read(settings).version


def champion(settings: Settings) -> str | None:
    return registry.champion_version(settings)


def adopt(settings: Settings) -> manual_promotion.MovedAlias | None:
    return manual_promotion.adopt_alias(settings, mlflow_alias.read(settings))


def last_change(settings: Settings) -> Change:
    history = registry.read_champion_history(settings)
    assert history is not None
    return history.changes[-1]


# --- what a person moves -------------------------------------------------------------------------


def test_a_moved_alias_is_a_promotion_with_user_time_and_reason(settings: Settings) -> None:
    begun = decisions.timestamp()
    move(settings, SECOND)
    assert adopt(settings) == manual_promotion.MovedAlias(SECOND, None)
    change = last_change(settings)
    assert (champion(settings), change.version, change.how) == (SECOND, SECOND, "alias")
    assert (change.user, change.reason) == ("MLflow alias", manual_promotion.ALIAS_REASON)
    assert begun <= change.time <= decisions.timestamp()
    decision = decisions.read(registry.folder(settings) / SECOND)
    assert decision is not None
    assert (decision.promoted, decision.champion) == (True, FIRST)
    # once: also before and after MLflow is synchronised
    assert adopt(settings) is None
    assert sync(settings) == []
    assert adopt(settings) is None
    assert (champion(settings), named(settings)) == (SECOND, SECOND)
    assert mlflow_alias.read(settings).synced == Synced(SECOND, 2)


def test_tags_of_the_version_say_who_and_why(settings: Settings) -> None:
    of_second = number(settings, SECOND)
    mlflow = client(settings)
    mlflow.set_model_version_tag("churn", of_second, mlflow_alias.PROMOTED_BY, " ann ")
    mlflow.set_model_version_tag("churn", of_second, mlflow_alias.REASON, "it is fairer")
    sync(settings)  # tags alone ask for nothing, and stay
    move(settings, SECOND)
    adopt(settings)
    change = last_change(settings)
    assert (change.version, change.user, change.reason) == (SECOND, "ann", "it is fairer")
    sync(settings)
    registered = mlflow.get_model_version("churn", of_second)
    assert "promoted by hand by ann on " in registered.description
    # the tags are removed, because another user may request the next promotion
    assert not {mlflow_alias.PROMOTED_BY, mlflow_alias.REASON} & set(registered.tags)


def test_what_is_moved_again_before_any_sync_is_adopted_again(settings: Settings) -> None:
    for version in (SECOND, FIRST, THIRD, FIRST):
        move(settings, version)
        adopt(settings)
        assert champion(settings) == version
    assert sync(settings) == []
    assert (champion(settings), named(settings)) == (FIRST, FIRST)


def test_a_home_without_a_champion_gets_its_first_by_the_alias(settings: Settings) -> None:
    (registry.folder(settings) / registry.CHAMPION).unlink()
    sync(settings)
    assert mlflow_alias.read(settings) == Alias(None, Synced(None, 0))
    move(settings, THIRD)
    adopt(settings)
    assert champion(settings) == THIRD


def test_a_version_that_was_rolled_back_is_promoted_by_a_person(settings: Settings) -> None:
    registry.promote(settings, SECOND)
    registry.roll_back(settings)
    sync(settings)
    move(settings, SECOND)
    adopt(settings)
    history = registry.read_champion_history(settings)
    assert history is not None
    assert (history.version, history.withdrawn) == (SECOND, ())


def test_a_sync_leaves_a_moved_alias_to_who_scores(settings: Settings) -> None:
    move(settings, SECOND)
    (said,) = sync(settings)
    assert f"was moved to {SECOND}: the next score promotes it" in said
    assert (champion(settings), named(settings)) == (FIRST, SECOND)
    adopt(settings)
    assert champion(settings) == SECOND


# --- what no person moved ------------------------------------------------------------------------


def promote(settings: Settings) -> str:
    manual_promotion.promote_by_hand(settings, SECOND, "it is better")
    return SECOND


def train(settings: Settings) -> str:
    registry.promote(settings, SECOND, reason="better beyond noise")
    return SECOND


def roll_back(settings: Settings) -> str:
    registry.promote(settings, SECOND)
    sync(settings)
    return registry.roll_back(settings)


@pytest.mark.parametrize("change", [promote, train, roll_back])
def test_an_old_alias_undoes_no_change_of_our_own(
    settings: Settings, change: Callable[[Settings], str]
) -> None:
    expected = change(settings)
    assert named(settings) != expected
    assert adopt(settings) is None
    assert sync(settings) == []
    assert (champion(settings), named(settings)) == (expected, expected)


def test_the_first_sync_of_an_older_home_adopts_nothing(settings: Settings) -> None:
    """The version before recorded nothing in MLflow, and no changes before it recorded those."""
    client(settings).delete_registered_model_tag("churn", mlflow_alias.SYNCED)
    with atomic_write(registry.folder(settings) / registry.CHAMPION) as draft:
        draft.write_text(f'{{"version": "{FIRST}"}}')
    move(settings, SECOND)
    assert adopt(settings) is None
    assert sync(settings) == []
    assert (champion(settings), named(settings)) == (FIRST, FIRST)
    assert mlflow_alias.read(settings).synced == Synced(FIRST, 0)
    move(settings, SECOND)
    adopt(settings)
    assert champion(settings) == SECOND


def test_a_store_that_is_not_there_asks_for_nothing(settings: Settings) -> None:
    move(settings, SECOND)
    mlflow_alias.folder(settings).rename(settings.home / "away")
    assert mlflow_alias.read(settings) == Alias()
    assert adopt(settings) is None
    assert champion(settings) == FIRST


def test_a_restored_registry_is_not_overridden_by_later_moves(settings: Settings) -> None:
    """A server that was not restored has the alias of later."""
    champions = registry.folder(settings) / registry.CHAMPION
    before = champions.read_text()
    for version in (SECOND, THIRD):
        move(settings, version)
        adopt(settings)
    sync(settings)
    champions.write_text(before)
    assert adopt(settings) is None
    sync(settings)
    assert (champion(settings), named(settings)) == (FIRST, FIRST)


def test_an_alias_that_was_deleted_is_set_again(settings: Settings) -> None:
    client(settings).delete_registered_model_alias("churn", "champion")
    assert adopt(settings) is None
    (said,) = sync(settings)
    assert "was gone" in said
    assert (champion(settings), named(settings)) == (FIRST, FIRST)


def strangers(settings: Settings) -> str:
    mlflow = client(settings)
    source = mlflow.get_model_version("churn", number(settings, FIRST))
    made = mlflow.create_model_version("churn", source.source, source.run_id)
    mlflow.set_registered_model_alias("churn", "champion", made.version)
    return f"version {made.version} of MLflow"


def without_features(settings: Settings) -> str:
    move(settings, GONE)
    return GONE


def damaged(settings: Settings) -> str:
    move(settings, SECOND)
    (registry.folder(settings) / SECOND / registry.RECORD).write_text("{")
    return SECOND


def without_pipeline(settings: Settings) -> str:
    move(settings, SECOND)
    shutil.rmtree(registry.folder(settings) / SECOND / "model")
    return SECOND


@pytest.mark.parametrize(
    ("ask", "why"),
    [
        (strangers, "There is no model 'version 5 of MLflow'"),
        (without_features, "no longer declared: no_longer_declared"),
        (damaged, f"There is no model '{SECOND}'"),
        (without_pipeline, f"There is no model '{SECOND}'"),
    ],
)
def test_what_cant_serve_is_refused_and_the_alias_moved_back(
    settings: Settings, ask: Callable[[Settings], str], why: str
) -> None:
    version = ask(settings)
    said: list[str] = []
    assert adopt_alias(settings, said.append)
    assert said == [f"warning: MLflow's alias champion names {version}, not promoted: {why}"] or (
        version in said[0] and why in said[0]
    )
    assert champion(settings) == FIRST
    (told,) = sync(settings)
    assert why in told
    assert told.endswith("the alias is moved back")
    assert (champion(settings), named(settings)) == (FIRST, FIRST)


@pytest.mark.parametrize("change", [promote, roll_back])
def test_of_two_persons_changes_the_recorded_one_stays(
    settings: Settings, change: Callable[[Settings], str]
) -> None:
    expected = change(settings)
    move(settings, THIRD)
    moved = adopt(settings)
    assert moved is not None
    assert moved.refusal is not None
    assert "MLflow does not record which came first" in moved.refusal
    (said,) = sync(settings)
    assert said.endswith("the alias is moved back")
    assert (champion(settings), named(settings)) == (expected, expected)
    # moved again, it is clear which came last
    move(settings, THIRD)
    adopt(settings)
    assert champion(settings) == THIRD


def test_a_person_goes_before_a_run(settings: Settings) -> None:
    """Moved while a run trained: what the run promoted meanwhile does not undo it."""
    train(settings)
    move(settings, THIRD)
    adopt(settings)
    assert champion(settings) == THIRD


# --- processes that die --------------------------------------------------------------------------


class DiedError(Exception):
    """The process was killed here."""


class MortalClient:
    """MLflow's client in a process that is killed before its write of that number."""

    def __init__(self, lives: MlflowClient, writes: int) -> None:
        self._lives, self._left = lives, writes

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._lives, name)
        if not name.startswith(("set_", "delete_", "update_", "create_", "log_")):
            return found

        def write(*arguments: Any, **named: Any) -> Any:
            if not self._left:
                raise DiedError
            self._left -= 1
            return found(*arguments, **named)

        return write


def sync_and_die(settings: Settings, writes: int) -> bool:
    """Synchronise with that many writes to MLflow; return whether it was killed before its end."""
    store = mlflow_sync.open_store(settings)
    try:
        sync(settings, replace(store, client=MortalClient(store.client, writes)))
    except DiedError:
        return True
    return False


def adopt_and_die(settings: Settings) -> None:
    """Leave the files of an adoption that was killed between writing its two files."""
    move(settings, SECOND)
    decision = decisions.Decision(SECOND, FIRST, True, "promoted by hand by an interrupted command")
    decisions.write(registry.folder(settings) / SECOND, decision)


def test_an_adoption_that_was_killed_is_completed(settings: Settings) -> None:
    adopt_and_die(settings)
    assert champion(settings) == FIRST
    adopt(settings)
    sync(settings)
    assert (champion(settings), named(settings)) == (SECOND, SECOND)


def by_command(settings: Settings) -> None:
    manual_promotion.promote_by_hand(settings, SECOND, "it is better")


def by_alias(settings: Settings) -> None:
    move(settings, SECOND)
    adopt(settings)


@pytest.mark.parametrize("change", [by_command, by_alias])
def test_a_sync_that_was_killed_promotes_nothing_by_mistake(
    settings: Settings, change: Callable[[Settings], None]
) -> None:
    """Killed before each of its writes; then rolled back, which nothing may undo."""
    change(settings)
    home, writes, died = settings.home, 0, True
    while died:
        shutil.copytree(home, home.with_name(f"killed-{writes}"))
        killed = settings_of(home.with_name(f"killed-{writes}"))
        died = sync_and_die(killed, writes)
        assert adopt(killed) is None
        registry.roll_back(killed)
        assert adopt(killed) is None
        sync(killed)
        assert (champion(killed), named(killed)) == (FIRST, FIRST)
        writes += 1
    assert writes > 2


@pytest.mark.parametrize("seed", range(3))
def test_only_a_person_or_a_command_changes_the_champion(settings: Settings, seed: int) -> None:
    """A walk over all that may happen, in any order, with syncs killed anywhere."""
    drawn = random.Random(seed)
    versions = (FIRST, SECOND, THIRD)
    asked: set[str] = set()  # what persons moved the alias to and was neither adopted nor seen
    for _ in range(30):
        before, alias = champion(settings), named(settings)
        steps = ("move", "adopt", "adopt", "sync", "die", "die", "command", "command", "delete")
        match drawn.choice(steps):
            case "move":
                asked = {drawn.choice(versions)}
                move(settings, *asked)
            case "delete" if alias is not None:
                asked = set()
                client(settings).delete_registered_model_alias("churn", "champion")
            case "adopt":
                moved = adopt(settings)
                if champion(settings) != before:
                    assert moved == manual_promotion.MovedAlias(str(champion(settings)), None)
                    assert {champion(settings)} == asked == {alias}
            case "sync":
                sync(settings)
                assert champion(settings) == before
                if asked != {named(settings)}:
                    assert named(settings) == before
            case "die":
                sync_and_die(settings, drawn.randrange(4))
                assert champion(settings) == before
            case "command":
                command(settings, drawn.choice(versions), drawn)
    # a last move, when nothing is on the way, is what everybody follows
    adopt(settings)
    sync(settings)
    last = next(each for each in versions if each != champion(settings))
    move(settings, last)
    adopt(settings)
    sync(settings)
    assert (champion(settings), named(settings)) == (last, last)


def command(settings: Settings, version: str, drawn: random.Random) -> None:
    if drawn.random() < 0.3:
        registry.roll_back(settings, version)
    elif champion(settings) != version:
        registry.promote(settings, version, drawn.choice((registry.TRAIN, registry.PROMOTE)))


# --- MLflow is away ------------------------------------------------------------------------------


@pytest.fixture
def hung() -> Iterator[str]:
    """The address of a server that takes connections and answers nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_does_not_answer_leaves_the_champion(
    settings: Settings, hung: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_alias, "SERVER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        away = f"http://127.0.0.1:{server.getsockname()[1]}"
    for address in (hung, away, "http://nowhere.invalid", "no address"):
        said: list[str] = []
        begun = time.monotonic()
        assert not adopt_alias(replace(settings, mlflow_url=address), said.append)
        assert time.monotonic() - begun < 10
        (warning,) = said
        assert warning.startswith("warning: the champion stays as last known")
        assert address in warning
    assert champion(settings) == FIRST


def test_a_file_that_cant_be_read_leaves_the_champion(settings: Settings) -> None:
    move(settings, SECOND)
    mlflow_alias.file(settings).write_text("no database, but text long enough" * 50)
    said: list[str] = []
    assert not adopt_alias(settings, said.append)
    assert "MLflow's file can't be read" in said[0]
    assert champion(settings) == FIRST


# --- what people are told ------------------------------------------------------------------------


def test_the_status_says_who_promoted_and_what_the_alias_asks_for(settings: Settings) -> None:
    def read() -> tuple[dict[str, Any], str]:
        found = status(settings)
        return found["model"], next(
            line for line in format_status(found) if line.startswith("Model")
        )

    model, text = read()
    assert (model["state"], model["version"]) == ("champion", FIRST)
    expected = {"state": "current", "version": FIRST, "reason": None}
    assert model["mlflow"] == expected and "MLflow" not in text
    move(settings, SECOND)
    model, text = read()
    assert (model["mlflow"]["state"], model["mlflow"]["version"]) == ("moved", SECOND)
    assert f"the alias was moved to {SECOND}: the next score promotes it" in text
    adopt(settings)
    change = last_change(settings)
    model, text = read()
    assert (model["version"], model["promoted_at"]) == (SECOND, change.time)
    assert (model["promoted_by"], model["how"]) == ("MLflow alias", "alias")
    assert "by MLflow alias (alias)" in text and model["mlflow"]["state"] == "current"
    move(settings, GONE)
    model, text = read()
    assert model["mlflow"]["state"] == "refused"
    assert "no longer declared: no_longer_declared" in text
    mlflow_alias.file(settings).write_text("no database, but text long enough" * 50)
    model, text = read()
    assert model["mlflow"]["state"] == "unavailable"
    assert "no answer, so the champion is the last known one" in text
    lines = format_history(champions(settings, "champion", log))
    assert lines[1].startswith(f"  {change.time}  {SECOND}  alias by MLflow alias: the alias ")


def test_airflow_follows_only_a_moved_alias_and_no_run_at_work(settings: Settings) -> None:
    with pytest.raises(airflow_steps.NothingToDoError, match="was not moved"):
        airflow_steps.adopt_moved_alias(settings)
    move(settings, SECOND)
    with (
        run_lock.run_lock(settings, "churn run", log),
        pytest.raises(airflow_steps.NothingToDoError, match=r"churn run .* is at work"),
    ):
        airflow_steps.adopt_moved_alias(settings)
    mlflow_alias.file(settings).write_text("no database, but text long enough" * 50)
    with pytest.raises(UnavailableError):
        airflow_steps.adopt_moved_alias(settings)
    assert champion(settings) == FIRST


# --- the lock of who writes nothing --------------------------------------------------------------


def test_without_a_free_lock_nothing_is_adopted(settings: Settings) -> None:
    move(settings, SECOND)

    def is_refused() -> bool:
        adopt_alias_if_free(settings, log)
        return champion(settings) == FIRST

    with run_lock.run_lock(settings, "churn run", log):
        assert is_refused()
    lock_file(settings).write_text('{"purpose": "churn run"}')  # killed: its Spark may still write
    assert is_refused()
    lock_file(settings).write_text("")
    restoring_file(settings).write_text('{"backup": "/backups/one"}')
    assert is_refused()
    restoring_file(settings).unlink()
    lock_file(settings).unlink()  # nothing was ever written
    assert is_refused()
    lock_file(settings).touch()
    assert not is_refused()


def test_the_lock_is_free_again_afterwards(settings: Settings) -> None:
    with run_lock_if_free(settings) as is_free:
        assert is_free
        with run_lock_if_free(settings) as other:
            assert not other
    lock = run_lock.acquire(replace(settings, lock_wait=0), "churn run", log)
    run_lock.release(lock)


# --- the API -------------------------------------------------------------------------------------

BOUNDS = Deciles("2025-12-03", "b", 10, tuple(Boundary(k, k / 10, "x") for k in range(1, 11)))


@pytest.fixture
def models(settings: Settings) -> Models:
    """As the API has them: the first and the second version were scored with."""
    for version in (FIRST, SECOND):
        deciles.write(registry.folder(settings) / version, BOUNDS)
    models = Models(settings)
    assert models.champion_or_error().version == FIRST
    return models


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]


def test_the_next_answer_follows_a_moved_alias(settings: Settings, models: Models) -> None:
    for version in (SECOND, FIRST, SECOND):
        move(settings, version)
        assert models.champion_or_error().version == version
        change = last_change(settings)
        assert (change.version, change.how, change.user) == (version, "alias", "MLflow alias")
    # our own changes, which MLflow does not show yet, are not undone
    registry.roll_back(settings)
    client(settings).set_registered_model_tag("churn", "of", "a person")
    assert models.champion_or_error().version == FIRST
    sync(settings)
    assert (models.champion_or_error().version, named(settings)) == (FIRST, FIRST)


@pytest.mark.usefixtures("models")
def test_the_next_answer_over_http_follows_a_moved_alias(settings: Settings) -> None:
    with TestClient(application(settings)) as api:
        for version in (FIRST, SECOND, FIRST):
            move(settings, version)
            assert api.get("/health/live").json()["model_version"] == version


def test_the_file_is_read_once_a_change(
    settings: Settings, models: Models, monkeypatch: pytest.MonkeyPatch
) -> None:
    time.sleep(0.1)
    models.champion_or_error()
    read: list[Settings] = []
    monkeypatch.setattr(mlflow_alias, "read", lambda asked, **_: read.append(asked) or Alias())
    for _ in range(10):
        models.champion_or_error()
    assert read == []
    client(settings).set_registered_model_tag("churn", "of", "a person")
    time.sleep(0.1)
    for _ in range(10):
        models.champion_or_error()
    assert len(read) == 1


def test_while_a_run_writes_the_api_waits_for_its_end(
    settings: Settings, models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    with run_lock.run_lock(settings, "churn run", log):
        move(settings, SECOND)
        assert [models.champion_or_error().version for _ in range(3)] == [FIRST] * 3
    time.sleep(RETRY_SECONDS)
    assert models.champion_or_error().version == SECOND
    (warning,) = warnings(caplog)
    assert f"MLflow's alias names {SECOND}, and the API may not write now" in warning


@pytest.mark.parametrize("bounds", [None, replace(BOUNDS, batch_id="earlier")])
def test_what_was_not_scored_with_is_left_to_the_next_score(
    settings: Settings,
    models: Models,
    caplog: pytest.LogCaptureFixture,
    bounds: Deciles | None,
) -> None:
    if bounds is not None:
        deciles.write(registry.folder(settings) / THIRD, bounds)
    move(settings, THIRD)
    assert [models.champion_or_error().version for _ in range(3)] == [FIRST] * 3
    assert champion(settings) == FIRST
    (warning,) = warnings(caplog)
    assert f"{THIRD}, which `churn score` has yet to score with" in warning
    adopt(settings)  # as scoring does, and then writes the bounds
    deciles.write(registry.folder(settings) / THIRD, BOUNDS)
    assert models.champion_or_error().version == THIRD


def test_the_api_answers_on_while_mlflow_cant_be_read(
    settings: Settings, models: Models, caplog: pytest.LogCaptureFixture
) -> None:
    move(settings, SECOND)
    whole = mlflow_alias.file(settings).read_bytes()
    mlflow_alias.file(settings).write_text("no database, but text long enough" * 50)
    assert [models.champion_or_error().version for _ in range(3)] == [FIRST] * 3
    (warning,) = warnings(caplog)
    assert warning.startswith("the champion stays as last known: MLflow's file can't be read")
    mlflow_alias.file(settings).write_bytes(whole)
    assert models.champion_or_error().version == SECOND


def test_a_locked_file_holds_no_answer_up(settings: Settings, models: Models) -> None:
    move(settings, SECOND)
    with closing(sqlite3.connect(mlflow_alias.file(settings))) as other:
        other.execute("begin exclusive")
        begun = time.monotonic()
        assert models.champion_or_error().version == FIRST
        assert time.monotonic() - begun < 1
    time.sleep(RETRY_SECONDS)
    assert models.champion_or_error().version == SECOND


def test_a_server_is_asked_beside_the_answers(
    settings: Settings, models: Models, hung: str
) -> None:
    served = Models(replace(settings, mlflow_url=hung))
    served.alias.start()
    try:
        begun = time.monotonic()
        assert served.champion_or_error().version == FIRST
        assert time.monotonic() - begun < 1
    finally:
        served.alias.stop()


# --- the rule by itself --------------------------------------------------------------------------


def history(*changes: tuple[str, str]) -> ChampionHistory:
    made = tuple(Change(version, "", "", how, "") for version, how in changes)
    return ChampionHistory(made[-1].version, changes=made)


@pytest.mark.parametrize(
    ("alias", "synced", "changes", "moved"),
    [
        ("b", Synced("a", 1), [("a", "train")], "b"),
        ("a", Synced("a", 1), [("a", "train")], None),
        ("a", Synced("a", 1), [("a", "train"), ("b", "promote")], None),
        ("b", Synced("a", 1), [("a", "train"), ("b", "train"), ("c", "train")], None),
        ("b", Synced("a", 1), [("a", "train"), ("b", "alias"), ("a", "rollback")], None),
        ("a", Synced("a", 1), [("a", "train"), ("b", "alias")], "a"),
        ("a", Synced("a", 1), [("a", "train"), ("b", "alias"), ("c", "train")], "a"),
        ("d", Synced("a", 1), [("a", "train"), ("b", "alias"), ("c", "train")], "d"),
        ("b", None, [("a", "train")], None),
        (None, Synced("a", 1), [("a", "train")], None),
        # restored: fewer changes than there were
        ("b", Synced("b", 7), [("a", "train"), ("c", "alias")], None),
    ],
)
def test_what_differs_from_all_champions_since_the_last_sync_was_moved(
    alias: str | None, synced: Synced | None, changes: list[tuple[str, str]], moved: str | None
) -> None:
    assert mlflow_alias.find_moved_version(Alias(alias, synced), history(*changes)) == moved
