"""Which fold a row belongs to, as SQL expressions over the columns that keep rows together.

Equal values of the columns give equal hashes, so a group of rows that are equal in them is never
split; neither the order of rows nor their partitions matter.
"""

from collections.abc import Sequence

# Parts of a hold-out hash; the share is counted in these.
GRAIN = 10_000
# The unit of the bootstrap: rows that belong together are drawn together.
BLOCKS = 100


def fold(columns: Sequence[str], seed: int, folds: int) -> str:
    """The fold, 0 to `folds` - 1."""
    return f"cast(pmod({_hash(columns, f'fold {seed}')}, {folds}) as int)"


def bootstrap_block(columns: Sequence[str], seed: int) -> str:
    """The block that the bootstrap draws or leaves, 0 to BLOCKS - 1."""
    return f"cast(pmod({_hash(columns, f'block {seed}')}, {BLOCKS}) as int)"


def share(columns: Sequence[str], seed: int) -> str:
    """Where in [0, 1) the row stands: those below s are about s of the rows."""
    return f"pmod({_hash(columns, f'share {seed}')}, {GRAIN}) / {GRAIN}"


def is_holdout(columns: Sequence[str], seed: int, share: float) -> str:
    """Whether the row belongs to the hold-out, about `share` of the rows.

    It goes by a customer, the first one among those of equal columns, and not by the columns: who
    was held out stays so when the next extract brings other features, and a model of this month
    and one of the next can be compared on customers whom neither has seen.
    """
    first = f"min(customer_id) over (partition by {_hash(columns, 'together')})"
    return f"pmod(xxhash64('holdout {seed}', {first}), {GRAIN}) < {round(share * GRAIN)}"


def _hash(columns: Sequence[str], salt: str) -> str:
    # xxhash64 chains its arguments: another salt in front is another hash of the same row.
    return f"xxhash64('{salt}', {', '.join(f'`{name}`' for name in columns)})"
