"""The page of a person's export: words first, then the copies by place, with rounded numbers."""

import re
from html import unescape
from typing import Any

from churn.operations.personal_data import PLACES
from churn.reports.person_page import HELD_OUT, ROWS, SCORES, person_page

CELLS = {"customerID": "c1", "SeniorCitizen": "1", "MonthlyCharges": "105.5", "Churn": "No"}
LOAD = {"_extra": [], "_row_number": 7, "_source_file": "may.xlsx", "_sheet": "Customers"}
TIME = {"_extract_date": "2025-05-01", "_loaded_at": "2025-05-02 10:11:12.5+00:00"}
REASONS = [
    {"feature": "contract", "text": "month-to-month contract", "contribution": 0.5098},
    {"feature": "phone", "text": "no phone <service>", "contribution": 0.2},
]
SCORE = {"extract_date": "2025-05-01", "scored_at": "2025-05-02", "model_version": "v1"}
ONLINE = {
    "customer_id": "c1",
    "features": {"billing_ratio": 0.9755383714840259, "partner": 0}
    | {"payment_method_mailed_check": 0, "contract_month_to_month": 1, "contract_one_year": 0},
}


def person(**records: Any) -> dict[str, Any]:
    """What an export has, with these records by place."""
    places = [
        {"place": place.name, "contents": place.contents, "records": records.get(place.name, [])}
        for place in PLACES
    ]
    return {"customer_id": "c1", "exported_at": "2025-05-03T08:00:00+00:00", "places": places}


EXPORT = person(
    **{
        ROWS: [
            {**CELLS, **LOAD, **TIME, "SeniorCitizen": "0", "is_current": False},
            {**CELLS, **LOAD, **TIME, "is_current": True},
        ],
        SCORES: [
            {**SCORE, "probability": 0.5676405108981925, "decile": 9, "reasons": REASONS},
            {**SCORE, "extract_date": "2025-04-01", "probability": 0.1, "decile": 1, "reasons": []},
        ],
        HELD_OUT: [{"model": "v1", "probability": 0.5795165422672071, "event_timestamp": "2025"}],
        "online store": [ONLINE],
        "runs": [{"file": "runs/r/list.xlsx", "text": "1 | c1 | 123.4642741177232 | 0.4188783"}],
    }
)


def read_pairs(text: str) -> list[tuple[str, str]]:
    found = re.findall(r'<tr><th scope="row">(.*)</th><td>(.*)</td></tr>', text)
    plain = [[unescape(re.sub("<[^>]+>", "", each)) for each in pair] for pair in found]
    return [(label, value) for label, value in plain]


def test_the_page_begins_with_the_current_entries_and_the_estimate_in_words() -> None:
    in_words = person_page(EXPORT, is_sample=False).partition('<section id="places">')[0]
    assert read_pairs(in_words) == [
        ("Senior citizen (65 or older) SeniorCitizen", "Yes 1"),
        ("Current monthly bill MonthlyCharges", "$105.50 105.5"),
        ("Marked as having left Churn", "No"),
        ("Probability that you leave", "56.8%, as of 2025-05-01"),
        ("Risk group", "9 of 10; 10 is the highest"),
        (
            "Reasons above the average customer",
            "month-to-month contract; no phone <service>",
        ),
        ("Version of the model", "v1"),
        ("Probability for the list of customers to contact", "58.0%"),
    ]
    assert "it\n    decides whether you are contacted" in in_words
    alone = {**SCORE, "probability": 0.5, "decile": 9, "reasons": []}
    one = person_page(person(**{SCORES: [alone]}), is_sample=False)
    assert "There are two probabilities" not in one
    # Both versions of the row are of one workbook.
    assert in_words.count("may.xlsx, sheet Customers, row 7: the customers as of 2025-05-01") == 1
    for heading in ("Where it came from", "What it is used for", "How long it is kept"):
        assert f"<h2>{heading}</h2>" in in_words


def test_the_copies_are_folded_and_have_rounded_numbers_and_one_category_each() -> None:
    page = person_page(EXPORT, is_sample=False)
    copies = page.partition('<section id="places">')[2]
    assert copies.count("<details") == 5 and " open" not in copies
    pairs = read_pairs(copies)
    assert ("Current bill divided by the average so far billing_ratio", "0.98") in pairs
    assert ("Term of the contract contract", "Month-to-month") in pairs
    assert ("Reasons", "month-to-month contract; no phone <service>") in pairs
    assert ("Text", "1 | c1 | 123.4643 | 0.4189") in pairs
    assert ("Loaded at", "2025-05-02 10:11 UTC") in pairs
    names = {name for name, _ in pairs}
    assert not {name.split()[-1] for name in names} & {
        *("_extra", "payment_method_mailed_check", "contract_month_to_month")
    }
    assert not re.search(r"\d\.\d{5}", page) and "{&#34;" not in page
    assert "<li>rejected rows, with reasons</li>" in copies
    assert "data protection authority" in page


def test_the_page_of_a_sample_home_is_marked() -> None:
    assert "SAMPLE" in person_page(EXPORT, is_sample=True)
    assert "SAMPLE" not in person_page(EXPORT, is_sample=False)


def test_a_person_of_whom_only_a_file_has_something_gets_a_page() -> None:
    page = person_page(person(logs=[{"file": "logs/a.log", "text": "c1"}]), is_sample=False)
    assert "None of our tables has a row of yours" in page and "logs/a.log" in page
