"""Amounts as people write them."""

from decimal import Decimal

from babel.numbers import get_currency_precision


def in_units(amount: int, currency: str) -> Decimal:
    """An amount of minor units in the units of its currency, with as many decimals as that has: 12800 are 128.00 CNY and
    12800 JPY. `currency` is an ISO 4217 code."""
    return Decimal(amount).scaleb(-get_currency_precision(currency))


def spelled(amount: int, currency: str) -> str:
    """An amount of minor units with its currency: 128.00 CNY."""
    return f"{in_units(amount, currency):f} {currency}"
