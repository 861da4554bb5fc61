"""The other layouts of the same customers go the whole way too, each in an empty home."""

from pathlib import Path

from homes import Homes, Walked

LEAKS = ("churn_label", "churn_value", "churn_score", "churn_reason", "cltv", "churned")


def test_the_csv_goes_the_whole_way(from_csv: Walked) -> None:
    counts = from_csv.summary["counts"]
    assert (counts["bronze"], counts["silver"], counts["scored"]) == (7043, 7043, 7043)
    assert from_csv.summary["extract_date_source"] == "given"


def test_the_33_column_workbook_goes_the_whole_way(homes: Homes, shared_data: Path) -> None:
    home = homes.new("wide")
    summary = home.churn_json("run", shared_data / "Telco_customer_churn_33.xlsx")
    counts = summary["counts"]
    assert (counts["bronze"], counts["silver"], counts["scored"]) == (7043, 7043, 7043)
    assert summary["extract_date"] == "2018-09-28"
    columns = {row["col_name"] for row in home.sql("describe gold.customer_features")}
    assert not columns & set(LEAKS)
    extra = home.value(
        "select _extra['Churn Reason'] from bronze.telco_customers where customerID = '3668-QPYBK'"
    )
    assert extra == "Competitor made better offer"
    # with a leak the figures would be near 1; these columns alone give .94
    assert summary["model"]["roc_auc"] < 0.88
    home.churn("down")
