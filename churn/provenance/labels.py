"""Name columns and features as the domain calls them for readers."""

from lakehouse.domain import SourceColumn, read_domain


def format_label(header: str, column: SourceColumn) -> str:
    """Return what a column is called to its customer.

    It is what the contract declares, otherwise the description up to its first semicolon, and the
    header if it has none.
    """
    if column.in_letter:
        return column.in_letter
    text = " ".join(column.description.split()).partition(";")[0].rstrip(".")
    return header if not text or "{{" in text else text


def label_feature(name: str) -> str:
    """Return what a feature is called; its name with blanks if the domain declares nothing."""
    domain = read_domain()
    for header, column in domain.contract.columns.items():
        if name == column.name:
            return format_label(header, column)
    derived = domain.features.derived_features.get(name)
    if derived and derived.label:
        return derived.label
    text = " ".join(name.replace("_", " ").split())
    return text[:1].upper() + text[1:]
