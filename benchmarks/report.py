"""Write docs/benchmarks.md from results.json."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lakehouse.settings import PROJECT

RESULTS = Path(__file__).with_name("results.json")
PAGE = PROJECT / "docs" / "benchmarks.md"
START, END = "<!-- figures: made by make bench -->", "<!-- end of figures -->"
# Ratio: case, the side above the line, the side below it, bound, whether more is better.
RATIOS: dict[str, tuple[str, str, str, float, bool]] = {
    "full_10m_vs_duckdb": ("full_10m", "churn", "dbt on DuckDB", 3, False),
    "month24_vs_month2": ("months", "month 24", "month 2", 1.15, False),
    "two_cores_vs_one": ("cores", "1 core", "2 cores", 1.6, True),
    "cluster_vs_local": ("cluster", "two workers", "local", 1.3, False),
    "bronze_1m_vs_reader": ("workbook", "churn", "fastest", 1.3, False),
}
TITLES = {
    "job": "The whole job on a workbook of 7,043 customers",
    "workbook": "A workbook of a million rows into bronze",
    "full_1m": "Silver, gate and gold of 1 million customers",
    "full_10m": "Silver, gate and gold of 10 million customers",
    "months": "24 months of 200,000 customers",
    "cluster": "Two workers and local mode, 1 million customers",
    "cores": "One core and two, 10 million customers",
}


def ratios(cases: Mapping[str, Any]) -> dict[str, float]:
    """Return every ratio whose case was run, by name."""
    result = {}
    for name, (case, above, below, _, _) in RATIOS.items():
        if case in cases:
            sides = {side: measured["median_s"] for side, measured in cases[case]["sides"].items()}
            sides["fastest"] = min((s for side, s in sides.items() if side != "churn"), default=0)
            result[name] = round(sides[above] / sides[below], 3)
    return result


def write_page(results: Mapping[str, Any]) -> None:
    """Write the figures into the page."""
    PAGE.write_text(replace_figures(PAGE.read_text(), START, _figures(results)))


def replace_figures(page: str, start: str, lines: Iterable[str]) -> str:
    """Return a page with the lines between the marker `start` and `END`."""
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(END)
    return "\n".join([f"{before}{start}", *lines, f"{END}{after}"])


def _figures(results: Mapping[str, Any]) -> Iterator[str]:
    yield "| Ratio | Measured | Limit | Within |\n|---|---|---|---|"
    for name, ratio in results["ratios"].items():
        _, above, below, bound, more = RATIOS[name]
        within = "yes" if (ratio >= bound if more else ratio <= bound) else "no"
        limit = f"{'at least' if more else 'at most'} {bound:g}"
        yield f"| `{name}`, {above} / {below} | {ratio:.2f} | {limit} | {within} |"
    if counts := results.get("counts"):
        yield "\nA monthly build of 7,043 customers, second month:\n"
        yield f"| {' | '.join(counts)} |\n|{'---|' * len(counts)}"
        yield f"| {' | '.join(map(str, counts.values()))} |"
    for case, result in results["cases"].items():
        where = result["machine"]
        yield (
            f"\n**{TITLES[case]}** ({where['processor']}, {where['cores']} cores, "
            f"{where['memory_gib']} GiB; load before: {where['load_before']})\n"
        )
        yield "| Side | Median s | All rounds | Most memory, GiB |\n|---|---|---|---|"
        for side, measured in result["sides"].items():
            rounds = ", ".join(f"{seconds:.1f}" for seconds in measured["seconds"])
            yield (
                f"| {side} | {measured['median_s']:.1f} | {rounds} | {measured['most_gib']:.1f} |"
            )
