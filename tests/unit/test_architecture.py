"""Imports only point down, and a third-party library has one owner."""

from __future__ import annotations

import ast
import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

import cfgdrive_virt
from cfgdrive_virt import exception
from cfgdrive_virt.adapters import libvirt
from cfgdrive_virt.adapters.cli.main import COMMANDS

from .samples import ROOT

PACKAGE = ROOT / "cfgdrive_virt"
CLI = "adapters/cli/"

#: From bottom to top; rooms on one floor don't know each other.
FLOORS = (
    {"exception", "lazy"},
    {"model"},
    {"conf", "image", "libvirt_xml", "metadata", "policy", "store"},
    {"readers", "settings"},
    {"driver"},
    {"adapters/libvirt"},
    {"adapters/cli", "adapters/nova", "adapters/__init__"},
)
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}

OWNERS = {
    "pycdlib": ("image/iso9660/writer.py",),
    "lxml": ("libvirt_xml/",),
    "libvirt": ("adapters/libvirt/",),
    "nova": ("adapters/nova/",),
    "eventlet": ("adapters/nova/tpool.py",),
    "oslo_messaging": ("adapters/nova/rpc.py",),
    "yaml": ("adapters/cli/instance_file.py",),
    "click": ("adapters/cli/",),
    "rich": ("adapters/cli/terminal.py",),
    "rados": ("store/ceph/",),
    "rbd": ("store/ceph/",),
    "oslo_concurrency": ("store/lock.py",),
    "oslo_config": (
        "conf.py",
        "settings.py",
        "driver/driver.py",
        "driver/host.py",
        "adapters/cli/inputs.py",
    ),
}

#: What below the driver would make a drive depend on more than the request.
IMPURE = {"random", "secrets", "datetime", "platform", "socket", "getpass"}
PURE_TIME = {"gmtime", "strftime"}
#: What waits for others, and gives up.
WAITING = {"store/lock.py": {"monotonic", "sleep"}}
IMPURE_NAMES = {
    "os": {"environ", "getenv", "urandom", "getpid", "environb"},
    "uuid": {"uuid1", "uuid4", "getnode"},
}

MODULES = sorted(
    str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py")
)


def parsed(module: str) -> ast.Module:
    return ast.parse((PACKAGE / module).read_text())


def imports(module: str) -> Iterator[str]:
    """Yield the dotted names of all that a module imports."""
    for node in ast.walk(parsed(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            for alias in node.names:
                yield f"{node.module}.{alias.name}"


def room(module: str) -> str:
    """Return the room of a path below the package, or of a dotted name."""
    parts = module.removesuffix(".py").replace(".", "/").split("/")
    if parts[0] == "adapters":
        return "/".join(parts[:2])
    # What the package itself gives away is the driver's.
    return "driver" if parts[0] == "__init__" else parts[0]


def rooms_used(module: str) -> set[str]:
    prefix = "cfgdrive_virt."
    return {
        room(name.removeprefix(prefix))
        for name in imports(module)
        if name.startswith(prefix)
    }


def used(module: str, library: str) -> set[str]:
    """Return the attributes of a library that a module names."""
    return {
        node.attr
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == library
    } | {
        name.partition(".")[2]
        for name in imports(module)
        if name.startswith(f"{library}.")
    }


@pytest.mark.parametrize("module", MODULES)
def test_imports_only_point_down(module: str) -> None:
    here = room(module)
    for there in rooms_used(module) - {here}:
        assert FLOOR[there] < FLOOR[here], f"{here} imports {there}"


@pytest.mark.parametrize("module", MODULES)
def test_a_third_party_library_has_one_owner(module: str) -> None:
    for name in imports(module):
        library = name.partition(".")[0]
        if library in sys.stdlib_module_names or library == "cfgdrive_virt":
            continue
        owners = OWNERS.get(library, ())
        assert module.startswith(owners), f"{module}: {library}"


@pytest.mark.parametrize(
    "module",
    [name for name in MODULES if FLOOR[room(name)] < FLOOR["driver"]],
)
def test_below_the_driver_there_is_no_clock_chance_or_environment(
    module: str,
) -> None:
    libraries = {name.partition(".")[0] for name in imports(module)}
    assert not libraries & IMPURE
    assert used(module, "time") <= PURE_TIME | WAITING.get(module, set())
    for library, names in IMPURE_NAMES.items():
        assert not used(module, library) & names


@pytest.mark.parametrize("module", MODULES)
def test_no_import_hides_from_these_tests(module: str) -> None:
    dynamic = {"importlib", "importlib.import_module"} & set(imports(module))
    assert not dynamic or module == "lazy.py"
    named = {
        node.id
        for node in ast.walk(parsed(module))
        if isinstance(node, ast.Name)
    }
    assert "__import__" not in named
    # Their names are those of the packages' own imports, or of commands.
    by_name = ("__init__.py", "adapters/libvirt/__init__.py")
    assert "lazy" not in named or module in (*by_name, f"{CLI}main.py")


def test_commands_are_modules_of_the_command_line() -> None:
    for _, module, _ in COMMANDS.values():
        assert f"{CLI}{module}.py" in MODULES


@pytest.mark.parametrize("package", [cfgdrive_virt, libvirt])
def test_a_package_gives_the_names_that_type_checkers_see(
    package: ModuleType,
) -> None:
    path = package.__name__.partition(".")[2].replace(".", "/")
    module = f"{path}/__init__.py".removeprefix("/")
    seen = {
        name.rpartition(".")[-1]: name.rpartition(".")[0]
        for name in imports(module)
        if name.startswith("cfgdrive_virt.") and name != "cfgdrive_virt.lazy"
    }
    assert sorted(seen) == sorted(package.__all__) == dir(package)
    for name, home in seen.items():
        found = getattr(importlib.import_module(home), name)
        assert getattr(package, name) is found
    with pytest.raises(AttributeError, match=f"'{package.__name__}' has no"):
        package.no_such_name  # noqa: B018


def test_a_stranger_climbs_seven_floors_at_most() -> None:
    assert len(FLOORS) <= 7


def test_every_public_name_is_there() -> None:
    for name in cfgdrive_virt.__all__:
        assert getattr(cfgdrive_virt, name).__doc__


def test_every_error_is_public() -> None:
    errors = {
        name
        for name, member in vars(exception).items()
        if isinstance(member, type)
        and issubclass(member, exception.ConfigDriveError)
    }
    assert errors <= set(cfgdrive_virt.__all__)
