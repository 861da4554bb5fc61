"""What readers don't see follows from the contract."""

import shutil
from pathlib import Path

import pytest
import yaml

from lakehouse.domain import DOMAINS, Domain
from lakehouse.readers.masks import mask_column, mask_reasons, read_masks

KEY = "secret"


@pytest.fixture
def domain(tmp_path: Path) -> Domain:
    """The telecom's domain, in which the id and the tenure are personal too."""
    folder = shutil.copytree(DOMAINS / "telco", tmp_path / "domain")
    declared = yaml.safe_load((folder / "contract.yml").read_text())
    for column in declared["columns"].values():
        if column["name"] in ("customer_id", "tenure"):
            column["personal"] = True
    (folder / "contract.yml").write_text(yaml.safe_dump(declared, sort_keys=False))
    return Domain(folder)


def test_what_is_computed_from_a_personal_column_is_personal(domain: Domain) -> None:
    masks = read_masks(domain)
    one_hot = {"gender_female", "gender_male"}
    computed = {"avg_historical_charge", "billing_ratio", "tenure_group", "is_high_value"}
    assert {"gender", "tenure", "senior_citizen"} | one_hot | computed <= masks.columns
    assert not {"monthly_charges", "contract", "service_count"} & masks.columns
    assert {"senior_citizen", "tenure"} <= masks.reasons


def test_columns_are_null_and_ids_become_pseudonyms(domain: Domain) -> None:
    masks = read_masks(domain)
    assert mask_column(masks, "tenure", "int", KEY) == "cast(null as int)"
    assert mask_column(masks, "note", "string", KEY) == "cast(null as string)"
    assert mask_column(masks, "contract", "string", KEY) == "`contract`"
    assert mask_column(masks, "customer_id", "string", KEY) == (
        "sha2(concat('secret', customer_id), 256)"
    )
    assert "'senior_citizen'" in mask_reasons(masks)


def test_without_a_mark_the_id_stays() -> None:
    masks = read_masks(Domain(DOMAINS / "telco"))
    assert not masks.has_personal_id
    assert mask_column(masks, "customer_id", "string", KEY) == "`customer_id`"
    assert "tenure" not in masks.columns and "gender_male" in masks.columns
