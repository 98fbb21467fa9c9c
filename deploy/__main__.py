"""The script `handover`, also `python -m deploy`."""

import sys


def main() -> None:
    """Run the command line. Whoever stops it while it still loads is not shown where it was."""
    try:
        from deploy.cli import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell has it


if __name__ == "__main__":
    main()
