"""The file that describes the shop's couriers: read once as the service starts, and refused whole where it is wrong (W6)."""

import re
import tomllib
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from services.warehouse.domain.courier import SENDER_LENGTH, Courier, Couriers
from shared.values import Text

DEFAULT_COURIERS = Path(__file__).parent / "couriers.toml"
_SENDER: TypeAdapter[str] = TypeAdapter(Text)


class CouriersFileError(Exception):
    """The couriers file cannot be used; says where and why."""


def load_couriers(file: Path) -> Couriers:
    """Read a couriers file (TOML: `sender`, and a table `[[courier]]` each). Raises CouriersFileError with what is wrong and
    where."""
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise CouriersFileError(f"{file} cannot be read: {error.strerror}") from None
    except tomllib.TOMLDecodeError as error:
        raise CouriersFileError(f"{file} is not TOML: {error}") from None
    if unknown := content.keys() - {"courier", "sender"}:
        raise CouriersFileError(
            f"{file}: nobody knows what {', '.join(sorted(unknown))} means; take sender and [[courier]]"
        )
    try:
        sender = _SENDER.validate_python(content.get("sender", ""))
    except ValidationError as error:
        raise CouriersFileError(f"{file}: sender: {error.errors(include_url=False)[0]['msg']}") from None
    if len(sender) > SENDER_LENGTH:
        raise CouriersFileError(
            f"{file}: sender: a label has room for {SENDER_LENGTH} characters, not {len(sender)}"
        )
    tables = content.get("courier")
    if not isinstance(tables, list) or not tables:
        raise CouriersFileError(f"{file} describes no courier; add a table [[courier]]")
    couriers = []
    for place, table in enumerate(tables, 1):
        try:
            couriers.append(Courier.model_validate(table))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = re.sub(r"\.(\d+)", r"[\1]", ".".join(map(str, first["loc"])))
            raise CouriersFileError(
                f"{file}: courier {place}, {where or 'as a whole'}: {first['msg']}"
            ) from None
    for name in ("code", "number_prefix"):
        values = [getattr(c, name) for c in couriers]
        if len(set(values)) != len(values):
            raise CouriersFileError(f"{file}: two couriers have the same {name}")
    return Couriers(tuple(couriers), sender)
