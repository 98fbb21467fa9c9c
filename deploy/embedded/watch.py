"""Keeps a running stack running: what ended by itself is said and started again."""

import subprocess
import time
from collections.abc import Callable
from functools import partial

from deploy.embedded.child import EmbeddedError
from deploy.embedded.stack import Stack

LOOK_EVERY = 0.5
"""Seconds."""
LONGEST_PAUSE = 30.0
STABLE_AFTER = 60.0
"""A part that ran this many seconds is started at once when it ends, without a pause."""


class Watch:
    """Looks after the parts of one stack; `say` gets a sentence for each thing that happened. Main thread only."""

    def __init__(self, stack: Stack, say: Callable[[str], None]) -> None:
        self.stack = stack
        self.say = say
        self._ended: dict[str, tuple[int, float]] = {}
        """Of each part: how often it ended lately, and when it may start again."""
        self._started: dict[str, float] = {}

    def run(self) -> None:
        """Look and mend for ever (until KeyboardInterrupt, for example)."""
        while True:
            self.look()
            time.sleep(LOOK_EVERY)

    def look(self) -> None:
        """Look once, and mend what is due."""
        if not self.stack.postgres.running:
            if self._due("postgres", f"PostgreSQL ended; see {self.stack.postgres.log}"):
                self._mend("postgres", self.stack.postgres.start)
        elif not self.stack.broker.running:
            # it keeps nothing, and clients of the old one never recover: services start again with it
            if self._due("kafka", f"The broker ended; see {self.stack.broker.log}"):
                self._mend("kafka", self._restart_messaging)
        else:
            for service in self.stack.died():
                process = self.stack.processes[service]
                if self._due(
                    service,
                    f"{service} ended ({_how(process)}); its last words:\n{self.stack.last_words(service, 3)}",
                ):
                    self._mend(service, partial(self.stack.run, service))

    def _restart_messaging(self) -> None:
        self.stack.stop_messaging()
        try:
            self.stack.start_messaging()
        except BaseException:
            self.stack.stop_messaging()  # half of it looks as if it ran
            raise

    def _mend(self, part: str, start: Callable[[], None]) -> None:
        try:
            start()
        except EmbeddedError as error:
            self.say(str(error))
        except Exception as error:
            # a full disk, a database that just ended: whatever it is, it is tried again
            self.say(f"{part} could not be started ({type(error).__name__}: {error}).")
        self._restarted(part)

    def _due(self, part: str, sentence: str) -> bool:
        """Whether it is time to start a part that has ended; says that it ended when this is news."""
        now = time.monotonic()
        count, again = self._ended.get(part, (0, 0.0))
        if again == 0.0:
            if now - self._started.get(part, 0.0) > STABLE_AFTER:
                count = 0
            pause = 0.0 if count == 0 else min(2.0 ** (count - 1), LONGEST_PAUSE)
            again = now + pause
            self._ended[part] = (count + 1, again)
            self.say(f"{sentence}\nIt is started again{f' in {pause:.0f} s' if pause else ''}.")
        return now >= again

    def _restarted(self, part: str) -> None:
        self._started[part] = time.monotonic()
        self._ended[part] = (self._ended[part][0], 0.0)


def _how(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    return f"killed by signal {-code}" if code < 0 else f"status {code}"
