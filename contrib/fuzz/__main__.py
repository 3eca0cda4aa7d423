"""Run the fuzzer: ``python contrib/fuzz``."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

# Python puts contrib/fuzz first, but the package "fuzz" lies in contrib.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import fuzz
from fuzz import campaign, watch
from fuzz.targets import TARGETS


def main() -> None:
    """Run targets, or one input again; exit with 1 for a finding."""
    arguments = _arguments()
    if arguments.replay:
        sys.exit(_replay(arguments.replay))
    seed = arguments.seed or secrets.token_hex(4)
    names = arguments.targets or list(TARGETS)
    say(f"seed {seed}: {', '.join(names)}")
    seconds = arguments.seconds
    if seconds is None:
        seconds = 60 if arguments.inputs is None else 1e9
    results = campaign.run(
        names,
        seed,
        campaign.Bounds(seconds, arguments.inputs),
        arguments.jobs,
    )
    for result in results.values():
        _report(result)
    found = [
        finding
        for result in results.values()
        for some in result.found.values()
        for finding in some
    ]
    if not found:
        return
    directory = arguments.findings
    if directory is None:
        directory = Path(tempfile.mkdtemp(prefix="cfgdrive-fuzz-"))
    for finding in found:
        path = campaign.save(finding, seed, directory)
        say(f"{path}: {finding.kind}: {finding.text}")
    sys.exit(1)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=fuzz.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "targets",
        nargs="*",
        metavar="TARGET",
        help=f"default: all of {', '.join(TARGETS)}",
    )
    parser.add_argument(
        "--seconds",
        type=float,
        help="time for each target (default: 60, or none with --inputs)",
    )
    parser.add_argument(
        "--inputs", type=int, help="number of inputs for each target"
    )
    parser.add_argument(
        "--seed", help="any text (default: a random one, which is printed)"
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        help="how many targets run at once (default: %(default)s)",
    )
    parser.add_argument(
        "--findings",
        type=Path,
        help="directory for inputs that are findings (default: a new one)",
    )
    parser.add_argument(
        "--replay", type=Path, help="run one saved input instead"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.targets) - set(TARGETS)
    if unknown:
        parser.error(f"unknown targets: {', '.join(sorted(unknown))}")
    return arguments


def _replay(path: Path) -> int:
    outcome = campaign.replay(path)
    say(f"{outcome.kind}\n{outcome.text}\n{outcome.trace}".rstrip())
    return 1 if outcome.state == watch.FINDING else 0


def _report(result: campaign.Result) -> None:
    rate = result.inputs / max(result.seconds, 0.001)
    say(
        f"  {result.target:10} {result.inputs:9,} inputs {rate:7,.0f} a second"
        f" {result.accepted:9,} accepted {len(result.kinds):6,} kinds"
        f" {result.findings:6,} findings in {len(result.found)} kinds"
    )


def say(line: str) -> None:
    """Print a line; what an input holds is escaped."""
    sys.stdout.write(line.encode("ascii", "backslashreplace").decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
