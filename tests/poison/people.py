"""People and goods that are odd and legal: they come in, and come out as they are."""

from shared.events.inbox import OrderSubmitted
from shared.values import Address, Contact, OrderLine, Personal
from tests.builders import submitted

NAMES = (
    "😀 Emoji 👩‍👩‍👧‍👦 🏳️‍🌈", "محمد عبد الله", "שלום כהן", "\u202eright to left\u202c", "Z̷̡͇͊a̶l̷g̴o̷", "O'Brien \"the\" \\ backslash", "Robert'); DROP TABLE orders;--",
    "<script>alert(1)</script>", "{{ 7*7 }} {% for x in y %}", "%s %(name)s ${name} {0}", "null", "None", "NaN", "0", "-1", "𠮷野家 𝒳", "Ａｌｉｃｅ", "ﷺ",
    "\ufeffmark", "zero\u200bwidth\u00adhyphen", "\u2028line\u2029paragraph", "two\nlines\tand a tab", "نص mixed 中文 עברית", "x" * 200, "王" * 200, "👨‍👩‍👧" * 40,
    "José Ñandú", "Jose\u0301", "\x85next line", "\x9bcontrol of the second kind", "\ue000private", "\U0010ffff", "\ufffe", "=cmd|' /C calc'!A0", "@SUM(1+1)*cmd",
    "../../etc/passwd", "%00%0d%0aSet-Cookie: a=b", "&lt;b&gt;", "]]>", "\\u0000", "\\x00", "CON", "…", "-- ", "' OR '1'='1", "東京都渋谷区", "Привет", "ไทย", "한국어",
)  # fmt: skip


def odd_order(number: str, name: str) -> OrderSubmitted:
    """An order in which everything that a person writes is this."""
    contact = Contact(name=name, phone="+8613800000000", email="a+b%c@例子.example")
    address = Address(country="CN", region=name, city=name, district=name, street=name, postcode="1000-00 A")
    goods = (OrderLine(line=1, sku="TEA", name=name, quantity=2, unit_price=5000),)
    return submitted(number, lines=goods, remark=name, personal=Personal(contact=contact, address=address))
