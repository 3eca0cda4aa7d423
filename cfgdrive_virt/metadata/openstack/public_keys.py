"""The keys that readers put into a user's authorized_keys."""

from __future__ import annotations

from cfgdrive_virt.model.request import ConfigDriveRequest


def of(request: ConfigDriveRequest) -> dict[str, str]:
    """Return an instance's OpenSSH keys by name.

    An x509 certificate is only in meta_data.json's ``keys``, where nova has
    the type of a key, and where cloudbase-init looks for certificates
    (get_client_auth_certs of its baseopenstackservice.py).  Nova has it in
    ``public_keys`` too, whose readers take everything for an OpenSSH key:
    cloud-init (normalize_pubkey_data), glean (write_ssh_keys) and
    cloudbase-init (get_public_keys) write it to authorized_keys, and
    Afterburn (fetch_publickeys of openstack/configdrive.rs) stops at it and
    writes no key at all.

    One of several ends with a newline: cirros joins them as they are.  A
    single one is as given.
    """
    keys = {
        key.name: key.public_key
        for key in request.keypairs
        if key.type == "ssh"
    }
    if len(keys) == 1:
        return keys
    return {
        name: key if key.endswith("\n") else f"{key}\n"
        for name, key in keys.items()
    }
