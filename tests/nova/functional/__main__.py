"""Run these tests: ``python tests/nova/functional [pytest's arguments]``.

nova 34's nova-compute runs on native threads, and older ones on eventlet: so
do these tests.  Either has to be decided on before anything else is imported,
which pytest, beginning with the conftest.py of all tests, wouldn't do.
"""

import os
import sys
import warnings
from importlib import metadata
from pathlib import Path

#: The first release whose nova-compute needs no eventlet.
THREADS_SINCE = 34

if __name__ == "__main__":
    here = Path(__file__).parent
    sys.path.insert(0, str(here.parents[2]))
    if int(metadata.version("nova").partition(".")[0]) >= THREADS_SINCE:
        os.environ["OS_NOVA_DISABLE_EVENTLET_PATCHING"] = "1"
    with warnings.catch_warnings():
        # nova's requirements use what Python is going to drop.
        warnings.simplefilter("ignore")
        import nova.tests.functional  # noqa: F401  (it is this that patches)
    import pytest

    told = sys.argv[1:]
    if not any(Path(one.partition("::")[0]).exists() for one in told):
        told.append(str(here))
    # nova's own fixture says which of its warnings matter.
    sys.exit(pytest.main(["-W", "ignore", *told]))
