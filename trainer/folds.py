"""Which fold a row belongs to, as SQL expressions over its features, or over whose row it is.

Equal values of the columns give equal hashes, so a group of rows that are equal in them is never
split; neither the order of rows nor their partitions matter.
"""

from collections.abc import Sequence

# Parts of a hold-out hash; the share is counted in these.
GRAIN = 10_000


def fold(columns: Sequence[str], seed: int, folds: int) -> str:
    """The fold, 0 to `folds` - 1."""
    return f"cast(pmod({_hash(columns, f'fold {seed}')}, {folds}) as int)"


def is_holdout(columns: Sequence[str], seed: int, share: float) -> str:
    """Whether the row belongs to the hold-out, about `share` of the rows."""
    return f"pmod({_hash(columns, f'holdout {seed}')}, {GRAIN}) < {round(share * GRAIN)}"


def _hash(columns: Sequence[str], salt: str) -> str:
    # xxhash64 chains its arguments: another salt in front is another hash of the same row.
    return f"xxhash64('{salt}', {', '.join(f'`{name}`' for name in columns)})"
