"""Real processes under mixed traffic and random faults: python -m tests.soak [SECONDS] [--seed N].

Ends with status 1 when any check fails; the log and the list of faults stay in the folder that is named then.
"""

import argparse
import asyncio
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from tests.soak.report import report
from tests.soak.soak import Soak, Terms


def arguments() -> Terms:
    """The terms that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("seconds", nargs="?", type=float, default=1800.0, help="of traffic in all")
    parser.add_argument("--seed", default="0", help="of all that is drawn")
    parser.add_argument("--clients", type=int, default=24, help="that ask at a time")
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two faults")
    parser.add_argument("--python", default=sys.executable, help="that serves the gateway, such as .venv-compiled's")
    parser.add_argument("--keepalive", type=float, default=0.0, help="the gateway's setting stream.keepalive")
    terms = Terms(**vars(parser.parse_args()))
    if terms.seconds / terms.rounds <= 2 * terms.every:
        parser.error(f"{terms.seconds:g} s are too few for {terms.rounds} rounds with a fault every {terms.every:g} s")
    return terms


def main() -> int:
    terms = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # whoever ends this ends its children, too
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    soaked = asyncio.run(Soak(folder, terms).run())
    told = report(terms, soaked)
    sys.stdout.write(told)
    if all(check.good for check in soaked.checks):
        shutil.rmtree(folder)
        return 0
    (folder / "report.txt").write_text(told)
    (folder / "faults.txt").write_text("".join(f"{second} {what}\n" for second, what in soaked.faults))
    sys.stdout.write(f"the gateway's log and the faults by second: {folder}\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
