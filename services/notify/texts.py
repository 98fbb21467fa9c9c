"""Templates in two languages, with the shop's courtesies, and the check that no message promises what nobody can (N4).

A template is a text file: the subject on the first line, then the body. Opening and closing stand in `_opening` and `_closing`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel import Locale as Language
from babel.dates import format_date, format_time
from babel.numbers import format_currency
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.exceptions import TemplateError
from jinja2.sandbox import SandboxedEnvironment

from services.notify.words import in_words, unsure
from shared.money import in_units
from shared.values import Address, Locale

TEMPLATES = Path(__file__).parent / "templates"

BUYER = (
    "address_confirmation", "ready_for_pickup", "shipped", "delivered", "canceled", "expired", "return_authorized",
    "returned_parcel", "rest_awaited", "return_received", "refund_requested", "case_rejected", "delivered_after_all",
)  # fmt: skip
STAFF = (
    "held",
    "escalated",
    "payment_anomaly",
    "payment_unclaimed",
    "canceled_left",
    "end_disputed",
    "approval_requested",
    "case_overdue",
    "paid_goods_arrived",
    "event_parked",
    "letter_failed",
)
TIMES = frozenset(
    {
        "answer_by",
        "captured_at",
        "return_by",
        "delivered_at",
        "shipped_at",
        "due",
        "left_at",
        "canceled_at",
        "reported_at",
        "since",
    }
)
"""Facts that are instants. By name, one by one: `held_by` and `overdue` sound like times and are none."""
DAYS = frozenset({"expected_at"})
"""Of these only the day is told (N1): nobody expects a parcel at a second."""

LOCALES = {locale: Language.parse(locale.value, sep="-") for locale in Locale}
"""Babel's, parsed once: it would do so for every date otherwise."""

_PROMISES = re.compile(
    r"肯定|保证|绝对|百分之百|一定会|承诺|\b(guarantee\w*|absolutely|definitely|certainly|promise\w*|without fail|100\s?%)",
    re.IGNORECASE,
)


class TemplatesWrong(Exception):
    """A template is missing, broken, or promises too much; says which and where."""


@dataclass(frozen=True, slots=True)
class Text:
    """A rendered message."""

    subject: str
    body: str


class Texts:
    """All templates, checked when they are loaded."""

    def __init__(
        self,
        shop: str,
        timezone: str,
        folder: Path = TEMPLATES,
        *,
        shop_address: str = "",
        return_address: str = "",
    ) -> None:
        self.house = {"shop": shop, "shop_address": shop_address, "return_address": return_address}
        self.zone = ZoneInfo(timezone)
        self.environment = SandboxedEnvironment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            keep_trailing_newline=False,
            autoescape=False,
            auto_reload=False,  # they were checked as they are; three looks at the disk a letter cost as much as filling it in
        )
        self.environment.tests["unsure"] = unsure
        if found := promise_in(shop):
            raise TemplatesWrong(f"the shop's name promises too much: {found!r}")
        for locale in Locale:
            for name in (*BUYER, *STAFF, "_opening", "_closing"):
                self._check(folder / locale.value / f"{name}.txt")

    def _check(self, file: Path) -> None:
        try:
            source = file.read_text(encoding="utf-8")
            self.environment.parse(source)
        except OSError:
            raise TemplatesWrong(f"the template {file} is missing") from None
        except TemplateError as error:
            raise TemplatesWrong(f"the template {file} is broken: {error}") from None
        if found := promise_in(source):
            raise TemplatesWrong(
                f"the template {file} promises too much: {found!r}; say what is done, not what is sure"
            )

    def render(self, template: str, locale: Locale, facts: Mapping[str, Any]) -> Text:
        """Subject and body. Raises TemplateError when a fact is missing."""
        shown = {name: self._shown(name, value, locale) for name, value in facts.items()}
        goods = _goods(facts, locale, with_skus=template in STAFF)
        values = shown | self.house | {"said": in_words(facts, locale), "goods": goods}
        whole = self.environment.get_template(f"{locale.value}/{template}.txt").render(values)
        subject, _, body = whole.partition("\n")
        around = [
            self.environment.get_template(f"{locale.value}/{part}.txt").render(values)
            for part in ("_opening", "_closing")
        ]
        inner = body.strip()
        text = inner if template in STAFF else f"{around[0].strip()}\n\n{inner}\n\n{around[1].strip()}"
        return Text(" ".join(subject.split()), text)

    def _shown(self, name: str, value: Any, locale: Locale) -> Any:
        if isinstance(value, dict) and value.keys() == {"amount", "currency"}:
            amount = in_units(value["amount"], value["currency"])
            return format_currency(amount, value["currency"], locale=LOCALES[locale])
        if isinstance(value, Address):
            return _in_a_line(value, locale)
        if isinstance(value, str) and (name in TIMES or name in DAYS):
            at, language = datetime.fromisoformat(value).astimezone(self.zone), LOCALES[locale]
            day = format_date(at, "medium", locale=language)
            if name in DAYS:
                return day
            time = format_time(at, "short", tzinfo=self.zone, locale=language)
            return str(language.datetime_formats["medium"]).format(time, day)
        return value


def _goods(facts: Mapping[str, Any], locale: Locale, *, with_skus: bool) -> str:
    """How many of what, in one line: by the shop's names, and for staff by what stands on the shelf too."""
    names, told = facts.get("names", {}), []
    for line in facts.get("lines") or ():
        sku, quantity, name = line["sku"], line["quantity"], " ".join(names.get(line["sku"], "").split())
        article = (f"{name} ({sku})" if with_skus else name) if name else sku
        told.append(f"{article} × {quantity}" if locale is Locale.ZH_CN else f"{quantity} × {article}")
    return ("、" if locale is Locale.ZH_CN else ", ").join(told)


def _in_a_line(address: Address, locale: Locale) -> str:
    """As it is written in the reader's language: from the large to the small in Chinese, the other way round in English."""
    a = address
    if locale is Locale.ZH_CN:
        abroad = a.country if a.country != "CN" else ""
        place = _run_on((a.region, a.city, a.district, a.street))
        return " ".join(part for part in (place, a.postcode, abroad) if part)
    return ", ".join(part for part in (a.street, a.district, a.city, a.region, a.postcode, a.country) if part)


def _run_on(parts: Iterable[str]) -> str:
    """Chinese is written without spaces; words of other scripts stand apart."""
    text = ""
    for part in filter(None, parts):
        apart = " " if text and max(text[-1], part[0]) < "\u2e80" else ""
        text += apart + part
    return text


def promise_in(text: str) -> str | None:
    """The first absolute promise in a text, or None."""
    found = _PROMISES.search(text)
    return found[0] if found else None
