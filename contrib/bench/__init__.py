"""Measure how long drives take, and how large they are, beside nova's.

Each repetition takes the instance of etc/instance.sample.yaml, and the same
one with big files, through all of these ways in turn:

  ours             iso9660.build, and FileStore.write with all its flushes
  ours, in memory  iso9660.build alone
  genisoimage      on a directory that holds the files, as nova calls it
  nova             ConfigDriveBuilder.make_drive on the same files
  nova, own files  the same on the files that nova's InstanceMetadata makes of
                   the instance: a random seed for each version
  ours, vfat       vfat.build, and FileStore.write with all its flushes
  vfat, no flush   vfat.build into a file
  mkfs + mcopy     mkfs.vfat and mcopy on the same directory, into the smallest
                   file that the files fit into, not flushed; nova's own way
                   needs root and a loop device, and always makes 64 MiB

With --ceph, it starts a Ceph of its own (contrib/ceph) and adds

  ours, rbd        RbdStore.write, already connected as in a service
  nova, rbd        a temporary file, RBDDriver.import_image, file removed

The whole step of a compute service, InstanceMetadata included, is measured as

  nova's driver    LibvirtDriver._create_configdrive: iso9660, a file or, with
                   --ceph, a volume
  our driver       the same method of the same class, with our driver, which
                   flushes its file; nova's driver does not

Last, or with --many alone, ConfigDriveDriver spawns 64 such instances, first
by one worker and then by 8 (4 threads in each of 2 processes): into files and,
with --ceph, into Ceph. The result is the total time divided by 64.

All other times are medians. The exit code is 1 if a goal is missed. Run it
with the Python that has nova, and with this package on the path:

  PYTHONPATH=. VENV/bin/python contrib/bench
"""

from pathlib import Path

#: The checkout.
ROOT = Path(__file__).resolve().parents[2]
