import pytest
from workbooks import HEADER

from lakehouse.errors import ChurnError
from seeds_loader.contract import Contract, read_contract


@pytest.fixture(scope="module")
def contract() -> Contract:
    return read_contract()


def test_the_contract_has_the_columns_in_their_order(contract):
    assert list(contract.names) == HEADER


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("customerID", "customerID"),
        ("CUSTOMER_ID", "customerID"),
        (" Customer.ID ", "customerID"),
        ("Customer\u00a0ID\u200b", "customerID"),
        ("\ufeffcustomerID", "customerID"),
        ("Senior\nCitizen", "SeniorCitizen"),
        ("Tenure Months", "tenure"),
        ("tenure_in_months", "tenure"),
        ("Monthly Charges", "MonthlyCharges"),
        ("Total Charge", "TotalCharges"),
        ("Churn Label", "Churn"),
    ],
)
def test_headers_match_without_case_spaces_dots_and_underscores(contract, header, name):
    column = contract.match(header)
    assert column is not None
    assert column.name == name


@pytest.mark.parametrize("header", ["", " ", "Churn Value", "Churn-Label", "customer", "CLTV"])
def test_other_headers_match_nothing(contract, header):
    assert contract.match(header) is None


def test_a_column_carries_its_rules(contract):
    columns = {column.name: column for column in contract.columns}
    assert columns["SeniorCitizen"].true_values == ("Yes", "1")
    assert columns["SeniorCitizen"].false_values == ("No", "0")
    assert columns["Churn"].silver == "churned"
    assert columns["tenure"].range == (0, 600)
    assert columns["TotalCharges"].zero_if_blank_when_zero == "tenure"
    assert columns["InternetService"].categories == ("DSL", "Fiber optic", "No")
    assert {column.type for column in contract.columns} == {
        *("text", "flag", "integer", "number", "category")
    }


ID = "Id: {name: customer_id, type: text, description: x}"
LABEL = "Left: {name: churned, type: flag, true_values: ['1'], false_values: ['0'], description: x"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("columns: [", "can't be read"),
        ("{}", "columns"),
        ("columns: {}", "columns"),
        ("columns: {a: {type: text}}", "name"),
        (f"columns: {{{ID}, {LABEL}, is_label: true, aliases: [I.D]}}}}", "both Id and Left"),
        (f"columns: {{{ID}, {LABEL}}}}}", "exactly one column has is_label"),
        (f"columns: {{{LABEL}, is_label: true}}}}", "no column is named customer_id"),
    ],
)
def test_a_broken_contract_is_told(tmp_path, text, told):
    place = tmp_path / "contract.yml"
    place.write_text(text)
    with pytest.raises(ChurnError, match=told) as caught:
        read_contract(tmp_path)
    assert caught.value.where.startswith(str(place))
    assert caught.value.exit_code == 1


def test_a_missing_contract_is_told(tmp_path):
    with pytest.raises(ChurnError, match="no domain"):
        read_contract(tmp_path / "none")
