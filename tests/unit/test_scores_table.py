"""The table of scores is the same, whether dbt or the trainer creates it."""

import re

import yaml

from lakehouse.settings import PROJECT
from trainer.score import CREATE

SOURCES = PROJECT / "models" / "gold" / "_scores__sources.yml"


def test_both_declarations_have_the_same_columns() -> None:
    (table,) = yaml.safe_load(SOURCES.read_text())["sources"][0]["tables"]
    declared = {column["name"]: column["data_type"] for column in table["columns"]}
    columns = re.search(r"\(\n(.*)\n\) using", CREATE, re.DOTALL)
    assert columns is not None
    text = re.sub(r"\s+comment '[^']*'", "", columns[1])
    assert declared == dict(re.findall(r"^ +(\w+) (.*?),?$", text, re.MULTILINE))
