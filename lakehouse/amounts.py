"""Format amounts of money in the currency of the domain."""


def format_amount(amount: float, currency: str, decimals: int = 0) -> str:
    """Return an amount with the sign of its currency; a minus precedes both.

    Args:
        amount: The amount, in the domain's currency.
        currency: The sign; empty if the domain declares none.
        decimals: Number of decimal places.
    """
    return f"{'−' if amount < 0 else ''}{currency}{abs(amount):,.{decimals}f}"
