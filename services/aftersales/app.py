"""The after-sales process: settings in, running service out."""

from datetime import timedelta

from pydantic import Field

from services.aftersales import api
from services.aftersales.domain.policy import Policy
from services.aftersales.handlers import service
from shared.runtime.app import serve
from shared.runtime.settings import Settings


class AftersalesSettings(Settings):
    """Settings of the after-sales service."""

    return_window: timedelta = Field(
        Policy().return_window, description="So long after delivery a return can be asked for (A2)."
    )
    authorized_up_to: int = Field(
        Policy().authorized_up_to,
        ge=0,
        description="Returns need no person while the order's refunds and open cases are at most so much, in minor units (A2).",
    )
    agent_limit: int = Field(
        Policy().agent_limit,
        ge=0,
        description="Above this amount of an order's refunds and open cases, in minor units, the back office approves (A3).",
    )
    return_within: timedelta = Field(
        Policy().return_within, description="So long the buyer has to send authorized goods back (A2)."
    )
    case_overdue_after: timedelta = Field(
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
