"""What people call the codes that events hold, by the fact that holds them: in letters stand these words, never a code (N4).

Templates say `said.anomaly` for the words of the fact `anomaly`; only what they decide by is the code itself.
"""

from collections.abc import Mapping
from typing import Any

from shared.values import Locale

NO_ADDRESS = "no e-mail address is known"
NO_MAILBOX = "the recipient is no e-mail address"
REFUSED = "the mail server refused the recipient"
ERASED = "who the buyer is was erased"
"""Why a letter was given up, where its recipient is the cause."""
UNBOOKED = "it may have left: what became of its last try was not booked"
NO_RECEIPT = "the mail server was given it, and did not say that it took it"
NO_ANSWER = "no answer in"
"""Why one was given up that its recipient may have got, the last with how long there was none."""

_HOLDS = {
    "payment_anomaly": ("支付异常待核实", "a payment that does not match"),
    "address_unconfirmed": ("收货信息待确认", "the delivery details are not confirmed"),
    "unreachable_address": ("地址无法送达", "no courier reaches the address"),
    "duplicate_suspected": ("疑似重复下单", "perhaps ordered twice"),
    "cod_unconfirmed": ("货到付款待买家同意", "the buyer has not agreed to pay on delivery"),
    "awaiting_audit": ("待审单", "waiting for audit"),
    "cancel_pending": ("取消处理中", "a cancel is under way"),
    "customer_request": ("应客户要求暂缓", "at the customer's request"),
    "out_of_stock": ("缺货", "out of stock"),
}
_WORK = {
    "none": ("尚未收到", "not there yet"),
    "released": ("已收到，未开始", "not begun"),
    "backordered": ("缺货待补", "on backorder"),
    "allocated": ("待拣货", "waiting to be picked"),
    "picking": ("拣货中", "being picked"),
    "picked": ("已拣货，待校验", "picked, waiting to be checked"),
    "checked": ("已校验，待打包", "checked, waiting to be packed"),
    "packed": ("已打包，待发出", "packed, waiting to leave"),
    "canceled": ("已取消", "canceled"),
}
_ENDS = {
    "delivered": ("已送达", "that it was delivered"),
    "return_to_sender": ("退回途中", "that it is on its way back"),
}

WORDS: dict[str, dict[str, tuple[str, str]]] = {
    "hold": _HOLDS,
    "rule": {
        "above_limit": ("订单金额超过免审单限额", "the total is above what is released without audit"),
        "given_back": ("已付款项已全部退还", "all that was paid was given back"),
        "bought_twice": ("同一买家不久前订购了相同商品", "the same buyer ordered the same goods shortly before"),
        "no_courier": ("没有快递能送达该地址", "no courier delivers to this address"),
        "too_heavy": ("单件商品过重，没有快递承运", "no courier takes so heavy a piece there"),
    },
    "overdue": {
        "address_confirmation": ("收货信息确认", "confirmation of the delivery details"),
        "ship_by": ("发货", "dispatch"),
        "deliver_by": ("送达", "delivery"),
    },
    "held_by": {
        "after-sales": ("售后", "after-sales"),
        "courier": ("快递公司", "the courier"),
        "buyer": ("买家", "the buyer"),
        "done": ("无人（订单已结束）", "nobody (the order is over)"),
        "orders: awaiting payment": ("客服（待买家付款）", "customer service (the buyer has not paid)"),
        **{f"orders: {hold}": (f"客服（{zh}）", f"customer service ({en})") for hold, (zh, en) in _HOLDS.items()},
        **{f"warehouse: {at}": (f"仓库（{zh}）", f"the warehouse ({en})") for at, (zh, en) in _WORK.items()},
    },
    "template": {
        "address_confirmation": ("收货信息确认", "please confirm the delivery details"),
        "canceled": ("订单已取消", "the order was canceled"),
        "ready_for_pickup": ("可以取货", "the order can be collected"),
        "expired": ("订单已关闭", "the order was closed unpaid"),
        "return_authorized": ("请寄回商品", "please send the goods back"),
        "returned_parcel": ("包裹退回", "the parcel comes back"),
        "rest_awaited": ("其余商品待退回", "the rest is awaited"),
        "refund_requested": ("退款", "the refund"),
        "case_rejected": ("申请未通过", "the request was not accepted"),
        "delivered_after_all": ("包裹已送达", "the parcel was delivered after all"),
    },
    "anomaly": {
        "overpaid": ("多付", "more was paid than is due"),
        "wrong_currency": ("币种不符", "paid in another currency"),
        "duplicate": ("重复付款", "paid twice"),
        "after_closing": ("订单结束后付款", "paid after the order was over"),
        "underpaid_at_closing": ("货款未收齐", "less cash was collected than is due"),
        "not_due": ("无需付款却付款", "paid although nothing is due this way"),
    },
    "reason": {
        "outside_window": ("申请已超过退货期限", "it came after the time for returns"),
        "not_as_agreed": ("寄回的商品与约定不符", "what came back was not as agreed"),
        "not_returned": ("未在期限内收到寄回的商品", "the goods did not come back in time"),
        "delivered_after_all": ("经核实，包裹已送达", "the parcel was delivered after all"),
        "withdrawn": ("已撤回", "it was taken back"),
        "by_agent": ("经客服核实，未能同意", "our staff looked at it and could not accept it"),
        "changed_mind": ("不想要了", "the buyer changed their mind"),
        "not_as_described": ("与描述不符", "not as described"),
        "damaged": ("商品损坏", "the goods are damaged"),
        "wrong_item": ("发错商品", "the wrong article came"),
        "missing_item": ("少发商品", "something is missing"),
        "late": ("送达太晚", "it came too late"),
        "other": ("其他", "other"),
        "came_back_late": ("商品逾期才退回", "the goods came back after their time was up"),
        "end_disputed": ("快递先报退回，后报送达，货物去向待核实", "its courier reported first a return, then a delivery"),
        "receipt_disputed": ("买家已确认收货，快递却报退回", "the buyer confirmed the receipt, its courier brings it back"),
        "no_word": ("取消后商品未退回，也没有送达记录", "nobody told where the goods ended, and they did not come back"),
        "cash_collected": ("退回的包裹已代收货款", "cash was collected for a parcel that came back"),
        "sum_refunded": (
            "包裹退回，但该订单此前已有一笔退款，可能正是这个包裹的货款",
            "a parcel came back, of which a refund that was asked for before may have been",
        ),
        NO_ADDRESS: ("没有已知的邮箱地址", NO_ADDRESS),
        NO_MAILBOX: ("收件邮箱地址无效", NO_MAILBOX),
        REFUSED: ("邮件服务器拒收该收件人", REFUSED),
        ERASED: ("买家资料已删除", ERASED),
    },
    "delivery_method": {
        "courier": ("快递", "by courier"),
        "self_pickup": ("到店自提", "you fetch it from us"),
        "to_door": ("送货上门", "to your door"),
        "with_installation": ("送货并安装", "brought and installed"),
    },
    "kind": {
        "return": ("退货退款", "a return"),
        "refund_only": ("仅退款", "a refund without goods"),
        "refused_cod": ("货到付款拒收", "a refused parcel"),
        "late_cancel": ("发货后取消", "a cancel after dispatch"),
        "returned_parcel": ("包裹退回", "a returned parcel"),
    },
    "waits_for": {
        "approval": ("审批", "approval"),
        "inspection": ("仓库验收退回的商品", "the inspection of what came back"),
    },
    "stands": _ENDS,
    "reported": _ENDS,
    "needs": {
        "ordinary": ("客服", "an agent"),
        "back-office": ("主管", "the back office"),
        "administrator": ("管理员", "an administrator"),
    },
    "service": {
        "orders": ("订单服务", "the orders service"),
        "warehouse": ("仓库服务", "the warehouse service"),
        "aftersales": ("售后服务", "the after-sales service"),
        "notify": ("通知服务", "the notify service"),
    },
}  # fmt: skip
"""By fact and code: zh-CN, en."""


def unsure(reason: str) -> bool:
    """True where the recipient may have got the letter that was given up."""
    return reason in (UNBOOKED, NO_RECEIPT) or reason.startswith(NO_ANSWER)


def in_words(facts: Mapping[str, Any], locale: Locale) -> dict[str, str]:
    """The facts that have words, in these. What has none stays as it is: words of a person, or a code newer than this table."""
    place = (Locale.ZH_CN, Locale.EN).index(locale)
    return {
        name: words[value][place] if value in words else str(value)
        for name, words in WORDS.items()
        if (value := facts.get(name)) is not None
    }
