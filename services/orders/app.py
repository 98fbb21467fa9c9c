"""The orders process: settings in, running service out."""

from collections.abc import Mapping

from pydantic import Field

from services.orders import api
from services.orders.domain.policy import Policy
from services.orders.handlers import service
from shared.runtime.app import serve
from shared.runtime.settings import Settings, Span
from shared.values import Currency, Minor


class OrdersSettings(Settings):
    """Settings of the orders service."""

    unpaid_expires_after: Span = Field(
        Policy().unpaid_expires_after,
        description="An unpaid order is closed so long after it was placed, or reached us where that was later (O4).",
    )
    confirm_within: Span = Field(
        Policy().confirm_within,
        description="When a supervisor is told that nobody confirmed the address (O6).",
    )
    duplicate_window: Span = Field(
        Policy().duplicate_window,
        description="Same buyer and goods within this time is suspected to be a mistake (O5).",
    )
    ship_within: Span = Field(
        Policy().ship_within, description="Promised dispatch where the shop gave none (O1)."
    )
    deliver_within: Span = Field(
        Policy().deliver_within, description="Promised delivery where the shop gave none (O1)."
    )
    completes_after: Span = Field(
        Policy().completes_after, description="A delivered order completes by itself after so long (O16)."
    )
    cash_within: Span = Field(
        Policy().cash_within,
        description="Cash on delivery that was not told of so long after the delivery is a payment anomaly (O3).",
    )
    audit_above: Mapping[Currency, Minor] = Field(
        Policy().audit_above,
        description="Orders above this total, by currency in minor units, wait for a person's audit; in a currency that is not "
        "named none do (O7).",
    )

    def policy(self) -> Policy:
        """The shop's policy."""
        return Policy(**{name: getattr(self, name) for name in Policy.__slots__})


def main() -> None:
    """Run the service."""
    serve(lambda settings: service(settings.policy()), OrdersSettings, [api.router])


if __name__ == "__main__":
    main()
