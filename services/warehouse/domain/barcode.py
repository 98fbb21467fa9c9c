"""What a scanner read, as the keys under which a SKU may be known (W3, W12)."""

from functools import lru_cache

from biip import ParseError, parse
from pydantic import TypeAdapter, ValidationError

from shared.values import Code

_SKU = TypeAdapter(Code)


@lru_cache(maxsize=10_000)
def keys(barcode: str) -> tuple[str, ...]:
    """Keys to look a barcode up by: as read, then the 14 digits of the GTIN in it (EAN-13, GS1-128, Digital Link)."""
    text = barcode.strip()
    gtin = _gtin(text)
    return (text, gtin) if gtin and gtin != text else (text,)


def as_skus(barcode: str) -> tuple[str, ...]:
    """The SKUs that it may have been taken for before it was registered: its keys, and its GTIN with fewer digits."""
    gtin = _gtin(barcode.strip()) or ""
    shorter = [gtin[zeros:] for zeros in (1, 2, 6) if gtin.startswith("0" * zeros)]
    return tuple(code for code in dict.fromkeys([*keys(barcode), *shorter]) if looks_like_sku(code))


def _gtin(text: str) -> str | None:
    if not any(c.isdigit() for c in text):
        return None
    try:
        gtin = parse(text).gtin
    except ParseError:
        return None
    return gtin.as_gtin_14() if gtin is not None else None


@lru_cache(maxsize=10_000)
def looks_like_sku(barcode: str) -> bool:
    """True when the text can itself be a SKU code."""
    try:
        _SKU.validate_python(barcode.strip())
    except ValidationError:
        return False
    return True
