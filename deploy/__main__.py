"""The script `handover`, also `python -m deploy`."""

import signal
import sys
import threading


def main() -> None:
    """Run the command line. Whoever stops it while it still loads is not shown where it was."""
    sys.unraisablehook = _interrupt_again
    try:
        from deploy.cli import app

        app()
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell has it


def _interrupt_again(lost: "sys.UnraisableHookArgs") -> None:
    """A Ctrl-C that arrives while Python clears away what nobody needs any more, which may be at any time, is only printed and
    the command goes on: so it is sent again, a moment later."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        main_thread = threading.main_thread().ident or 0
        threading.Timer(0.05, signal.pthread_kill, (main_thread, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(lost)


if __name__ == "__main__":
    main()
