"""`python -m tests.faults`: start everything, break it, judge it. Ends with 0 only when every promise held."""

import argparse
import asyncio
import contextlib
import logging
import random
import shutil
import sys
import time
from pathlib import Path

from deploy.embedded.child import EmbeddedError, temporary_folder
from tests.faults import report
from tests.faults.cluster import Cluster
from tests.faults.injections import QUICK, SLOW
from tests.faults.run import Run


def main() -> int:
    """Read the command line and play."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, help="play rounds until so much time is over (default 35)")
    length.add_argument("--rounds", type=int, help="play so many rounds")
    length.add_argument("--short", action="store_true", help="each kind of fault once")
    parser.add_argument(
        "--only", default=[], metavar="TEXT", type=_kinds, action="append",
        help="only faults whose name holds this; may be given several times",
    )  # fmt: skip
    parser.add_argument("--rate", type=float, default=1.0, help="orders a second")
    parser.add_argument("--json", type=Path, help="write the result here too")
    parser.add_argument("--keep", type=Path, help="keep folder with logs here")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    began = time.monotonic()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that nodes are away is what we are here for
    minutes = None if arguments.rounds or arguments.short else arguments.minutes or 35.0
    with contextlib.ExitStack() as cleanup:
        folder = arguments.keep or cleanup.enter_context(temporary_folder())
        try:
            cluster = cleanup.enter_context(Cluster(folder))
        except EmbeddedError as error:
            print(error, file=sys.stderr)
            return 1
        print("Two replicas of each service are ready, on three nodes of Kafka and PostgreSQL.", flush=True)
        run = Run(cluster, arguments.seed, arguments.rate, only=arguments.only)
        result = asyncio.run(run.play(minutes=minutes, rounds=arguments.rounds, short=arguments.short))
        print(report.tell(result), flush=True)
        if arguments.json:
            report.write(result, arguments.json)
        if not result.well:
            kept = Path("/tmp") / f"handover-faults-{result.seed}-logs"
            shutil.copytree(folder / "logs", kept, dirs_exist_ok=True)
            print(f"The logs of the services were kept in {kept}.", flush=True)
    print(f"It took {(time.monotonic() - began) / 60:.1f} min with starting and stopping.", flush=True)
    return 0 if result.well else 1


def _kinds(text: str) -> str:
    if any(text in kind for kind in (*QUICK, *SLOW)):
        return text
    raise argparse.ArgumentTypeError(f"no fault is called so; there are: {', '.join((*QUICK, *SLOW))}")


if __name__ == "__main__":
    sys.exit(main())
