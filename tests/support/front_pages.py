"""Made-up histories for the front page: some extracts refused, some with rejects, two models a
quarter."""

from datetime import date, timedelta
from typing import Any

from churn.reports.front_page import Extract, FrontPage, Model, Run, Service

DAY = date(2023, 1, 1)
REFUSED = 4


def history(extracts: int) -> FrontPage:
    """So many monthly extracts; the fifth, where there is one, was refused for its drift."""
    days = [DAY + timedelta(days=30 * month) for month in range(extracts)]
    return FrontPage(
        runs=tuple(_run(place, day) for place, day in enumerate(days)),
        extracts=tuple(_extract(place, day) for place, day in enumerate(days)),
        models=tuple(_model(place, day, place == len(days) - 1) for place, day in enumerate(days)),
        campaigns=tuple(_campaign(place, day) for place, day in enumerate(days[:2])),
        services=(Service("Airflow", 8080, "churn airflow up"), Service("MLflow", 5000, "")),
    )


def _campaign(place: int, day: date) -> dict[str, Any]:
    """The first campaign was closed, the second one runs."""
    figures = {"effect": 0.042, "effect_low": 0.011, "effect_high": 0.073, "saved": 12345.6}
    return {
        **{"campaign": f"campaign-{place}", "status": "running" if place else "closed"},
        **{"extract_date": day, "contacted": 300, "control": 75},
        **(dict.fromkeys(figures) if place else figures),
    }


def _run(place: int, day: date) -> Run:
    words = f"of 6,800 customers on {day}, 410 were predicted to churn by v{place} and 402 did"
    realised = {"watched": "realised churn", "words": words, "alert": place % 7 == 6, "bound": 0.25}
    return Run(
        {
            "run_id": f"{day:%Y%m%d}T090000Z-{place:06x}",
            "extract_date": day.isoformat(),
            "gate": {"verdict": "passed", "warned": place % 3},
            "watch": {"extract_date": day.isoformat(), "worst": [realised], "alerts": []},
            "seconds": {"build": 61.5, "train": 91.4},
            "calls": {
                **{"listed": 100, "extract_date": day.isoformat(), "model": _version(place, day)},
                **{"gain": 8123.4, "gain_low": 2990.0, "gain_high": 14002.5},
                **{"cost": 1240.0, "currency": "$", "effect": "we expect 9 to stay"},
                **{"basis": "the expected gain is the bills; no margin is taken off"},
            },
        },
        has_list=True,
    )


def _extract(place: int, day: date) -> Extract:
    refused = place == REFUSED
    customers = 7043 + 31 * place
    return Extract(
        extract_date=day,
        rows=customers + place + 4,
        customers=customers,
        rejected=place,
        exact_duplicates=4,
        verdict="refused" if refused else "passed",
        published=None if refused else customers,
        failed=("drift_of_monthly_charges",) if refused else (),
        warned=("reject_share_typical", "unusual_drift_of_contract") if place % 3 == 2 else (),
        drift=None if place == 0 else 0.3 if refused else 0.02 + place % 5 / 100,
        drifted="monthly_charges",
        drift_bounds=(0.1, 0.25),
    )


def _version(place: int, day: date) -> str:
    return f"{day:%Y%m%d}-33e011{place:02x}"


def _model(place: int, day: date, is_champion: bool) -> Model:
    return Model(
        version=_version(place, day),
        kind="gradient_boosted_trees" if place % 2 else "logistic_regression",
        extract_date=day,
        roc_auc=0.84 + place % 4 / 500,
        brier=0.135 - place % 3 / 500,
        holdout={"roc_auc": 0.842 - place % 3 / 400, "brier": 0.136},
        is_champion=is_champion,
        promotion={
            "promoted": place % 2 == 0 or is_champion,
            "reason": "ROC-AUC 0.8424 against 0.8281 of 20250201-a4966af6 on 446 customers whom "
            "neither has seen, a gain of +0.0143 (-0.0038 to +0.0308): not better beyond noise",
        },
    )
