"""What whoever reads or writes an event of the old schema would stumble over in the new one (X3)."""

from collections.abc import Iterator
from typing import Any

Schema = dict[str, Any]
_LOWER = ("minimum", "exclusiveMinimum", "minLength", "minItems")
_UPPER = ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def incompatible(old: Schema, new: Schema, *, inbox: bool) -> list[str]:
    """One sentence for each incompatible change. `inbox` events others write and we read; all others the other way round."""
    return list(dict.fromkeys(_Comparison(old, new, inbox).compare(old, new, "")))


class _Comparison:
    """Walks both schemas side by side, into what they refer to."""

    def __init__(self, old: Schema, new: Schema, inbox: bool) -> None:
        self.old, self.new, self.inbox = old.get("$defs", {}), new.get("$defs", {}), inbox

    def compare(self, was: Schema, now: Schema, where: str) -> Iterator[str]:
        """What is incompatible in this place and below."""
        was, now = _resolved(was, self.old), _resolved(now, self.new)
        place = where or "the event"
        if (kind := _kind(was)) != (became := _kind(now)):
            yield f"{place} changed from {kind} to {became}"
            return
        for value in was.get("enum", []):
            if value not in now.get("enum", []):
                yield f"{place} lost the value {value}"
        if self.inbox:
            yield from self._narrowed(was, now, place)
        if "anyOf" in was:
            yield from self._alternatives(was["anyOf"], now["anyOf"], where)
        if "items" in was:
            yield from self.compare(was["items"], now.get("items", {}), f"{where}[]")
        if isinstance(was.get("additionalProperties"), dict):
            yield from self.compare(was["additionalProperties"], now["additionalProperties"], f"{where}{{}}")
        yield from self._fields(was, now, f"{where}." if where else "")

    def _fields(self, was: Schema, now: Schema, prefix: str) -> Iterator[str]:
        before, after = was.get("properties", {}), now.get("properties", {})
        needed, needs = set(was.get("required", [])), set(now.get("required", []))
        for name, field in before.items():
            if name not in after:
                yield f"{prefix}{name} was removed"
                continue
            yield from self.compare(field, after[name], f"{prefix}{name}")
            if (
                self.inbox
                and field.get("default") != after[name].get("default")
                and name not in needed | needs
            ):
                yield f"{prefix}{name} means something else when it is left out"
        for name in sorted(needs - needed):
            yield (
                f"{prefix}{name} became required" if name in before else f"{prefix}{name} is new and required"
            )
        if not self.inbox:
            for name in sorted((needed - needs) & after.keys()):
                yield f"{prefix}{name} is no longer always there"

    def _alternatives(self, was: list[Schema], now: list[Schema], where: str) -> Iterator[str]:
        def by_kind(ones: list[Schema], values: Schema) -> dict[str, Schema]:
            return {_kind(r): r for r in (_resolved(one, values) for one in ones)}

        before, after = by_kind(was, self.old), by_kind(now, self.new)
        for kind in before.keys() - after.keys() if self.inbox else after.keys() - before.keys():
            yield f"{where} {'may no longer' if self.inbox else 'may now'} be {kind}"
        for kind in before.keys() & after.keys():
            yield from self.compare(before[kind], after[kind], where)

    def _narrowed(self, was: Schema, now: Schema, place: str) -> Iterator[str]:
        for rule in _LOWER:
            if rule in now and (rule not in was or now[rule] > was[rule]):
                yield f"{place} has a higher {rule}: {now[rule]}"
        for rule in _UPPER:
            if rule in now and (rule not in was or now[rule] < was[rule]):
                yield f"{place} has a lower {rule}: {now[rule]}"
        if "pattern" in now and now["pattern"] != was.get("pattern"):
            yield f"{place} must match another pattern"


def _resolved(schema: Schema, values: Schema) -> Schema:
    reference = schema.get("$ref")
    return values[reference.rsplit("/", 1)[1]] if reference else schema


def _kind(schema: Schema) -> str:
    if "anyOf" in schema:
        return "one of several"
    kind = schema.get("type", "anything")
    return f"{kind} ({schema['format']})" if "format" in schema else str(kind)
