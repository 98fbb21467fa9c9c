"""`python -m benchmarks.profiled OUT -m MODULE`: run a module under a sampling profiler, then write where its time went.

Wall time is sampled on the main thread; a loop that waits is in no step and is left out, and so is starting up.
"""

import json
import runpy
import signal
import sys
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyinstrument.frame import Frame

STEPS = {
    ("gathering.py", ""): "consume",
    ("records.py", ""): "consume",
    ("places.py", ""): "consume",
    ("site-packages/aiokafka/consumer", ""): "consume",
    ("site-packages/aiokafka/conn.py", ""): "consume",
    ("site-packages/faststream", ""): "consume",
    ("intake.py", "_next"): "consume",
    ("intake.py", "_parse"): "consume",
    ("intake.py", "_take"): "consume",
    ("intake.py", "_acknowledge"): "consume",
    ("intake.py", "_decoded"): "decode",
    ("decoding.py", ""): "decode",
    ("envelope.py", "decode_ours"): "decode",
    ("pydantic/main.py", "model_validate_json"): "validate",
    ("attempt.py", "_load"): "load",
    ("attempt.py", "_fetch"): "load",
    ("attempt.py", "_call"): "handle",
    ("attempt.py", "_take"): "handle",
    ("saying.py", "entries_of"): "chain",
    ("attempt.py", "_changes"): "save",
    ("postgres.py", "save"): "save",
    ("postgres.py", "load"): "load",
    ("postgres.py", "_load"): "load",
    ("relay.py", ""): "relay",
    ("outbox.py", ""): "relay",
    ("site-packages/aiokafka/producer", ""): "relay",
    ("attempt.py", ""): "the turn itself",
    ("turn.py", ""): "the turn itself",
    ("bookkeeper.py", ""): "the turn itself",
    ("intake.py", ""): "the turn itself",
    ("postgres.py", ""): "the turn itself",
    ("telemetry.py", ""): "the turn itself",
}
"""File and function → step; of the frames of a sample the innermost that is named here counts. An empty function is any. Files
without a slash are of shared/runtime; those of it that are not named serve whatever step calls them."""


def step_of(frame: "Frame") -> str | None:
    """The step that a frame stands for by itself."""
    path, function = frame.file_path or "", frame.function
    for (file, name), step in STEPS.items():
        here = f"/{file}" in path if "/" in file else path.endswith(f"shared/runtime/{file}")
        if here and name in ("", function):
            return step
    return None


def steps(root: "Frame") -> dict[str, float]:
    """Seconds by step."""
    found: defaultdict[str, float] = defaultdict(float)
    todo: list[tuple[Frame, str | None]] = [(root, None)]
    while todo:
        frame, above = todo.pop()
        step = step_of(frame) or above
        if step is not None:
            found[step] += frame.time - sum(child.time for child in frame.children)
        todo += [(child, step) for child in frame.children]
    return found


def main() -> None:
    """Run, then write."""
    from pyinstrument import Profiler

    out, module = Path(sys.argv[1]), sys.argv[3]
    # the server raises the signal again once it has shut down: that must not end us before we have written
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    profiler = Profiler(interval=0.002, async_mode="disabled")
    profiler.start()
    try:
        runpy.run_module(module, run_name="__main__")
    finally:
        session = profiler.stop()
        root = session.root_frame()
        out.write_text(json.dumps(steps(root) if root else {}))


if __name__ == "__main__":
    main()
