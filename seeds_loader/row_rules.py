"""What each reject code means, in words.

Declared among the variables of the dbt project, beside the source contract, and nowhere else.
"""

from collections.abc import Mapping
from pathlib import Path

import yaml

from lakehouse.errors import ChurnError
from lakehouse.variables import DECLARED, read_variables


def read_reject_words(path: Path | None = None) -> Mapping[str, str]:
    """Words by reject code, from a dbt project file, by default this checkout's.

    `vars.reject_reasons` has those of single cells and of duplicates; a rule of `vars.row_rules`
    has its own name for a code and its description for words.

    Raises ChurnError when they can't be read: that is a fault of the project.
    """
    place = path or DECLARED
    try:
        declared = read_variables(place)
        rules = {name: rule["description"] for name, rule in declared["row_rules"].items()}
        words = {**declared["reject_reasons"], **rules}
    except (OSError, yaml.YAMLError, LookupError, TypeError, AttributeError) as fault:
        raise ChurnError(
            f"the words of the reject codes can't be read: {fault!r}",
            where=str(place),
            remedy="restore or correct vars.row_rules and vars.reject_reasons",
        ) from fault
    return {code: " ".join(str(text).split()) for code, text in words.items()}
