"""Define the Feast entity `customer`, which the features describe."""

from feast import Entity, ValueType

from feature_repo.project import JOIN_KEY, TAGS

customer = Entity(
    name="customer",
    join_keys=[JOIN_KEY],
    value_type=ValueType.STRING,
    description="A customer of the operator, by the key of the workbook.",
    tags=TAGS,
)
