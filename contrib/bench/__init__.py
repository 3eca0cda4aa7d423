"""Measure how long drives take, beside nova, other programs and the floor.

Each repetition takes the instance of etc/instance.sample.yaml through all ways
of a table in turn.  Times are medians, CPU times means.  Ratios are to the
first way of a group.  The floor is what no drive can do without: on a disk its
bytes written, flushed and renamed, in Ceph the calls of librbd for that on a
kept connection.  Ours flushes its files; nova's and other programs don't.

nova-compute's step is LibvirtDriver._create_configdrive, by nova's class and
by ours; InstanceMetadata, which renders the files, is in both.

--scale 1 10000 measures instead what hooks of one drive take among so many,
and list and prune for each; it needs the command cfgdrive-virt in PATH.

Run it with the Python that has nova, and with this package on the path:

  PYTHONPATH=. VENV/bin/python contrib/bench --ceph

The exit code is 1 if a ratio is larger than its goal.
"""

from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parents[2]
