"""glean: the agent of images that diskimage-builder makes.

It writes other files for each family of distributions, and loses other things
with each.  Where systemd starts it, but not for systemd-networkd, it runs for
each NIC alone.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from cfgdrive_virt.readers.common import unless_refused
from cfgdrive_virt.readers.glean.drive import (
    CODE,
    NETWORK,
    NOT_READ,
    REFUSALS,
    RESOLV_CONF,
)
from cfgdrive_virt.readers.glean.files import (
    debian,
    each_link,
    each_nic,
    gentoo,
    gentoo_stops,
    has_ipv6_only,
    networkd,
    networkd_stops,
    red_hat,
    suse,
)
from cfgdrive_virt.readers.reader import Content, Demand, Loss, Reader


@dataclasses.dataclass(frozen=True, slots=True)
class _Family:
    """A family of distributions, for which glean writes the same files.

    :param title: what it is
    :param demands: the family's own
    :param stops: those of them without which glean configures no network
    :param servers: where DNS servers are written
    :param one_address: see :class:`Reader`
    """

    title: str
    demands: tuple[Demand, ...]
    stops: tuple[Demand, ...] = ()
    servers: tuple[Demand, ...] = (RESOLV_CONF,)
    one_address: bool = True

    def reader(self, name: str) -> Reader:
        """Return glean in guests of this family."""
        refusals = (*REFUSALS, *self.stops)
        rest = (*NETWORK, *self.servers, *self.demands)
        return Reader(
            f"glean-{name}",
            f"glean 1.25.1 in guests {self.title}",
            (*refusals, *NOT_READ, *unless_refused(refusals, *rest)),
            self.one_address,
        )


_FAMILIES = {
    "debian": _Family(
        "of Debian and Ubuntu",
        (
            Demand(
                "there are no bonds, nor routes with DHCP; IPv6 is static",
                f"{CODE}, write_debian_interfaces; glean@.service",
                each_nic(debian),
            ),
        ),
        one_address=False,
    ),
    "redhat": _Family(
        "of Red Hat and kin, up to version 9",
        (
            Demand(
                "there are no bonds, DHCPv6, several addresses, nor IPv6"
                " alone",
                f"{CODE}, write_redhat_interfaces; glean@.service",
                each_nic(red_hat, has_ipv6_only),
            ),
        ),
    ),
    "suse": _Family(
        "of SUSE",
        (
            Demand(
                "there are no bonds, IPv6, nor several addresses",
                f"{CODE}, write_redhat_interfaces; glean@.service; wicked's"
                " ifcfg(5), which has no IPV6ADDR",
                each_nic(suse, has_ipv6_only),
            ),
        ),
    ),
    "gentoo": _Family(
        "of Gentoo",
        (
            Demand(
                "there are no IPv6, several addresses, nor routes of VLANs",
                f"{CODE}, write_gentoo_interfaces",
                gentoo,
            ),
        ),
        (
            Demand(
                "a VLAN is not on a bond that has static IPv6 only",
                f"{CODE}, write_gentoo_interfaces",
                gentoo_stops,
            ),
        ),
    ),
    "networkd": _Family(
        "with systemd-networkd",
        (
            Demand(
                "there is no DHCPv6 without router advertisements",
                f"{CODE}, _write_networkd_interface",
                each_link(networkd),
            ),
        ),
        (
            Demand(
                "a NIC's first network, by id, has no DHCPv6; no network"
                " without routes follows one with routes of another IP"
                " version",
                f"{CODE}, get_config_drive_interfaces,"
                " _write_networkd_interface",
                networkd_stops,
            ),
        ),
        servers=(),
        one_address=False,
    ),
}


def _named(family: str, demand: Demand) -> Demand:
    """Return a demand whose losses name the family."""

    def losses(content: Content) -> Iterator[Loss]:
        for loss in demand.losses(content):
            yield dataclasses.replace(loss, effect=f"{family}: {loss.effect}")

    text, source = f"{family}: {demand.text}", demand.source
    return Demand(text, source, losses)


GLEAN = Reader(
    "glean",
    "glean 1.25.1 in guests of any distribution",
    (
        *REFUSALS,
        *NOT_READ,
        *unless_refused(
            REFUSALS,
            *NETWORK,
            RESOLV_CONF,
            *(
                _named(name, demand)
                for name, family in _FAMILIES.items()
                for demand in (*family.stops, *family.demands)
            ),
        ),
    ),
    one_address=True,
)
READERS = (
    GLEAN,
    *(family.reader(name) for name, family in _FAMILIES.items()),
)
