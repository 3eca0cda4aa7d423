"""Nova that isn't root, and whose libvirt gives drives to QEMU's user.

As a deployment has both.  A process can't be another user's for a while, so
these tests run in one of their own: see as_nobody.py.
"""

from __future__ import annotations

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import pytest

from tests.guest.guests import Probe, private_libvirtd
from tests.unit.processes import NOBODY

#: How many there are: none may be skipped.
TESTS = 16

#: Has a program find two directories that are below one that root alone may
#: enter, perhaps; their own modes let everybody in.
_OPENED = """
open() {
    closed=$1
    while [ "$closed" != / ] && ! setpriv --reuid 65534 --clear-groups \\
        test -x "$1"
    do
        closed=$(dirname "$closed")
        if [ $(($(stat -c %a "$closed") % 2)) = 1 ]; then continue; fi
        place=$(mktemp -d)
        mount --bind "$1" "$place"
        mount -t tmpfs -o mode=755 tmpfs "$closed"
        mkdir -p "$1"
        mount --move "$place" "$1"
        rmdir "$place"
    done
}
open "$1"
open "$2"
cd "$2"
shift 2
exec "$@"
"""


def test_the_life_of_a_drive_where_nova_is_not_root(
    cache_dir: pathlib.Path, probe: Probe
) -> None:
    del probe
    top = pathlib.Path(tempfile.mkdtemp(prefix="cfgd-", dir="/tmp"))
    inner = pathlib.Path(__file__).with_name("as_nobody.py")
    root = inner.parents[3]
    try:
        top.chmod(0o755)
        for path in (top, top / "one", top / "one" / "instances"):
            path.mkdir(exist_ok=True)
            os.chown(path, NOBODY, NOBODY)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CFGDRIVE_VIRT_OWNERSHIP", "1")
            with private_libvirtd() as uri:
                patch.setenv("UNPRIVILEGED", f"{top} {uri}")
                patch.setenv("CFGDRIVE_VIRT_CACHE", str(cache_dir))
                done = subprocess.run(
                    [
                        *("unshare", "--mount", "--propagation", "slave"),
                        *("sh", "-euc", _OPENED),
                        *("sh", cache_dir, root),
                        *(sys.executable, "-m", "pytest", "-q", "-x"),
                        *("-p", "no:cacheprovider", "--confcutdir"),
                        *(inner.parent, inner),
                    ],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    check=False,
                    timeout=600,
                )
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(rf"^{TESTS} passed in ", done.stdout, re.MULTILINE)
    finally:
        shutil.rmtree(top)
