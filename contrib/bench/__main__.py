"""Run the benchmarks: ``python contrib/bench``."""

from __future__ import annotations

import argparse
import contextlib
import logging
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
from bench import (
    ceph,
    facts,
    hooks,
    images,
    instance,
    many,
    scale,
    sizes,
    steps,
    table,
)
from bench.measure import Cost, Goal, measure, missed, say
from cfgdrive_virt import ConfigDriveRequest

GOALS = images.GOALS + hooks.GOALS + steps.GOALS + many.GOALS


def main() -> None:
    """Measure, print, and exit as the goals say."""
    arguments = _arguments()
    oracle.load_options()
    # Standard error may be a terminal, which is slow.
    logging.getLogger("cfgdrive_virt").addHandler(logging.NullHandler())
    request = instance.sample()
    costs: list[Cost] = []
    found: dict[str, int] = {}
    goals: tuple[Goal, ...] = GOALS
    if arguments.scale:
        goals = scale.goals(arguments.scale)
        costs, found = scale.measured(
            request,
            arguments.scale,
            arguments.repetitions,
            in_ceph=arguments.ceph,
        )
    elif arguments.sizes:
        costs, goals = sizes.measured(request, arguments.repetitions), ()
    else:
        with (
            ceph.running() if arguments.ceph else contextlib.nullcontext()
        ) as cluster:
            if not arguments.many:
                costs, found = _measured(
                    request, arguments.repetitions, cluster
                )
            costs += many.spawn_many(request, cluster)
    table.table(costs)
    table.facts(found)
    if arguments.json:
        arguments.json.write_text(table.document(costs, found))
    say("\nGoals:")
    if missed(costs, goals) and not arguments.no_goals:
        sys.exit(1)


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
        help="succeed whatever the ratios are",
    )
    parser.add_argument(
        "--many",
        action="store_true",
        help=f"only measure {many.INSTANCES} instances, by one worker and by"
        " many",
    )
    parser.add_argument(
        "--scale",
        type=int,
        nargs="+",
        metavar="DRIVES",
        help="only measure one drive among so many, such as --scale 1 10000",
    )
    parser.add_argument(
        "--sizes",
        action="store_true",
        help="only measure images of several sizes",
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write the results there too"
    )
    return parser.parse_args()


def _measured(
    request: ConfigDriveRequest,
    repetitions: int,
    cluster: ceph.Cluster | None,
) -> tuple[list[Cost], dict[str, int]]:
    """Return what one drive takes on each way, and beside time."""
    measured = instance.instance_of(request)
    with tempfile.TemporaryDirectory() as temporary:
        directory = Path(temporary)
        ways = images.ways(measured, _new(directory / "images"))
        ways += hooks.ways(request, _new(directory / "hooks"))
        if cluster is not None:
            place = _new(directory / "rbd")
            ways += hooks.ways_to_ceph(request, place, cluster)
            image = images.build_iso9660(measured.tree)
            nova = (hooks.SPAWN_RBD, "nova's import_image, of a file")
            uuid, file = measured.uuid, directory / "image"
            ways.append(ceph.novas(*nova, cluster, uuid, image, file))
        with steps.ways(measured, directory, cluster) as more:
            ways += more
            costs = measure(ways, repetitions)
            found = facts.of_files(request, directory / "facts")
            if cluster is not None:
                found |= facts.of_ceph(cluster, ways)
    return costs, found


def _new(directory: Path) -> Path:
    directory.mkdir()
    return directory


if __name__ == "__main__":
    main()
