"""Keys, fields and messages of the online store are Feast's own, without importing Feast."""

import subprocess
import sys

import pytest
from feast.infra.online_stores.helpers import _mmh3, _redis_key
from feast.protos.feast.types.EntityKey_pb2 import EntityKey
from feast.protos.feast.types.Value_pb2 import Value as FeastValue
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.entities import customer
from feature_repo.feature_definitions import VIEW
from feature_repo.online.feast_messages import Value
from feature_repo.online.redis_layout import field, redis_key
from feature_repo.project import KEY_VERSION, PROJECT_NAME

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(TEXTS)
def test_a_key_is_the_one_that_feast_writes(customer_id: str) -> None:
    value = FeastValue(string_val=customer_id)
    entity = EntityKey(join_keys=[customer.join_key], entity_values=[value])
    assert redis_key(customer_id) == _redis_key(PROJECT_NAME, entity, KEY_VERSION)


@given(TEXTS)
def test_a_field_is_the_one_that_feast_writes(feature: str) -> None:
    assert field(feature) == _mmh3(f"{VIEW}:{feature}")


def test_the_messages_are_feasts() -> None:
    assert Value is FeastValue


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("churn.cli.main", ("feast", "pyspark", "mlflow", "pandas", "pyarrow", "dbt", "numpy")),
        ("churn.provenance.customer", ("feast", "pyspark", "mlflow", "pandas", "pyarrow", "dbt")),
        ("churn.operations.status", ("feast", "pyspark", "mlflow", "pandas", "pyarrow", "dbt")),
        ("churn.provenance.trace", ("feast", "mlflow", "dbt")),
        ("churn.reports.retention_list", ("feast", "mlflow", "dbt")),
    ],
)
def test_a_command_imports_only_what_it_uses(module: str, absent: tuple[str, ...]) -> None:
    """Each of these takes from half a second to four seconds, which the user would wait for."""
    code = f"import sys, {module}; print(*(n for n in {absent!r} if n in sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (answer.stdout.strip(), answer.stderr, answer.returncode) == ("", "", 0)
