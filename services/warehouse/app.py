"""The warehouse process: settings in, running service out."""

import sys
from pathlib import Path

from pydantic import Field

from services.warehouse import api
from services.warehouse.couriers_file import DEFAULT_COURIERS, CouriersFileError, load_couriers
from services.warehouse.desk import WarehouseDesk
from services.warehouse.handlers import service
from shared.runtime.app import serve
from shared.runtime.service import Service
from shared.runtime.settings import Settings


class WarehouseSettings(Settings):
    """Settings of the warehouse."""

    couriers_file: Path | None = Field(
        None,
        description="TOML file of the shop's couriers (W6); without it services/warehouse/couriers.toml.",
    )


def make(settings: WarehouseSettings) -> Service[WarehouseDesk]:
    """The service with the couriers of its file; ends the process with a sentence when the file is wrong."""
    try:
        return service(load_couriers(settings.couriers_file or DEFAULT_COURIERS))
    except CouriersFileError as error:
        print(f"The setting HANDOVER_COURIERS_FILE is wrong: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(2)


def main() -> None:
    """Run the service."""
    serve(make, WarehouseSettings, [api.router])


if __name__ == "__main__":
    main()
