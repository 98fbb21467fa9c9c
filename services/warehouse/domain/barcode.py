"""What a scanner read, as the keys under which a SKU may be known (W3, W12)."""

import re
from functools import lru_cache

from biip import ParseError, parse
from pydantic import TypeAdapter, ValidationError

from shared.values import Code

_SKU = TypeAdapter(Code)
_LINK = re.compile(r"(?:\][A-Za-z][0-9])?(https?://[^/]+)(/.*)", re.IGNORECASE | re.DOTALL)
"""A web address as a scanner reads it from a QR code: with or without its symbology, mostly in upper case to save room."""


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
    if (link := _LINK.fullmatch(text)) is not None:
        text = link[1].lower() + link[2]
    try:
        gtin = parse(text).gtin
    except ParseError:
        return None
    return gtin.as_gtin_14() if gtin is not None else None


@lru_cache(maxsize=10_000)
def looks_like_sku(barcode: str) -> bool:
    """True when the text can itself be a SKU code; a web address names a piece, or nothing of ours."""
    if "://" in barcode:
        return False
    try:
        _SKU.validate_python(barcode.strip())
    except ValidationError:
        return False
    return True
