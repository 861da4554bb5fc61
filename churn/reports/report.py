"""Render a run's report, a self-contained HTML page for the retention team and its analysts."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf, isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from churn.provenance.run_history import LIST, find_result, format_start_time
from churn.reports.curves import Evaluation
from churn.reports.rejects_workbook import EXACT_DUPLICATE
from churn.reports.retention_workbook import (
    RetentionList,
    capitalise,
    count_offers,
    explain_columns,
    format_after_calls,
    format_cost,
    format_effect,
    format_gain,
    format_paying,
)
from lakehouse.amounts import format_amount
from lakehouse.command_name import format_commands, format_rerun, rename_commands
from lakehouse.domain import read_domain
from lakehouse.page_icon import ICON
from lakehouse.run_log import format_duration
from lakehouse.sample_home import NOTE as SAMPLE_NOTE

if TYPE_CHECKING:
    from churn.reports.plots import Plot

SCORES = {
    "roc_auc": ("ROC-AUC", "how often a leaver ranks above a customer who stays; 0.5 is chance"),
    "pr_auc": ("PR-AUC", "share of leavers on the list, averaged over lists of every length"),
    "accuracy": ("accuracy", "share of customers classified correctly"),
    "f1": ("F1", "balance of finding leavers and listing no others"),
    "brier": ("Brier", "error of the probabilities; lower is better"),
}
# Verdict of a rule that needs an earlier extract, and has none.
NO_BASELINE = "not_applicable"
WORST_FIRST = {"failed": 0, "warned": 1, "expected": 1, "passed": 2, NO_BASELINE: 3}
DRIFTS_SHOWN = 8
UNKNOWN = "–"
CALL_NOTE = "each expected to bring in more than it costs"
WARNINGS_BELOW = "; they are listed below."
SEE_FRONT_PAGE = "The front page shows what is in use now."


@dataclass(frozen=True)
class GateResult:
    """Verdict of a rule on the load.

    `direction`, `description` and `unit` are empty if an earlier version wrote the verdict.
    """

    rule: str
    severity: str  # error, warn
    figure: float | None
    threshold: float | None
    direction: str  # at most, at least
    verdict: str  # passed, warned, failed, expected, not_applicable
    description: str = ""
    unit: str = ""  # rows, customers, share, index
    compared_with: str = ""  # extract date of the baseline
    drift_of: str = ""  # the feature, for a rule on drift
    approver: str = ""  # who approved a value that would have been refused
    reason: str = ""
    statement: str = ""  # what it checks, as the end of "We checked that …"


@dataclass(frozen=True)
class RejectReason:
    """Number of rows rejected for a reason; `column` is empty for reasons of the whole row.

    `message` is the reason as a sentence.
    """

    code: str
    column: str
    count: int
    message: str = ""


@dataclass(frozen=True)
class RejectedRow:
    """Example of a rejected row: its number in Excel, and its reasons as text."""

    row_number: int
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class ChurnGroup:
    """Customers of a group, and how many of them churned."""

    label: str
    customers: int
    churned: int


@dataclass(frozen=True)
class ReportData:
    """Content of the report. `summary` is the run's summary.json; all else may be empty.

    `retention_list` is the content of the workbook `LIST` beside the report, and `command` how the
    command line is called for this home.
    """

    summary: Mapping[str, Any]
    gate_results: tuple[GateResult, ...] = ()
    reject_reasons: tuple[RejectReason, ...] = ()
    rejected_rows: tuple[RejectedRow, ...] = ()
    churn_by: Mapping[str, tuple[ChurnGroup, ...]] = field(default_factory=dict)
    evaluations: tuple[Evaluation, ...] = ()
    retention_list: RetentionList | None = None
    is_sample: bool = False
    command: str = "churn"


@dataclass(frozen=True)
class Tile:
    """Key metric at the top of the page."""

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Check:
    """What was checked, in words.

    `value` is what was found where it did not hold, `found` the share where it did.
    """

    verdict: str
    statement: str
    value: str = ""
    found: str = ""


@dataclass(frozen=True)
class Stage:
    """Row count of a stage; `state` is held, broken or empty (no stage to compare with)."""

    name: str
    rows: str
    note: str = ""
    state: str = ""
    source: str = ""  # the stage whose row count it should have


@dataclass(frozen=True)
class ScoreColumn:
    """Column of the score table: a model type and its scores by name."""

    kind: str
    badge: str
    out_of_fold: Mapping[str, float]
    holdout: Mapping[str, float]


def write_report(data: ReportData, path: Path) -> None:
    """Write the page to `path`; the same data results in the same bytes."""
    path.write_bytes(_page(data).encode("utf-8"))


def _page(data: ReportData) -> str:
    return page("report.html.j2", _views(data), data.is_sample, data.command)


def read_script(*names: str) -> tuple[str, str]:
    """Return the page's only script, made of files beside this module, and its digest for a policy.

    Args:
        names: File names, in order.
    """
    texts = [Path(__file__).with_name(name).read_text().strip() for name in names]
    script = "\n".join(texts)
    return script, base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def page(
    template: str, views: Mapping[str, Any], is_sample: bool = False, command: str = "churn"
) -> str:
    """Render one of the templates next to this module as a self-contained page.

    Args:
        template: File name of the template.
        views: The template's variables.
        is_sample: Whether to mark the page, because the customers are generated.
        command: How the command line is called in the page's commands.

    Returns:
        The HTML text.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    filters = {"count": count, "percent": percent, "decimal": decimal, "duration": duration}
    environment.filters.update(filters, capitalise=capitalise)
    mark = SAMPLE_NOTE if is_sample else ""
    html = environment.get_template(template).render({**views, "sample_mark": mark, "icon": ICON})
    return format_commands(rename_commands(html, command))


def _visible(value: Any) -> Any:
    """Replace unprintable characters: in names from a workbook they may reorder the text."""
    if type(value) is not str:  # numbers and rendered markup
        return value
    return "".join(c if c.isprintable() or c.isspace() else "\ufffd" for c in value)


def _views(data: ReportData) -> dict[str, Any]:  # long: the variables of the template
    summary = data.summary
    gate, model = summary.get("gate") or {}, summary.get("model") or {}
    workbook = _workbook(summary)
    return {
        "run_id": str(summary.get("run_id", UNKNOWN)),
        "made": format_start_time(str(summary.get("run_id"))),
        "workbook": workbook,
        "rerun": format_rerun(workbook["name"], workbook["extract_date"]).strip("`"),
        "banner": banner(data),
        "tiles": list(_tiles(data)),
        "data_tiles": list(_data_tiles(summary)),
        "checks": list(_list_checks(data.gate_results)),
        "answers": list(_list_answers(data)),
        "model_in_words": _describe_model(data),
        "format_after_calls": format_after_calls,
        "explain_columns": explain_columns,
        "format_effect": format_effect,
        "format_gain": format_gain,
        "format_cost": format_cost,
        "counts": _numbers(summary.get("counts")),
        "stages": stages(_numbers(summary.get("counts"))),
        "balance": balance(_numbers(summary.get("counts"))),
        "gate": gate,
        "failed": [result for result in data.gate_results if result.verdict == "failed"],
        "gate_results": _gate_results(data.gate_results),
        "first_extract": _describe_first_extract(data),
        "several_errors": _count_errors(data.reject_reasons) > _count_rejects(data.summary),
        "format_paying": format_paying,
        "drift_plots": list(_drift_plot(data.gate_results)),
        "gate_figure": gate_figure,
        "gate_value": gate_value,
        "reject_reasons": data.reject_reasons,
        # A copy of a row is no error: the sentence above counts it apart.
        "errors": [each for each in data.reject_reasons if each.code != EXACT_DUPLICATE],
        "rejected_rows": data.rejected_rows,
        "churn_plots": list(_churn_plots(data.churn_by)),
        "to_call": data.retention_list,
        "count_offers": count_offers,
        "list_file": LIST,
        "model": model,
        "champion": _champion(model),
        "label": model.get("label") or {},
        "left_out": model.get("left_out") or [],
        "watch": summary.get("watch") or {},
        "score_columns": list(score_columns(data.evaluations, model)),
        "score_names": SCORES,
        "model_plots": list(model_plots(data.evaluations, model)),
        "seconds_plots": list(_seconds_plot(_numbers(summary.get("seconds")))),
    }


# --- gate ----------------------------------------------------------------------------------------


def _gate_results(results: Sequence[GateResult]) -> list[GateResult]:
    """Sort by severity; omit rules without a baseline, and passed ones on drift (drawn)."""
    shown = [each for each in results if each.verdict != NO_BASELINE]
    shown = [each for each in shown if not (each.drift_of and each.verdict == "passed")]
    return sorted(shown, key=lambda each: WORST_FIRST.get(each.verdict, 0))


def _describe_first_extract(data: ReportData) -> str:
    """Return since when extracts are compared, if rules had no baseline; otherwise empty."""
    skipped = sum(each.verdict == NO_BASELINE for each in data.gate_results)
    if not skipped:
        return ""
    following = "the next workbook"
    if banner(data)[0] == "refused":
        following = "the workbook after the first that passes"
    rules = f"{skipped} rules need" if skipped > 1 else "1 rule needs"
    return f"Comparisons with earlier months begin with {following}: {rules} an earlier extract."


def _count_errors(reasons: Sequence[RejectReason]) -> int:
    return sum(each.count for each in reasons)


def _count_rejects(summary: Mapping[str, Any]) -> float:
    """Return the number of rows with an error; unlimited if it is not known."""
    counts = _numbers(summary.get("counts"))
    if "rejected" not in counts:
        return inf
    return counts["rejected"] + counts.get("exact_duplicates", 0)


def _drift_plot(results: Sequence[GateResult]) -> Iterator["Plot"]:
    """Draw the drift of the features, largest first, with the threshold that refuses."""
    moved = [each for each in results if each.drift_of and each.severity == "error"]
    moved = [each for each in moved if each.figure is not None and each.threshold]
    if not moved:
        return
    from churn.reports.plots import Bar, Plot, draw_bars

    moved.sort(key=lambda each: each.figure or 0, reverse=True)
    error_above = moved[0].threshold or 0.0
    rows = [
        Bar(each.drift_of.replace("_", " "), each.figure or 0, decimal(each.figure))
        for each in moved[:DRIFTS_SHOWN]
    ]
    title = "Drift of the features"
    caption = (
        f"Population stability index against the extract of {moved[0].compared_with}, for the "
        f"features that moved most of the {len(moved)} watched. Beyond the line, at "
        f"{error_above:g}, a workbook is refused."
    )
    limit = max(error_above * 1.2, rows[0].value)
    yield Plot(title, caption, draw_bars("drift", title, rows, limit, error_above))


def _list_checks(results: Sequence[GateResult]) -> Iterator[Check]:
    """Yield what was checked, in words: what did not hold first, and all drift that held as one."""
    tested = [each for each in results if each.verdict in WORST_FIRST and each.figure is not None]
    tested = [each for each in tested if each.verdict != NO_BASELINE]
    for each in sorted(tested, key=lambda each: WORST_FIRST[each.verdict]):
        holds = each.verdict == "passed"
        if each.statement and not (holds and each.drift_of):
            yield Check(
                each.verdict,
                each.statement,
                "" if holds else gate_value(each.figure, each.unit),
                gate_value(each.figure, each.unit) if holds and each.unit == "share" else "",
            )
    steady = [each for each in tested if each.drift_of and each.severity == "error"]
    steady = [each for each in steady if each.verdict == "passed"]
    if steady:
        named = "in {} the customers resemble those of the extract before ({})"
        features = "1 characteristic" if len(steady) == 1 else f"{len(steady)} characteristics"
        yield Check("passed", named.format(features, steady[0].compared_with))


# --- number formats ------------------------------------------------------------------------------


def count(value: float | None) -> str:
    """Format a count; unknown values as a dash."""
    return UNKNOWN if value is None else f"{value:,.0f}"


def decimal(value: float | None, places: int = 3) -> str:
    """Format a number with `places` decimal places; unknown values as a dash."""
    return UNKNOWN if value is None else f"{value:,.{places}f}"


def percent(share: float | None, places: int = 1) -> str:
    """Format a share in percent with `places` decimal places; unknown values as a dash."""
    return UNKNOWN if share is None else f"{share:.{places}%}"


def money(value: float, places: int = 0) -> str:
    """Format an amount in the domain's currency."""
    return format_amount(value, read_domain().report.currency, places)


def format_signed(value: float, places: int) -> str:
    """Format a number with its sign, a minus sign and not a hyphen; a zero has none."""
    rounded = round(value, places)
    return f"{rounded:+.{places}f}".replace("-", "−") if rounded else f"{0:.{places}f}"


def duration(seconds: float | None) -> str:
    """Format a duration in seconds or minutes; unknown values as a dash."""
    if seconds is None:
        return UNKNOWN
    return format_duration(seconds).replace(" s", "\u00a0s").replace(" min", "\u00a0min")


def gate_figure(value: float | None, unit: str) -> str:
    """Format a rule's value: a share in percent, others with as many digits as they need."""
    if value is None or isnan(value):
        return "not known"
    if unit == "share":
        return f"{round(value * 100, 1 if abs(value) >= 0.1 else 2):g}%"
    return count(value) if value == int(value) else f"{value:,.4g}"


def gate_value(value: float | None, unit: str) -> str:
    """Format a rule's value with its unit, for a sentence."""
    names = {"rows": " rows", "customers": " customers", "index": " (stability index)"}
    return gate_figure(value, unit) + names.get(unit, "")


def _numbers(mapping: Any) -> dict[str, float]:
    """Return the numbers in a part of the summary, which may be missing or have nulls."""
    return {str(k): v for k, v in (mapping or {}).items() if isinstance(v, int | float)}


# --- head ----------------------------------------------------------------------------------------


def _workbook(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return the workbook by file name, because a page that is passed on must not show paths."""
    workbook = summary.get("workbook") or {}
    return {
        "name": re.split(r"[/\\]", str(workbook.get("path") or UNKNOWN))[-1],
        "sheet": str(workbook.get("sheet") or ""),
        "sha256": str(workbook.get("sha256") or ""),
        "extract_date": str(summary.get("extract_date") or UNKNOWN),
        "source": str(summary.get("extract_date_source") or ""),
    }


def banner(data: ReportData) -> tuple[str, str, str]:
    """Return state (refused, warned, passed, unknown), headline and explanation."""
    gate = data.summary.get("gate") or {}
    failed = sum(result.verdict == "failed" for result in data.gate_results)
    if failed or gate.get("failed") or gate.get("verdict") in ("refused", "failed"):
        return (
            "refused",
            "Refused: this workbook did not pass the checks",
            "Nothing of it is in use. The customers, the scores, the list and the model are those "
            "from before this run.",
        )
    if data.summary.get("unchanged"):
        return (
            "passed",
            "Unchanged: this workbook was already published",
            "Nothing had to be done; the figures are those of what is in use.",
        )
    if not gate:
        return (
            "unknown",
            "No verdict: the run ended before the checks",
            "The report shows what is known of the run.",
        )
    warned = gate.get("warned") or 0
    noun = "warning" if warned == 1 else "warnings"
    passed = f"with {warned} {noun}" if warned else _describe_passed(data)
    return "warned" if warned else "passed", *_describe_use(data.summary, passed, bool(warned))


def _describe_passed(data: ReportData) -> str:
    """Return that all checks passed; without an earlier extract, not all of them can run."""
    if any(result.verdict == NO_BASELINE for result in data.gate_results):
        passed = (data.summary.get("gate") or {}).get("passed")
        return f"all {count(passed)} checks that can run on a first workbook passed"
    return "every check passed" if data.gate_results else "every check that ran passed"


def _describe_use(summary: Mapping[str, Any], passed: str, is_warned: bool) -> tuple[str, str]:
    """Return headline and explanation: is the published extract in use, or history?"""
    look = f" No warning refuses a workbook{WARNINGS_BELOW}"
    warnings = look if is_warned else ""
    latest, day = summary.get("scored_extract_date"), summary.get("extract_date")
    if latest and latest != day:
        return (
            f"Published as history, {passed}: in use is the extract of {latest}",
            f"This workbook's customers of {day} are kept to compare with. The scores "
            f"and the list are of the extract of {latest}.{warnings}",
        )
    return (
        f"Published and in use, {passed}",
        "At the end of this run, the scores and the list were of this workbook's customers. "
        f"{SEE_FRONT_PAGE}{warnings}",
    )


def _tiles(data: ReportData) -> Iterator[Tile]:
    counts = _numbers(data.summary.get("counts"))
    if "gold" in counts:
        yield Tile("customers", count(counts["gold"]), "in this extract")
    elif "silver" in counts:
        yield Tile("customers, not published", count(counts["silver"]))
    groups = next(iter(data.churn_by.values()), ())
    if share := _churn_share(groups):
        churned, customers = (
            sum(getattr(g, key) for g in groups) for key in ("churned", "customers")
        )
        noted = f"{count(churned)} of {count(customers)} in this extract"
        yield Tile("marked as left", percent(share), noted)
    to_call = data.retention_list
    if to_call and to_call.listed and to_call.campaign.revenue:
        yield Tile("calls on the list", count(len(to_call.listed)), CALL_NOTE)
        yield create_cost_tile(to_call.summary)


def create_cost_tile(calls: Mapping[str, Any]) -> Tile:
    """Return the exact cost of the calls; `calls` is the list in numbers."""
    cost = format_amount(calls["cost"], calls.get("currency", ""))
    return Tile("cost of the calls", cost, "offers included")


def _data_tiles(summary: Mapping[str, Any]) -> Iterator[Tile]:
    counts, model = _numbers(summary.get("counts")), _numbers(summary.get("model"))
    if "rejected" in counts:
        duplicates = f"and {count(counts.get('exact_duplicates'))} exact duplicates"
        yield Tile("rows rejected", count(counts["rejected"]), duplicates)
    if "roc_auc" in model:
        yield Tile("ROC-AUC", decimal(model["roc_auc"]), "0.5 is chance, 1 is perfect")
    if summary.get("gate"):
        # The run goes on after its report, which therefore can't have the duration.
        yield Tile("result of the run", find_result(summary), "`churn runs` has its duration")


def _list_answers(data: ReportData) -> Iterator[str]:
    """Yield a sentence each on whether the data, the order of the customers and the gain hold."""
    texts = {
        "passed": "the checks passed",
        "warned": "the checks passed, with warnings",
        "refused": "not all checks passed, and nothing of this workbook is in use",
        "unknown": "the run ended before the checks",
    }
    yield f"The data: {texts[banner(data)[0]]}."
    is_tested = bool((data.summary.get("model") or {}).get("top_decile_lift"))
    tested = "the order was tested on customers the model had not seen; see below"
    yield f"Who is at risk: {tested if is_tested else 'not tested in this run'}."
    to_call = data.retention_list
    if to_call and to_call.listed and to_call.campaign.revenue:
        effect = to_call.campaign.effect
        assumed, measured = "an assumption until a campaign is measured", "the effect of a call is "
        yield f"The money: {assumed if effect.is_assumed else measured + effect.source}."


def _describe_model(data: ReportData) -> str:
    """Return how well the model finds leavers, in words; empty if that was not measured."""
    lift = (data.summary.get("model") or {}).get("top_decile_lift")
    if not lift:
        return ""
    to_call = data.retention_list
    by_gain = to_call and to_call.listed and to_call.campaign.revenue
    order = " The list is ordered by expected gain, so it is not that tenth." if by_gain else ""
    return (
        "Among the tenth of the customers with the highest probabilities, the share that left was "
        f"{decimal(lift, 1)} times that of all customers. This was measured on customers whose "
        f"rows the model had not seen.{order}"
    )


# --- row counts by stage -------------------------------------------------------------------------


def stages(counts: Mapping[str, float]) -> list[Stage]:
    """Return the stages from bronze to the scores, each compared with the stage before it."""
    left_out = (
        f"{count(counts.get('exact_duplicates'))} duplicates"
        f" and {count(counts.get('rejected'))} rejected left out"
    )
    way = [
        ("bronze", "rows as read", "bronze", ""),
        ("silver", left_out, "silver", ""),
        ("gold", "published features", "gold", "silver"),
        ("online store", "read back and compared", "online_verified", "gold"),
        ("scores", "customers scored", "scored", "gold"),
    ]
    return [
        Stage(name, count(counts.get(key)), note, _state(counts, key, source), source)
        for name, note, key, source in way
    ]


def _state(counts: Mapping[str, float], key: str, before: str) -> str:
    if key not in counts or before not in counts:
        return ""
    return "held" if counts[key] == counts[before] else "broken"


def balance(counts: Mapping[str, float]) -> tuple[str, str] | None:
    """Return the balance of the rows as text, and held or broken; None if a count is missing."""
    names = ("bronze", "silver", "exact_duplicates", "rejected")
    if any(name not in counts for name in names):
        return None
    read, kept, duplicates, rejected = (counts[name] for name in names)
    holds = read == kept + duplicates + rejected
    text = (
        f"{count(read)} rows read {'=' if holds else '≠'} {count(kept)} kept"
        f" + {count(duplicates)} exact duplicates + {count(rejected)} rejected"
    )
    return text, "held" if holds else "broken"


# --- plots ---------------------------------------------------------------------------------------


def _churn_share(groups: Sequence[ChurnGroup]) -> float | None:
    customers = sum(group.customers for group in groups)
    return sum(group.churned for group in groups) / customers if customers else None


def _churn_plots(churn_by: Mapping[str, Sequence[ChurnGroup]]) -> Iterator["Plot"]:
    """Draw churn by group. A full track is 100% in each plot, so that the bars are comparable."""
    for name, groups in churn_by.items():
        if groups:
            yield _churn_plot(name, groups)


def _churn_plot(name: str, groups: Sequence[ChurnGroup]) -> "Plot":
    from churn.reports.plots import Bar, Plot, draw_bars

    title = f"{name}: share that left"
    overall = _churn_share(groups)
    rows = [
        Bar(
            group.label,
            group.churned / group.customers if group.customers else 0.0,
            f"{percent(_churn_share([group]))} of {count(group.customers)}",
        )
        for group in groups
    ]
    highest = max(rows, key=lambda row: row.value)
    caption = (
        f"Highest: {highest.label}, {highest.note} customers. "
        f"A full bar is 100%; the upright line is the share of all customers, {percent(overall)}."
    )
    return Plot(
        title,
        caption,
        draw_bars(f"churn-{re.sub('[^a-z0-9]+', '-', name.lower())}", title, rows, 1.0, overall),
    )


def model_plots(evaluations: Sequence[Evaluation], model: Mapping[str, Any]) -> Iterator["Plot"]:
    """Yield the plots of the scores; a curve that no model has is omitted."""
    if not evaluations:
        return
    chosen = _select_evaluation(evaluations, model)
    yield from _ranking_plots(evaluations)
    yield from _threshold_plots(evaluations, chosen)
    yield from _probability_plots(evaluations, chosen)


def _having(evaluations: Sequence[Evaluation], curve: str) -> list[Evaluation]:
    return [evaluation for evaluation in evaluations if evaluation.curves.get(curve)]


def _ranking_plots(evaluations: Sequence[Evaluation]) -> Iterator["Plot"]:
    from churn.reports import plots

    if drawn := _having(evaluations, "roc"):
        title = "ROC curve (ROC-AUC)"
        caption = (
            "Calling more customers finds more of those who leave and bothers more of those who "
            "stay. The further above the grey line of chance, the better. "
        )
        yield plots.Plot(title, caption + _holdout(drawn, "roc_auc"), plots.draw_roc(title, drawn))
    if drawn := _having(evaluations, "pr"):
        title = "Precision and recall (PR-AUC)"
        caption = (
            "A list that contains this share of the leavers (across) has this share of leavers "
            "among its customers (up). The grey line is a list drawn at random. "
        )
        svg = plots.draw_precision_recall(title, drawn, _base_rate(drawn))
        yield plots.Plot(title, caption + _holdout(drawn, "pr_auc"), svg)


def _threshold_plots(evaluations: Sequence[Evaluation], chosen: Evaluation) -> Iterator["Plot"]:
    from churn.reports import plots

    drawn = _having(evaluations, "thresholds")
    used = f"The marker is at {percent(chosen.threshold, 0)}; the list does not use a threshold. "
    captions = {
        "accuracy": "Share classified correctly if all above the threshold count as leavers. ",
        "f1": "High where most leavers are found and few others are listed with them. ",
    }
    for metric, caption in captions.items():
        if drawn:
            title = f"{'Accuracy' if metric == 'accuracy' else 'F1'} by threshold"
            svg = plots.draw_thresholds(title, drawn, metric)
            yield plots.Plot(title, caption + used + _holdout(drawn, metric), svg)


def _probability_plots(evaluations: Sequence[Evaluation], chosen: Evaluation) -> Iterator["Plot"]:
    from churn.reports import plots

    if drawn := _having(evaluations, "calibration"):
        title = "Calibration (Brier score)"
        caption = (
            "Of 100 customers whom the model gives 60%, about 60 should leave: "
            "points on the grey line. "
        )
        svg = plots.draw_calibration(title, drawn)
        yield plots.Plot(title, caption + _holdout(drawn, "brier"), svg)
    if chosen.curves.get("histogram"):
        title = "Customers by probability"
        caption = (
            f"How many customers the {plots.readable_kind(chosen.kind)} gives each probability. "
            "The better the model, the further apart the two colours lie."
        )
        yield plots.Plot(title, caption, plots.draw_histogram(title, chosen))


def _holdout(evaluations: Sequence[Evaluation], metric: str) -> str:
    """Format the hold-out's metrics, for the caption of a plot of the folds."""
    figures = [
        f"{evaluation.kind.replace('_', ' ')} {evaluation.holdout[metric]:.3f}"
        for evaluation in evaluations
        if metric in evaluation.holdout
    ]
    return f"Hold-out: {', '.join(figures)}." if figures else ""


def _base_rate(evaluations: Sequence[Evaluation]) -> float | None:
    """Return the churn rate from the first histogram: all models use the same customers."""
    for evaluation in evaluations:
        bins = evaluation.curves.get("histogram", [])
        churned, stayed = (sum(each[name] for each in bins) for name in ("churned", "stayed"))
        if churned + stayed:
            return churned / (churned + stayed)
    return None


def _seconds_plot(seconds: Mapping[str, float]) -> Iterator["Plot"]:
    if not seconds:
        return
    from churn.reports.plots import Bar, Plot, draw_bars

    title = "Time by step"
    rows = [Bar(step.replace("_", " "), value, duration(value)) for step, value in seconds.items()]
    slowest = max(rows, key=lambda row: row.value)
    caption = (
        "In the order of the run, up to this report. "
        f"The longest step is {slowest.label}, {slowest.note}."
    )
    yield Plot(title, caption, draw_bars("seconds", title, rows, slowest.value or 1.0))


# --- model ---------------------------------------------------------------------------------------


def _select_evaluation(evaluations: Sequence[Evaluation], model: Mapping[str, Any]) -> Evaluation:
    """Return the evaluation of the run's model type; the first if the summary names none."""
    kind = model.get("kind")
    return next(
        (evaluation for evaluation in evaluations if evaluation.kind == kind), evaluations[0]
    )


def _champion(model: Mapping[str, Any]) -> str:
    """Describe whether the run's model became champion; the summary has a bool or the reason."""
    champion, promotion = model.get("champion"), model.get("promotion") or {}
    why = f" Why: {promotion['reason']}." if promotion.get("reason") else ""
    if champion is True:
        return f"It is the champion: the scores and the online API come from it.{why}"
    if champion is False:
        earlier = promotion.get("champion")
        from_whom = f"the scores come from {earlier}" if earlier else "no customer is scored"
        return f"It did not become the champion: {from_whom}.{why}"
    return str(champion) if champion else ""


def score_columns(
    evaluations: Sequence[Evaluation], model: Mapping[str, Any], chosen: str = "this run's choice"
) -> Iterator[ScoreColumn]:
    """Yield one column per model type; without evaluations, the metrics of the summary."""
    badge = "champion" if model.get("champion") is True else chosen
    for evaluation in evaluations:
        mark = badge if evaluation.kind == model.get("kind") else ""
        kind = evaluation.kind.replace("_", " ")
        yield ScoreColumn(kind, mark, evaluation.out_of_fold, evaluation.holdout)
    if model and not evaluations:
        kind = str(model.get("kind") or "model").replace("_", " ")
        yield ScoreColumn(kind, badge, _numbers(model), _numbers(model.get("holdout")))
