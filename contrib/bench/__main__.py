"""Run the benchmarks: ``python contrib/bench``."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path

# Python puts contrib/bench first, but the package "bench" lies in contrib.
sys.path.pop(0)
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# For the oracle.
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests" / "nova"))
# After all else: only Ceph's bindings are to come from the system.
sys.path.append("/usr/lib/python3/dist-packages")

import oracle

import bench
from bench import ceph, images, instance, many, steps
from bench.measure import measure, report, say
from cfgdrive_virt import ConfigDriveRequest

GOALS = images.GOALS + ceph.GOALS + steps.GOALS


def main() -> None:
    """Measure both instances; exit as the goals say."""
    arguments = _arguments()
    oracle.load_options()
    request = instance.sample()
    missed = []
    with ceph.running() if arguments.ceph else contextlib.nullcontext() as c:
        if not arguments.many:
            missed += _compare(
                "the sample instance", request, arguments.repetitions, c
            )
            # Nova stores these files once, too: few bytes can be saved.
            missed += _compare(
                f"the same with {instance.BIG_FILES} more files of"
                f" {instance.BIG_FILE_SIZE:,} bytes",
                instance.with_big_files(request),
                arguments.repetitions,
                c,
                bytes_too=False,
            )
        many.spawn_many(request, c)
    if missed and not arguments.no_goals:
        sys.exit("missed: " + "; ".join(missed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=bench.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "-n",
        "--repetitions",
        type=int,
        default=21,
        help="how often each is measured (default: %(default)s)",
    )
    parser.add_argument(
        "--ceph", action="store_true", help="measure drives in Ceph too"
    )
    parser.add_argument(
        "--no-goals",
        action="store_true",
        help="only print: succeed whatever the ratios are",
    )
    parser.add_argument(
        "--many",
        action="store_true",
        help=f"only measure {many.INSTANCES} instances, by one worker and by"
        " many",
    )
    return parser.parse_args()


def _compare(
    name: str,
    request: ConfigDriveRequest,
    repetitions: int,
    cluster: ceph.Cluster | None,
    *,
    bytes_too: bool = True,
) -> list[str]:
    """Measure one instance, print it, and return the goals that it missed."""
    measured = instance.instance_of(request)
    tree = measured.tree
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        ways = images.ways(measured, directory)
        if cluster is not None:
            image = images.build_iso9660(tree)
            ways += ceph.ways(measured.uuid, image, directory, cluster)
        with steps.ways(measured, directory, cluster) as more:
            costs = measure(ways + more, repetitions)
    size = sum(map(len, tree.files.values()))
    say(f"\n{name}: {len(tree)} files, {size:,} bytes")
    missed = report(costs, GOALS, bytes_too=bytes_too)
    return [f"{name}: {goal}" for goal in missed]


if __name__ == "__main__":
    main()
