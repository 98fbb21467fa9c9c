"""Which version runs."""

import os
from importlib.metadata import PackageNotFoundError, version


def running_version() -> str:
    """That of the image (HANDOVER_VERSION, which its build sets), or of the package; `unknown` in a checkout."""
    if built := os.environ.get("HANDOVER_VERSION"):
        return built
    try:
        return version("handover")
    except PackageNotFoundError:
        return "unknown"
