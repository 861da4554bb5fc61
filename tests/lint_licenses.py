"""Check that every dependency has a licence that `churn/reports/licenses.toml` allows.

`make lint-licenses` checks what the bill of materials lists: packages on any platform, and JARs.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

from license_expression import (
    LicenseExpression,
    LicenseSymbol,
    LicenseWithExceptionSymbol,
    get_spdx_licensing,
)

from churn.reports.bill_of_materials import read_bill_of_materials
from churn.reports.licenses import read_declarations

SPDX = get_spdx_licensing()


def is_satisfied(expression: LicenseExpression, allowed: set[str]) -> bool:
    """Return whether an expression can be met with the allowed licences."""
    if isinstance(expression, LicenseSymbol | LicenseWithExceptionSymbol):
        return str(expression) in allowed
    parts = [is_satisfied(part, allowed) for part in expression.args]
    return any(parts) if expression.operator.strip() == "OR" else all(parts)


def check_component(component: Mapping[str, Any], declared: Mapping[str, Any]) -> str | None:
    """Return what is wrong with the licence of a component, or None."""
    name = component["name"]
    text = next((each["expression"] for each in component.get("licenses", ())), None)
    if text is None:
        return f"{name} {component['version']} states no licence that is known"
    allowed = {*declared["allowed"]}
    if name in declared["allowed_for"]:
        allowed.add(declared["allowed_for"][name]["license"])
    if is_satisfied(SPDX.parse(text), allowed):
        return None
    return f"{name} {component['version']} is under {text}, which is not allowed"


def find_problems(
    components: list[Mapping[str, Any]], declared: Mapping[str, Any]
) -> Iterator[str]:
    """Yield components without an allowed licence, and entries that no component needs."""
    names = {each["name"] for each in components}
    for component in components:
        if problem := check_component(component, declared):
            yield problem
    for table in ("stated", "allowed_for"):
        for name in declared[table].keys() - names:
            yield f"{name} is in [{table}] and no dependency"
    texts = [each["expression"] for one in components for each in one.get("licenses", ())]
    used = {str(symbol) for text in texts for symbol in SPDX.parse(text).literals}
    for name in declared["allowed"].keys() - used:
        yield f"{name} is in [allowed], and no dependency has it"


def main() -> None:
    """Print each problem, and exit with 1 if there are any."""
    components = read_bill_of_materials()["components"]
    problems = sorted(find_problems(components, read_declarations()))
    print(*problems, sep="\n")
    if problems:
        print("decide about it in churn/reports/licenses.toml, with the reason")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
