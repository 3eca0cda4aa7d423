"""Nova's first import.

Nova is to run on native threads, not eventlet's: each of them can be on a host
of its own, see threads.py.  It decides on that when it is first imported.
"""

from __future__ import annotations

import os
import sys
import warnings

if "nova" in sys.modules:
    raise RuntimeError(f"{__doc__}\nRun these tests by themselves.")
os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import nova.tests.functional  # noqa: F401
