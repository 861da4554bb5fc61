"""docs/benchmarks.md, from results.json."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lakehouse.settings import PROJECT

RESULTS = Path(__file__).with_name("results.json")
PAGE = PROJECT / "docs" / "benchmarks.md"
START, END = "<!-- figures: made by make bench -->", "<!-- end of figures -->"
# Ratio: case, the side above the line, the side below it, bound, whether more is better.
RATIOS: dict[str, tuple[str, str, str, float, bool]] = {
    "full_10m_vs_duckdb": ("full_10m", "ours", "dbt on DuckDB", 3, False),
    "month24_vs_month2": ("months", "month 24", "month 2", 1.15, False),
    "two_cores_vs_one": ("cores", "1 core", "2 cores", 1.6, True),
    "cluster_vs_local": ("cluster", "two workers", "local", 1.3, False),
    "bronze_1m_vs_reader": ("workbook", "ours", "fastest", 1.3, False),
}
TITLES = {
    "workbook": "A workbook of a million rows into bronze",
    "full_1m": "Silver, gate and gold of 1 million customers",
    "full_10m": "Silver, gate and gold of 10 million customers",
    "months": "24 months of 200,000 customers",
    "cluster": "Two workers beside local mode, 1 million customers",
    "cores": "One core and two, 10 million customers",
}


def ratios(cases: Mapping[str, Any]) -> dict[str, float]:
    """Every ratio whose case was run, by its name."""
    found = {}
    for name, (case, above, below, _, _) in RATIOS.items():
        if case in cases:
            sides = {side: each["median_s"] for side, each in cases[case]["sides"].items()}
            sides["fastest"] = min((s for side, s in sides.items() if side != "ours"), default=0)
            found[name] = round(sides[above] / sides[below], 3)
    return found


def write_page(results: Mapping[str, Any]) -> None:
    """Put the figures where the page has a place for them."""
    before, _, rest = PAGE.read_text().partition(START)
    _, _, after = rest.partition(END)
    body = "\n".join(_figures(results))
    PAGE.write_text(f"{before}{START}\n{body}\n{END}{after}")


def _figures(results: Mapping[str, Any]) -> Iterator[str]:
    yield "| Ratio | Found | Bound | Holds |\n|---|---|---|---|"
    for name, found in results["ratios"].items():
        _, above, below, bound, more = RATIOS[name]
        holds = "yes" if (found >= bound if more else found <= bound) else "no"
        words = f"{'at least' if more else 'at most'} {bound:g}"
        yield f"| `{name}`, {above} / {below} | {found:.2f} | {words} | {holds} |"
    for case, told in results["cases"].items():
        where = told["machine"]
        yield (
            f"\n**{TITLES[case]}** ({where['processor']}, {where['cores']} cores, "
            f"{where['memory_gib']} GiB; load before: {where['load_before']})\n"
        )
        yield "| Side | Median s | All rounds | Most memory, GiB |\n|---|---|---|---|"
        for side, each in told["sides"].items():
            rounds = ", ".join(f"{seconds:.1f}" for seconds in each["seconds"])
            yield f"| {side} | {each['median_s']:.1f} | {rounds} | {each['most_gib']:.1f} |"
