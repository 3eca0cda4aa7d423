"""Load modules when a name of theirs is first used (PEP 562).

No other module imports by a name that it computes: ``importlib`` is here only.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any


def load(module: str, name: str) -> Any:
    """Return what a module has under a name.

    :raises ImportError: if the module, or one that it needs, is missing
    """
    return getattr(importlib.import_module(module), name)


def attributes(
    package: str, names: Sequence[str], modules: Sequence[str]
) -> Callable[[str], Any]:
    """Return a package's ``__getattr__``, which loads its public names.

    :param names: the public names
    :param modules: of the package, which have them; each is loaded only for
        what the ones before it do not have
    """

    def find(name: str) -> Any:
        if name in names:
            for module in modules:
                loaded = importlib.import_module(f"{package}.{module}")
                found = vars(loaded).get(name)
                if found is not None:
                    # From now on, the package has the name itself.
                    setattr(sys.modules[package], name, found)
                    return found
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return find
