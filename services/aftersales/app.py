"""The after-sales process: settings in, running service out."""

from collections.abc import Mapping

from pydantic import Field

from services.aftersales import api
from services.aftersales.domain.policy import Policy
from services.aftersales.handlers import service
from shared.runtime.app import serve
from shared.runtime.settings import Settings, Span
from shared.values import Currency, Minor


class AftersalesSettings(Settings):
    """Settings of the after-sales service."""

    return_window: Span = Field(
        Policy().return_window, description="So long after delivery a return can be asked for (A2)."
    )
    authorized_up_to: Mapping[Currency, Minor] = Field(
        Policy().authorized_up_to,
        description="Returns need no person while the order's refunds and open cases are at most so much, by currency in minor "
        'units, like `{"CNY": 50000, "JPY": 10000}`; in a currency that is not named each needs one (A2).',
    )
    agent_limit: Mapping[Currency, Minor] = Field(
        Policy().agent_limit,
        description="Above this amount of an order's refunds and open cases, by currency in minor units, the back office "
        "approves; in a currency that is not named it approves all (A3).",
    )
    return_within: Span = Field(
        Policy().return_within, description="So long the buyer has to send authorized goods back (A2)."
    )
    case_overdue_after: Span = Field(
        Policy().case_overdue_after,
        description="So long a case waits for an approval, or its goods for their inspection, before staff hear of it (A7).",
    )

    def policy(self) -> Policy:
        """The shop's policy."""
        return Policy(**{name: getattr(self, name) for name in Policy.__slots__})


def main() -> None:
    """Run the service."""
    serve(lambda settings: service(settings.policy()), AftersalesSettings, [api.router])


if __name__ == "__main__":
    main()
