"""The landing place in an object store."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from object_store import ObjectStore, object_store

from lakehouse.errors import UnavailableError
from lakehouse.settings import Settings, read_settings
from seeds_loader import landing_zone
from seeds_loader.landing_zone import claim, copy_new_files, list_unclaimed


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def settings(store: ObjectStore, tmp_path: Path) -> Settings:
    places = {"CHURN_HOME": str(tmp_path), "CHURN_LANDING": "s3a://arrivals/monthly"}
    return read_settings({**store.environ, **places})


def test_workbooks_of_a_prefix_are_taken_and_fetched(
    store: ObjectStore, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(landing_zone, "QUIET_PERIOD", timedelta(seconds=5))
    files = store.files()
    files.create_dir("arrivals")
    for name in ("monthly/one.xlsx", "monthly/two.csv", "monthly/notes.txt", "other/three.csv"):
        with files.open_output_stream(f"arrivals/{name}") as target:
            target.write(name.encode())
    # They were written just now, and are waited for.
    assert sorted(copy_new_files(settings)) == ["one.xlsx", "two.csv"]
    assert list_unclaimed(settings) == []
    time.sleep(6)
    assert copy_new_files(settings) == []
    assert {each.path.name for each in list_unclaimed(settings)} == {"one.xlsx", "two.csv"}
    for run in ("first", "second"):
        taken = claim(settings, run)
        assert taken is not None
        assert taken.path.read_text() == f"monthly/{taken.path.name}"
    assert claim(settings, "third") is None


def test_a_store_that_does_not_answer_is_named(settings: Settings) -> None:
    nowhere = replace(settings, aws={**settings.aws, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"})
    with pytest.raises(UnavailableError, match=r"does not answer[\s\S]*s3a://arrivals/monthly"):
        copy_new_files(nowhere)
