"""Draw the plots of the pages as inline SVG. Importing this loads matplotlib, so import it late."""

import io
import math
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from xml.etree import ElementTree

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from churn.reports.curves import Evaluation

# Placeholder colours, which are replaced by the page's variables for light and dark mode.
THEME = {
    "#a10001": "var(--ink)",
    "#a10002": "var(--muted)",
    "#a10003": "var(--track)",
    "#a10004": "var(--series-1)",
    "#a10005": "var(--series-2)",
    "#a10006": "var(--series-3)",
}
INK, MUTED, TRACK, *SERIES = THEME
# Distinguish series without colour too, for greyscale print and colour-blind readers.
DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))
MARKERS = ("o", "s", "^")

# In points of 1/72 inch; the page displays a point as about one pixel.
WIDTH, HEIGHT, BAR_ROW = 324, 290, 38
LONGEST_LABEL = 28
# Width of a time axis and, with a gap, of a date below it, in points.
AXIS_WIDTH, DATE_WIDTH = 255, 80
# Minimum number of positions on a time axis.
FEWEST = 2

SETTINGS = {
    # Keep text as text: a small, searchable file in the page's own font.
    "svg.fonttype": "none",
    # A category called `$x$` is a name, not a formula.
    "text.parse_math": False,
    "font.size": 11.5,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": TRACK,
    "xtick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.color": MUTED,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "legend.fontsize": 11,
    "lines.linewidth": 1.8,
    # A curve has a point for every customer: omit points that move it by less than this, in pixels.
    "path.simplify_threshold": 0.4,
}


@dataclass(frozen=True)
class Bar:
    """Bar with its name above its left end and its value above the right end."""

    label: str
    value: float
    note: str


@dataclass(frozen=True)
class Line:
    """Line through points; an empty name has no legend entry. `marked` is a highlighted point."""

    name: str
    points: Sequence[tuple[float, float]]
    marker: str
    marked: tuple[float, float] | None = None


@dataclass(frozen=True)
class Course:
    """Values over time, one per label of the plot; None leaves a gap.

    `marked` are the indexes of highlighted values.
    """

    name: str
    values: Sequence[float | None]
    marked: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Plot:
    """Drawn plot; `svg` is safe to embed in a page without escaping."""

    title: str
    caption: str
    svg: str


def readable_kind(kind: str) -> str:
    """Return the name of a model type in readable form."""
    return kind.replace("_", " ")


def _label(text: str, longest: int = LONGEST_LABEL) -> str:
    """Return one line of printable characters; other characters are not allowed in XML."""
    line = " ".join(text.split())
    line = "".join(char if char.isprintable() else "\ufffd" for char in line)
    return line if len(line) <= longest else line[: longest - 1] + "…"


@contextmanager
def _figure(height: float = HEIGHT) -> Iterator[Figure]:
    """Yield a figure with this module's settings only, independent of the user's matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(SETTINGS)
        yield Figure(figsize=(WIDTH / 72, height / 72))


def _save(figure: Figure, name: str, title: str, description: str) -> str:
    # The salt makes the ids of definitions stable, and unique among the plots of a page.
    matplotlib.rcParams["svg.hashsalt"] = name
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return _inline(buffer.getvalue(), title, description)


def _inline(document: str, title: str, description: str) -> str:
    """Convert an SVG document to an HTML element without prolog, namespaces, sizes or metadata."""
    root = ElementTree.fromstring(document)
    view_box = root.attrib["viewBox"]
    for element in root.iter():
        _strip(element)
    for child in list(root):
        if child.tag == "metadata" or child.find("style") is not None:
            root.remove(child)
    root.attrib = {"viewBox": view_box, "role": "img", "aria-label": _label(title, longest=200)}
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        element = ElementTree.Element(tag)
        element.text = _label(text, longest=2000)
        root.insert(place, element)
    return ElementTree.tostring(root, encoding="unicode")


def _strip(element: ElementTree.Element) -> None:
    """Use local names and themed colours, and drop group ids, which would repeat in the page."""
    tag = element.tag.rpartition("}")[2]
    element.tag = tag
    attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    if tag == "g":
        attributes.pop("id", None)
    if "style" in attributes:
        style = re.sub(r"font-family: [^;]*;? ?", "", attributes["style"])
        attributes["style"] = re.sub(r"#a1000\d", lambda hit: THEME[hit[0]], style)
    if "d" in attributes:
        # A hundredth of a point is finer than any screen or printer can display.
        attributes["d"] = re.sub(r"\d+\.\d+", lambda hit: f"{float(hit[0]):.2f}", attributes["d"])
    element.attrib = attributes


def draw_bars(
    name: str, title: str, rows: Sequence[Bar], limit: float, mark: float | None = None
) -> str:
    """Draw horizontal bars on a track that ends at `limit`.

    Args:
        name: Name of the plot, unique in its page.
        title: Title, used as the accessible name.
        rows: The bars, top to bottom.
        limit: Value at the right end of the track.
        mark: Value at which a line is drawn across every bar.

    Returns:
        The SVG element.
    """
    height = BAR_ROW * len(rows) + 4
    with _figure(height) as figure:
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        axes.set_xlim(0, limit)
        axes.set_ylim(height, 0)
        for place, row in enumerate(rows):
            top = place * BAR_ROW
            axes.text(0, top + 14, _label(row.label), va="baseline", fontsize=13)
            axes.text(limit, top + 14, _label(row.note), ha="right", va="baseline", fontsize=13)
            axes.barh(top + 25, limit, height=9, color=TRACK)
            axes.barh(top + 25, row.value, height=9, color=SERIES[0])
            if mark is not None:
                axes.plot([mark, mark], [top + 19, top + 31], color=INK, linewidth=1.6)
        described = "; ".join(f"{row.label}: {row.note}" for row in rows)
        return _save(figure, name, title, described)


def draw_lines(
    name: str,
    title: str,
    drawn: Sequence[Line],
    labels: tuple[str, str],
    shares: tuple[bool, bool] = (False, False),
) -> str:
    """Draw lines through points, and return the SVG element.

    `name` must be unique in a page. `labels` are those of the x and y axes; `shares` selects which
    of the two axes are formatted in percent.
    """
    with _figure() as figure:
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        axes.set(xlabel=labels[0], ylabel=labels[1])
        for axis, share in zip((axes.xaxis, axes.yaxis), shares, strict=True):
            if share:
                axis.set_major_formatter(PercentFormatter(1, decimals=0))
        if not shares[0]:
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        for line, color, dash in zip(drawn, cycle(SERIES), cycle(DASHES), strict=False):
            style: dict[str, Any] = {
                "color": color,
                "linestyle": dash,
                "marker": line.marker,
                "markersize": 5,
            }
            axes.plot(*zip(*line.points, strict=True), label=_label(line.name), **style)
            if line.marked:
                axes.plot(*line.marked, color=color, marker="o", markersize=8, linestyle="")
        axes.set_xlim(left=0)
        if not shares[1] and max(y for line in drawn for _, y in line.points) >= 1000:
            axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        if any(line.name for line in drawn):
            figure.legend(loc="outside upper left")
        return _save(figure, name, title, f"{labels[1]} over {labels[0]}")


def draw_columns(name: str, title: str, labels: Sequence[str], stacked: Sequence[Course]) -> str:
    """Draw stacked vertical columns of counts.

    Args:
        name: Name of the plot, unique in its page.
        title: Title, used as the accessible name.
        labels: One label per column.
        stacked: The counts, bottom to top.

    Returns:
        The SVG element.
    """
    with _over_time(labels) as (figure, axes):
        foot = [0.0] * len(labels)
        for course, color in zip(stacked, SERIES, strict=False):
            values = [value or 0.0 for value in course.values]
            axes.bar(range(len(labels)), values, 0.7, foot, color=color, label=_label(course.name))
            foot = [below + value for below, value in zip(foot, values, strict=True)]
        axes.set_ylim(0, max([*foot, 1]) * 1.05)
        axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        figure.legend(loc="outside upper left")
        return _save(figure, name, title, _format_values(labels, stacked, "{:,.0f}"))


def draw_courses(
    name: str,
    title: str,
    labels: Sequence[str],
    drawn: Sequence[Course],
    bounds: Sequence[tuple[str, float]] = (),
    least_span: float = 0.0,
) -> str:
    """Draw series over labels in chronological order, and return the SVG element.

    `name` must be unique in a page; `bounds` are names and values of horizontal lines.
    The value axis covers at least `least_span`, so that noise does not look like a trend.
    """
    with _over_time(labels) as (figure, axes):
        for course, color, dash, marker in zip(drawn, SERIES, DASHES, MARKERS, strict=False):
            values = [math.nan if value is None else value for value in course.values]
            axes.plot(
                range(len(labels)),
                values,
                color=color,
                linestyle=dash,
                marker=marker,
                markersize=5,
                label=_label(course.name),
            )
            places = [place for place in sorted(course.marked) if place < len(values)]
            marked = [values[place] for place in places]
            axes.plot(places, marked, color=color, marker=marker, markersize=10, linestyle="")
        for (bound, height), color in zip(bounds, (MUTED, SERIES[1]), strict=False):
            axes.axhline(height, color=color, linewidth=1.2, linestyle="--", label=_label(bound))
        if bounds:
            axes.set_ylim(bottom=0)
        _widen(axes, least_span)
        axes.yaxis.set_major_locator(MaxNLocator(6))
        figure.legend(loc="outside upper left")
        return _save(figure, name, title, _format_values(labels, drawn, "{:.3f}"))


def _widen(axes: Axes, least_span: float) -> None:
    """Let the value axis cover at least `least_span`, with what is drawn in its middle."""
    low, high = axes.get_ylim()
    if (missing := least_span - (high - low)) > 0:
        axes.set_ylim(low - missing / 2, high + missing / 2)


@contextmanager
def _over_time(labels: Sequence[str]) -> Iterator[tuple[Figure, Axes]]:
    """Yield a plot with a labelled time axis; only as many labels as are readable are drawn."""
    with _figure() as figure:
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        every = math.ceil(DATE_WIDTH * max(len(labels), FEWEST) / AXIS_WIDTH)
        # Count from the end, so that the latest position always has a label.
        places = list(range(len(labels) - 1, -1, -every))
        axes.set_xticks(places, [_label(labels[place]) for place in places])
        # A single extract is drawn at the left instead of across the whole plot.
        axes.set_xlim(-0.6, max(len(labels), FEWEST) - 0.4)
        axes.grid(visible=False, axis="x")
        yield figure, axes


def _format_values(labels: Sequence[str], drawn: Sequence[Course], form: str) -> str:
    """Describe the values in text, for screen readers."""
    return "; ".join(
        f"{label}: "
        + ", ".join(
            f"{course.name} {form.format(course.values[place])}"
            for course in drawn
            if course.values[place] is not None
        )
        for place, label in enumerate(labels)
    )


def _curves(
    name: str,
    title: str,
    evaluations: Sequence[Evaluation],
    draw: Callable[[Axes], None],
    labels: tuple[str, str],
) -> str:
    """Draw curves over axes from 0 to 100 percent."""
    with _figure() as figure:
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        axes.set(xlabel=labels[0], ylabel=labels[1], xlim=(0, 1), ylim=(0, 1.01))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        draw(axes)
        # Outside the axes, because no corner is free in every plot.
        figure.legend(loc="outside upper left")
        kinds = ", ".join(readable_kind(evaluation.kind) for evaluation in evaluations)
        return _save(figure, name, title, f"{labels[1]} over {labels[0]}, for {kinds}")


def _format_legend(evaluation: Evaluation, metric: str) -> str:
    """Return the legend entry: the model type and its out-of-fold metric."""
    figure = evaluation.out_of_fold.get(metric)
    value = "" if figure is None else f" {figure:.3f}"
    return _label(readable_kind(evaluation.kind)) + value


def _assign_styles(
    evaluations: Sequence[Evaluation],
) -> Iterator[tuple[Evaluation, dict[str, Any], str]]:
    for evaluation, color, dash, marker in zip(
        evaluations, cycle(SERIES), cycle(DASHES), cycle(MARKERS), strict=False
    ):
        yield evaluation, {"color": color, "linestyle": dash}, marker


def draw_roc(title: str, evaluations: Sequence[Evaluation]) -> str:
    """Draw the ROC curve of each model type, with its ROC-AUC in the legend."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, label="by chance 0.500")
        for evaluation, style, _ in _assign_styles(evaluations):
            drawn = _columns(evaluation, "roc", "false_positive_rate", "true_positive_rate")
            axes.plot(*drawn, label=_format_legend(evaluation, "roc_auc"), **style)

    labels = ("customers who stay and are listed", "leavers who are listed")
    return _curves("roc", title, evaluations, draw, labels)


def draw_precision_recall(title: str, evaluations: Sequence[Evaluation], rate: float | None) -> str:
    """Draw the precision-recall curve of each model type; `rate` is the level of chance."""

    def draw(axes: Axes) -> None:
        for evaluation, style, _ in _assign_styles(evaluations):
            drawn = _columns(evaluation, "pr", "recall", "precision")
            axes.plot(*drawn, label=_format_legend(evaluation, "pr_auc"), **style)
        if rate is not None:
            axes.axhline(rate, color=MUTED, linewidth=1, label=f"by chance {rate:.3f}")

    labels = ("leavers who are listed (recall)", "leavers on the list (precision)")
    return _curves("precision-recall", title, evaluations, draw, labels)


def draw_calibration(title: str, evaluations: Sequence[Evaluation]) -> str:
    """Draw the observed share over the predicted probability, by model type."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1)
        for evaluation, style, marker in _assign_styles(evaluations):
            drawn = _columns(evaluation, "calibration", "predicted", "observed")
            label = _format_legend(evaluation, "brier")
            axes.plot(*drawn, marker=marker, markersize=5, label=label, **style)

    labels = ("probability the model gives", "share that left")
    return _curves("calibration", title, evaluations, draw, labels)


def draw_thresholds(title: str, evaluations: Sequence[Evaluation], metric: str) -> str:
    """Draw `metric`, accuracy or f1, over the threshold, with a marker at the threshold in use."""

    def draw(axes: Axes) -> None:
        for evaluation, style, marker in _assign_styles(evaluations):
            swept = _columns(evaluation, "thresholds", "threshold", metric)
            axes.plot(*swept, label=_format_legend(evaluation, metric), **style)
            points = zip(*swept, strict=True)
            used = min(points, key=lambda point: abs(point[0] - evaluation.threshold), default=None)
            if used:
                axes.plot(*used, color=style["color"], marker=marker, markersize=8, linestyle="")

    labels = ("threshold on the probability", {"accuracy": "accuracy", "f1": "F1"}[metric])
    return _curves(metric, title, evaluations, draw, labels)


def draw_histogram(title: str, evaluation: Evaluation) -> str:
    """Draw customers by probability, with churned customers stacked on those who stayed."""
    names = ("from", "to", "churned", "stayed")
    left, right, left_company, stayed = _columns(evaluation, "histogram", *names)
    with _figure() as figure:
        figure.set_layout_engine("constrained")
        axes = figure.add_subplot()
        axes.set(xlabel="probability the model gives", ylabel="customers", xlim=(0, 1))
        axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
        # A narrow gap between the bars, which otherwise merge into one shape.
        width = [(end - start) * 0.92 for start, end in zip(left, right, strict=True)]
        common: dict[str, Any] = {"width": width, "align": "edge"}
        axes.bar(left, stayed, color=SERIES[0], label="stayed", **common)
        axes.bar(left, left_company, bottom=stayed, color=SERIES[1], label="left", **common)
        figure.legend(loc="outside upper left")
        described = f"customers by the probability of the {readable_kind(evaluation.kind)}"
        return _save(figure, "histogram", title, described)


def _columns(evaluation: Evaluation, curve: str, *names: str) -> list[list[float]]:
    """Return the values of a curve's points by name."""
    return [[point[name] for point in evaluation.curves[curve]] for name in names]
