"""Define the Feast entity `customer`, which the features describe."""

from feast import Entity, ValueType

customer = Entity(
    name="customer",
    join_keys=["customer_id"],
    value_type=ValueType.STRING,
    description="A customer of the operator, by the key of the workbook.",
)
