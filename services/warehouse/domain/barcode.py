"""What a scanner read, as the keys under which a SKU may be known (W3, W12)."""

import re
from functools import lru_cache

from biip import ParseError, parse
from pydantic import TypeAdapter, ValidationError

from shared.events.inbox import SYMBOLOGY
from shared.values import Code

_SKU = TypeAdapter(Code)
_LINK = re.compile(r"(https?://[^/]+)(/.*)", re.IGNORECASE | re.DOTALL)
"""A web address as a scanner reads it from a QR code, mostly in upper case to save room."""
_KIND = re.compile(f"^{SYMBOLOGY}")
_OF_GS1 = re.compile(r"\](?:C1|e[0-3]|d2|Q3|J1)")
"""Symbologies of GS1 strings (GS1-128, DataBar, DataMatrix, QR, DotCode): such a string tells of a piece, and is no name."""


@lru_cache(maxsize=10_000)
def keys(barcode: str) -> tuple[str, ...]:
    """Keys to look a barcode up by: as read, without its symbology, then the 14 digits of the GTIN in it (EAN-13, GS1-128,
    Digital Link)."""
    text = barcode.strip()
    return tuple(key for key in dict.fromkeys((text, _KIND.sub("", text), _gtin(text))) if key)


def as_skus(barcode: str) -> tuple[str, ...]:
    """The SKUs that it may have been taken for before it was registered: its keys, and its GTIN with fewer digits."""
    gtin = _gtin(barcode.strip()) or ""
    shorter = [gtin[zeros:] for zeros in (1, 2, 6) if gtin.startswith("0" * zeros)]
    return tuple(code for code in dict.fromkeys([*keys(barcode), *shorter]) if _looks_like_sku(code))


def _gtin(text: str) -> str | None:
    if not any(c.isdigit() for c in text):
        return None
    if (link := _LINK.fullmatch(_KIND.sub("", text))) is not None:
        text = link[1].lower() + link[2]
    try:
        gtin = parse(text).gtin
    except ParseError:
        return None
    return gtin.as_gtin_14() if gtin is not None else None


@lru_cache(maxsize=10_000)
def itself(barcode: str) -> str | None:
    """The SKU that a barcode is when nobody registered it, if it can be one."""
    text = barcode.strip()
    code = _KIND.sub("", text)
    return code if _looks_like_sku(code) and _OF_GS1.match(text) is None else None


def _looks_like_sku(code: str) -> bool:
    """True when the text can itself be a SKU code; a web address names a piece, or nothing of ours."""
    if "://" in code:
        return False
    try:
        _SKU.validate_python(code)
    except ValidationError:
        return False
    return True
