"""Format amounts of money in the currency of the domain, and numbers of things."""


def format_amount(amount: float, currency: str, decimals: int = 0) -> str:
    """Return an amount with the sign of its currency; a minus precedes both.

    Args:
        amount: The amount, in the domain's currency.
        currency: The sign; empty if the domain declares none.
        decimals: Number of decimal places.
    """
    return f"{'−' if amount < 0 else ''}{currency}{abs(amount):,.{decimals}f}"


def format_rounded(amount: float, currency: str) -> str:
    """Return an amount of two digits, for an estimate."""
    digits = len(f"{abs(amount):.0f}")
    return format_amount(round(amount, min(2 - digits, 0)), currency)


def format_number(count: float, noun: str, plural: str | None = None) -> str:
    """Return how many there are of a thing, such as `1 day` and `1,200 days`.

    Args:
        count: The number.
        noun: The thing, in the singular.
        plural: Its plural; default: with an s.
    """
    return f"{count:,} {noun if count == 1 else plural or f'{noun}s'}"
