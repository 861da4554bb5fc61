"""Assign rows to folds, by SQL expressions over the columns that keep rows together.

Equal values of the columns give equal hashes, so a group of rows that are equal in them is never
split; neither the order of rows nor their partitions matter.
"""

from collections.abc import Sequence

# Number of parts of a hold-out hash, the unit of the hold-out's share.
GRAIN = 10_000
# Number of blocks, the unit of the bootstrap: rows that belong together are drawn together.
BLOCKS = 100


def fold(columns: Sequence[str], seed: int, folds: int) -> str:
    """Return a SQL expression for the fold, 0 to `folds` - 1."""
    return f"cast(pmod({_hash(columns, f'fold {seed}')}, {folds}) as int)"


def bootstrap_block(columns: Sequence[str], seed: int) -> str:
    """Return a SQL expression for the bootstrap's block of a row, 0 to BLOCKS - 1."""
    return f"cast(pmod({_hash(columns, f'block {seed}')}, {BLOCKS}) as int)"


def share(columns: Sequence[str], seed: int) -> str:
    """Return a SQL expression for the row's position in [0, 1).

    The rows below s are about a share s of all rows.
    """
    return f"pmod({_hash(columns, f'share {seed}')}, {GRAIN}) / {GRAIN}"


def is_holdout(columns: Sequence[str], seed: int, share: float) -> str:
    """Return a SQL condition for the hold-out, which is about `share` of the rows.

    The condition depends on a customer, the first one among those of equal columns, and not on the
    columns: a held-out customer stays held out when the next extract changes the features, so that
    this month's model and the next month's can be compared on customers that neither was trained
    on.
    """
    first = f"min(customer_id) over (partition by {_hash(columns, 'together')})"
    return f"pmod(xxhash64('holdout {seed}', {first}), {GRAIN}) < {round(share * GRAIN)}"


def _hash(columns: Sequence[str], salt: str) -> str:
    # xxhash64 chains its arguments: another salt in front gives another hash of the same row.
    return f"xxhash64('{salt}', {', '.join(f'`{name}`' for name in columns)})"
