"""Render the front page of the site, by reader: retention manager, operator, data team.

First whom to call and whether that is current, then the state of the pipeline with extracts and
models over time, then the links of the data team. The page is static. Its links refer to the paths
`DBT_DOCS`, `report_of` and `evaluation_of`, so that Airflow's site can serve the same page
(dags/web.py).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from churn.provenance.retention_lists import format_headline
from churn.provenance.run_history import LIST, find_result, format_start_time
from churn.reports.report import (
    CALL_NOTE,
    SEE_FRONT_PAGE,
    UNKNOWN,
    WARNINGS_BELOW,
    ReportData,
    Tile,
    banner,
    count,
    create_cost_tile,
    decimal,
    page,
    percent,
    read_script,
)
from lakehouse.navigation import INDEX, Link, format_navigation
from lakehouse.run_log import REFUSED, format_result, sum_seconds

if TYPE_CHECKING:
    from churn.reports.plots import Plot

# Paths in the site. A server of files sends `MISSING` for an address without a page.
MISSING, DBT_DOCS = "404.html", "dbt/index.html"
TRACE_LINK = "Trace a customer"
# Entry point of the dbt docs: the lineage of the features, upstream and downstream.
LINEAGE = (
    f"{DBT_DOCS}#!/model/model.telco_churn.customer_features?g_v=1&g_i=%2Bcustomer_features%2B"
)
# File names in the folder of a run or a model version, and in the site.
REPORT, EVALUATION = "report.html", "evaluation.html"
# A plot can show more entries than a table that must be readable on a phone.
DRAWN, LISTED, RECALLED = 24, 8, 4
# A chart of one point shows nothing that a sentence does not.
POINTS = 2
# Below this difference, scores of two versions are noise.
SCORE_SPAN = 0.05
REALISED = "realised churn"
NEW_LIST = "A new list: `churn retention-list --out calls.xlsx`."
# What the links lead to, for the page that replaces a missing one.
MEANINGS = {
    "Overview": "whom to call, the state of the pipeline, all links",
    "Latest report": "whom to call and why, and what was checked",
    TRACE_LINK: "from a score back to the row of the workbook",
    "Tables": "every table and column, and where it comes from",
    "Lineage": "which table is computed from which",
    "Model": "how well the model in use finds leavers",
    "Other sites": "Airflow, Feast, MLflow and the scoring API",
}


@dataclass(frozen=True)
class Run:
    """Completed run; `summary` is its summary.json."""

    summary: Mapping[str, Any]
    has_report: bool = True
    has_list: bool = False

    @property
    def run_id(self) -> str:
        """Return the run's name."""
        return str(self.summary["run_id"])

    @property
    def extract_date(self) -> str:
        """Return the run's extract date in ISO format; empty if it has none."""
        return str(self.summary.get("extract_date", ""))

    @property
    def began(self) -> str:
        """Return the formatted start time; empty if the run's name does not begin with a time."""
        return format_start_time(self.run_id)

    @property
    def outcome(self) -> str:
        """Return the result and the duration in words, as `churn runs` and `churn status` do."""
        seconds = self.summary.get("seconds") or {}
        return format_result(find_result(self.summary), sum_seconds(seconds))


@dataclass(frozen=True)
class Extract:
    """Latest load of an extract date that dbt has cleaned.

    `published` is None if the load was not published. `drift`, the largest stability index of a
    feature (`drifted`), is None if there is no baseline. `drift_bounds` are the indexes above which
    the gate called it unusual, and refused it.
    """

    extract_date: date
    rows: int
    customers: int
    rejected: int
    exact_duplicates: int
    verdict: str  # passed, refused, pending, superseded
    published: int | None
    failed: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    drift: float | None = None
    drifted: str = ""
    drift_bounds: tuple[float | None, float | None] = (None, None)

    @property
    def state(self) -> str:
        """Return the verdict; a load that passed with warnings is `warned`."""
        return "warned" if self.verdict == "passed" and self.warned else self.verdict


@dataclass(frozen=True)
class Model:
    """Model version with out-of-fold metrics; `promotion` is its promotion.json, or empty.

    `limit` is what it can't say yet, in words; empty if there is no limit.
    """

    version: str
    kind: str
    extract_date: date
    roc_auc: float
    brier: float
    holdout: Mapping[str, float]
    is_champion: bool
    promotion: Mapping[str, Any] = field(default_factory=dict)
    has_evaluation: bool = False
    limit: str = ""

    @property
    def state(self) -> str:
        """Return the version's state: champion, was champion or candidate."""
        if self.is_champion:
            return "champion"
        return "was champion" if self.promotion.get("promoted") else "candidate"


@dataclass(frozen=True)
class Service:
    """Site on this machine that is available after it has been started."""

    name: str
    port: int
    start: str


@dataclass(frozen=True)
class FrontPage:
    """Content of the page. Every sequence is ordered by time, earliest first, and may be empty.

    `campaigns` are rows of gold.campaigns with the measured effect, null until it is known,
    `rule_texts` what the rules check that failed or warned, in words, `command` how the command
    line is called for this home.
    """

    runs: tuple[Run, ...] = ()
    extracts: tuple[Extract, ...] = ()
    models: tuple[Model, ...] = ()
    services: tuple[Service, ...] = ()
    has_dbt_docs: bool = False
    campaigns: tuple[Mapping[str, Any], ...] = ()
    is_sample: bool = False
    example_id: str = ""
    command: str = "churn"
    rule_texts: Mapping[str, str] = field(default_factory=dict)

    @property
    def reports(self) -> dict[str, str]:
        """Return the run whose report is linked, for each listed extract date."""
        latest = {run.extract_date: run.run_id for run in self.runs if run.has_report}
        listed = {each.extract_date.isoformat() for each in self.extracts[-LISTED:]}
        listed |= {run.extract_date for run in self.runs[-1:]}
        return {day: run_id for day, run_id in latest.items() if day in listed}

    @property
    def list_run(self) -> Run | None:
        """Return the run that wrote the latest list of customers to call; a refused one has none.

        Each run that scores writes the list of the extract in use, also after an older workbook.
        """
        return next((run for run in reversed(self.runs) if run.has_list), None)

    @property
    def calls(self) -> Mapping[str, Any]:
        """Return the latest list in numbers; empty if an earlier version wrote it."""
        calls = (self.list_run.summary.get("calls") if self.list_run else None) or {}
        return calls if "listed" in calls else {}

    @property
    def champion(self) -> Model | None:
        """Return the model in use."""
        return next((model for model in self.models if model.is_champion), None)

    @property
    def evaluated_models(self) -> tuple[str, ...]:
        """Return the listed model versions with a full evaluation."""
        return tuple(each.version for each in self.models[-LISTED:] if each.has_evaluation)


def report_of(run_id: str) -> str:
    """Return the path of a run's report in the site."""
    return f"runs/{run_id}/{REPORT}"


def list_of(run_id: str) -> str:
    """Return the path of a run's list of customers to call in the site."""
    return f"runs/{run_id}/{LIST}"


def campaign_list_of(name: str) -> str:
    """Return the path, in CHURN_HOME and in Airflow's site, of a list that Airflow wrote."""
    return f"campaigns/{name}.xlsx"


def evaluation_of(version: str) -> str:
    """Return the path of a model version's evaluation in the site."""
    return f"models/{version}/{EVALUATION}"


def site_links(data: FrontPage) -> list[Link]:
    """Return the links of the bar that all pages of the site have."""
    links = [Link("Overview", INDEX)]
    latest = data.runs[-1].extract_date if data.runs else ""
    if latest in data.reports:
        links.append(Link("Latest report", report_of(data.reports[latest])))
    links.append(Link(TRACE_LINK, f"{INDEX}#trace"))
    if data.has_dbt_docs:
        links += [Link("Tables", DBT_DOCS), Link("Lineage", LINEAGE)]
    if data.evaluated_models:
        links.append(Link("Model", evaluation_of(data.evaluated_models[-1])))
    elif data.models:
        links.append(Link("Model", f"{INDEX}#models"))
    return [*links, Link("Other sites", f"{INDEX}#machine")]


def missing_page(data: FrontPage) -> str:
    """Return the page for addresses without a page; its links work at any address."""
    links = site_links(data)
    views = {
        "navigation": format_navigation(links, f"/{MISSING}"),
        "other_site": "",
        "links": links,
        "meanings": MEANINGS,
    }
    return page("missing.html.j2", views, data.is_sample, data.command)


def missing_page_of(name: str, navigation: Markup, is_sample: bool) -> str:
    """Return the page for addresses without a page of a site of another project."""
    views = {"navigation": navigation, "other_site": name, "links": [], "meanings": {}}
    return page("missing.html.j2", views, is_sample)


def front_page(data: FrontPage) -> str:  # long: names all parts of the page
    """Return the page as HTML; the same data results in the same text."""
    # It selects the parts to display by the page's address alone, and marks a form that is sent.
    script, digest = read_script("front_page.js", "loading.js")
    latest = data.runs[-1] if data.runs else None
    summary = latest.summary if latest else {}
    models = data.models[-DRAWN:]
    return page(
        "front_page.html.j2",
        {
            "navigation": format_navigation(site_links(data), INDEX),
            "script": script,
            "script_digest": digest,
            "latest": latest,
            "list_state": _describe_list(data),
            "list_limit": _find_limit(data),
            "headline": format_headline(data.calls, data.is_sample) if data.calls else "",
            "basis": data.calls.get("basis", ""),
            "effect": data.calls.get("effect", ""),
            "call_tiles": list(_call_tiles(data.calls)),
            "banner": _describe_run(latest, data),
            "tiles": list(_tiles(data)),
            "model_tiles": list(_model_tiles(data)),
            "extracts": [*reversed(data.extracts[-LISTED:])],
            "extract_notes": list(_extract_notes(data.extracts)),
            "extract_plots": list(_extract_plots(data)),
            "models": [*reversed(data.models[-LISTED:])],
            "model_note": _describe_only_model(models),
            "model_plots": list(_model_plots(models)),
            "watch": summary.get("watch") or {},
            "realised": _compare_with_outcome(data.runs),
            "reports": {day: report_of(run) for day, run in data.reports.items()},
            "evaluations": {version: evaluation_of(version) for version in data.evaluated_models},
            "data_links": _data_links(data),
            "has_dbt_docs": data.has_dbt_docs,
            "example_id": data.example_id,
            "rule_texts": data.rule_texts,
            "list_file": list_of(data.list_run.run_id) if data.list_run else "",
            "services": data.services,
            "campaigns": [*reversed(data.campaigns[-LISTED:])],
            "earlier": max(len(data.extracts), len(data.models)) > LISTED,
        },
        data.is_sample,
        data.command,
    )


def _describe_run(run: Run | None, data: FrontPage) -> tuple[str, str, str] | None:
    """Return the banner of a run's report, which refers to this page."""
    if run is None:
        return None
    state, headline, text = banner(ReportData(run.summary))
    found = (each for each in data.extracts if each.extract_date.isoformat() == run.extract_date)
    rules = [data.rule_texts.get(rule, rule) for each in found for rule in each.warned]
    if rules:
        text = text.replace(WARNINGS_BELOW, f". Not fulfilled: {'; '.join(rules)}.")
    return state, headline, text.replace(f" {SEE_FRONT_PAGE}", "")


def _call_tiles(calls: Mapping[str, Any]) -> Iterator[Tile]:
    """Yield the numbers of a list that are exact."""
    if not calls:
        return
    has_amounts = "cost" in calls
    note = CALL_NOTE if has_amounts else "the highest risk first"
    yield Tile("calls to make", count(calls["listed"]), note)
    if has_amounts:
        yield create_cost_tile(calls)


def _describe_list(data: FrontPage) -> tuple[str, str, str, str, str] | None:
    """Return whether the latest list is current: state, headline, its list, its day, reason.

    The list is a file: what is published, promoted or refused after it does not change it.
    """
    run = data.list_run
    if run is None:
        return None
    calls = run.summary.get("calls") or {}
    day = str(
        calls.get("extract_date") or run.summary.get("scored_extract_date") or run.extract_date
    )
    made = f"customers as of {day}" + (f", list from the run of {run.began}" if run.began else "")
    published = [each.extract_date.isoformat() for each in data.extracts if each.published]
    model, champion = str(calls.get("model") or ""), data.champion
    if published and published[-1] != day:
        why = f"The extract of {published[-1]} was published since. {NEW_LIST}"
        return "warned", "Not current", made, day, why
    if champion and model and champion.version != model:
        why = f"The model {champion.version} replaced {model} since. {NEW_LIST}"
        return "warned", "Not current", made, day, why
    latest = data.runs[-1]
    if find_result(latest.summary) == REFUSED:
        why = f"The latest workbook, extract of {latest.extract_date}, was refused: see below."
        return "warned", "Of the last workbook that passed", made, day, why
    why = "Made from the latest published extract, with the model in use now."
    return "passed", "Current", made, day, why


def _find_limit(data: FrontPage) -> str:
    """Return what the model of the latest list can't say yet; empty if that is not known."""
    version = data.calls.get("model")
    return next((each.limit for each in data.models if each.version == version), "")


def _data_links(data: FrontPage) -> list[Link]:
    """Return the links of the data team: tables, lineage and the model's evaluation."""
    links = []
    if data.has_dbt_docs:
        links += [Link("Tables and columns", DBT_DOCS), Link("Lineage graph", LINEAGE)]
    if data.evaluated_models:
        version = data.evaluated_models[-1]
        links.append(Link(f"Evaluation of {version}", evaluation_of(version)))
    return links


def _tiles(data: FrontPage) -> Iterator[Tile]:
    published = [each for each in data.extracts if each.published is not None]
    if published:
        last = published[-1]
        yield Tile("customers published", count(last.published), f"extract of {last.extract_date}")
    if data.extracts:
        last = data.extracts[-1]
        duplicates = f"and {count(last.exact_duplicates)} exact duplicates"
        yield Tile("rows rejected", count(last.rejected), duplicates)
        refused = sum(each.verdict == "refused" for each in data.extracts)
        yield Tile("extracts", count(len(data.extracts)), f"{refused or 'none'} refused")


def _model_tiles(data: FrontPage) -> Iterator[Tile]:
    if data.champion:
        yield Tile("ROC-AUC", decimal(data.champion.roc_auc), f"champion {data.champion.version}")
    watch = (data.runs[-1].summary.get("watch") or {}) if data.runs else {}
    if watch:
        alerts = len(watch.get("alerts") or ())
        is_compared = alerts or watch.get("worst")
        none = "none" if is_compared else UNKNOWN
        note = "on the champion" if is_compared else "nothing to compare with yet"
        yield Tile("alerts", count(alerts) if alerts else none, note)


def _compare_with_outcome(runs: Sequence[Run]) -> list[tuple[str, str, bool]]:
    """Return the checks of predictions against realised churn, latest first: date, text, alert."""
    found: dict[tuple[str, str], tuple[str, str, bool]] = {}
    for run in runs:
        watch = run.summary.get("watch") or {}
        for each in [*(watch.get("worst") or ()), *(watch.get("alerts") or ())]:
            if each.get("watched") == REALISED:
                day = str(watch.get("extract_date", ""))
                words = str(each.get("words", ""))
                found[day, words] = (day, words, bool(each.get("alert")))
    return sorted(found.values(), reverse=True)[:RECALLED]


# --- plots ---------------------------------------------------------------------------------------


def _extract_notes(extracts: Sequence[Extract]) -> Iterator[str]:
    """Yield sentences about what has too few points for a chart."""
    if len(extracts) == 1:
        only = extracts[0]
        fate = "published" if only.published is not None else "not published"
        yield (
            f"The first extract, of {only.extract_date}, has {count(only.customers)} customers, "
            f"{fate}; {count(only.rejected)} rows were rejected. There is nothing to compare it "
            "with yet: the charts begin with the second extract."
        )
    moved = [each for each in extracts if each.drift is not None]
    if len(moved) == 1:
        only = moved[0]
        yield (
            f"Drift of the extract of {only.extract_date}: {only.drifted.replace('_', ' ')} moved "
            f"most, {decimal(only.drift)} (population stability index). Its chart begins with the "
            "next extract."
        )


def _describe_only_model(models: Sequence[Model]) -> str:
    """Return a sentence about the only version; empty if there are more, which are drawn."""
    if len(models) != 1:
        return ""
    only = models[0]
    holdout = only.holdout.get("roc_auc")
    return (
        f"The first version ranks leavers above the others with a ROC-AUC of "
        f"{decimal(only.roc_auc)} out of fold"
        + (f" and {decimal(holdout)} in the hold-out" if holdout is not None else "")
        + f" (0.5 is chance, 1 is perfect); its Brier score is {decimal(only.brier)} (lower is "
        "better). The charts begin with the second version."
    )


def _extract_plots(data: FrontPage) -> Iterator["Plot"]:
    from churn.reports.plots import Course, Plot, draw_columns

    drawn = data.extracts[-DRAWN:]
    if len(drawn) < POINTS:
        return
    labels = [each.extract_date.isoformat() for each in drawn]
    title = "Customers"
    yield Plot(
        title,
        "Customers of each extract; a refused extract is not published.",
        draw_columns(
            "customers",
            title,
            labels,
            [
                Course("published", [each.published for each in drawn]),
                Course(
                    "not published",
                    [each.customers if each.published is None else 0 for each in drawn],
                ),
            ],
        ),
    )
    if any(each.rejected or each.exact_duplicates for each in drawn):
        yield _left_out_plot(drawn, labels)
    yield from _drift_plot(drawn, labels)


def _left_out_plot(drawn: Sequence[Extract], labels: Sequence[str]) -> "Plot":
    from churn.reports.plots import Course, Plot, draw_columns

    title = "Rows left out"
    worst = max(drawn, key=_reject_share)
    return Plot(
        title,
        f"Most rejects: {percent(_reject_share(worst), 2)} of the rows, extract of "
        f"{worst.extract_date}. Exact duplicates of a row are harmless and counted separately.",
        draw_columns(
            "left-out",
            title,
            labels,
            [
                Course("rejected", [each.rejected for each in drawn]),
                Course("exact duplicates", [each.exact_duplicates for each in drawn]),
            ],
        ),
    )


def _drift_plot(drawn: Sequence[Extract], labels: Sequence[str]) -> Iterator["Plot"]:
    from churn.reports.plots import Course, Plot, draw_courses

    moved = [each for each in drawn if each.drift is not None]
    if len(moved) < POINTS:
        return
    furthest = max(moved, key=lambda each: each.drift or 0.0)
    bounds = zip(("unusual", "refused"), moved[-1].drift_bounds, strict=True)
    title = "Drift"
    yield Plot(
        title,
        "How far the feature that moved most lies from the extract before (population stability "
        f"index). The furthest: {furthest.drifted.replace('_', ' ')}, {decimal(furthest.drift)}, "
        f"extract of {furthest.extract_date}.",
        draw_courses(
            "drift",
            title,
            labels,
            [Course("feature that moved most", [each.drift for each in drawn])],
            [(name, bound) for name, bound in bounds if bound is not None],
        ),
    )


def _reject_share(extract: Extract) -> float:
    """Return rejected rows by rows, without exact duplicates, as the gate counts them."""
    rows = extract.rows - extract.exact_duplicates
    return extract.rejected / rows if rows else 0.0


def _model_plots(models: Sequence[Model]) -> Iterator["Plot"]:
    from churn.reports.plots import Course, Plot, draw_courses

    if len(models) < POINTS:
        return
    labels = [each.extract_date.isoformat() for each in models]
    chosen = frozenset(place for place, each in enumerate(models) if each.state != "candidate")
    for key, title, meaning in (
        ("roc_auc", "ROC-AUC by version", "Higher is better; 0.5 is chance."),
        ("brier", "Brier score by version", "Error of the probabilities; lower is better."),
    ):
        yield Plot(
            title,
            f"{meaning} By the extract that a version learned from last; a large mark is a version "
            "that became champion.",
            draw_courses(
                key,
                title,
                labels,
                [
                    Course("out of fold", [getattr(each, key) for each in models], chosen),
                    Course("hold-out", [each.holdout.get(key) for each in models]),
                ],
                least_span=SCORE_SPAN,
            ),
        )
