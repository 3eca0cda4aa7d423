#!/bin/bash
#
# run-tests.sh: set up, and pass all tests
#
#     contrib/run-tests.sh                  everything
#     contrib/run-tests.sh tests/unit ...   pytest's arguments, main tier only
#
# Linters, unit tests, other people's readers, real guests on a libvirtd of
# their own, a real Ceph of their own, nova's own code as an oracle, and nova
# with our driver. Nothing is skipped: what is missing is installed, or told.
# libvirtds, domains and Cephs that are there are left alone. What is slow to
# get is kept in ~/.cache/cfgdrive-virt ($CFGDRIVE_VIRT_CACHE). Runs as root,
# through sudo if it must: a guest's root file system is made, and disks are
# filled up in mount namespaces.

if ((EUID)); then
    exec sudo --preserve-env=CFGDRIVE_VIRT_CACHE -- "$0" "$@"
fi

# shellcheck source=setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

nova_version=34.0.0
# With what they need otherwise than the newest.
nova_releases=(33.0.2 32.2.1 31.3.1 '30.3.0 oslo.utils==8.2.0'
    '29.4.0 oslo.utils==8.2.0')

say 'Setting up'
packages python3-venv python3-libvirt libvirt-daemon \
    libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils \
    genisoimage xorriso p7zip-full libarchive-tools dosfstools mtools \
    debootstrap e2fsprogs zstd ceph-mon ceph-osd ceph-mgr ceph-common \
    python3-rados python3-rbd python3-netifaces qemu-block-extra shellcheck
# Newer releases have it apart.
packages_if_any libvirt-daemon-driver-secret
venv tests pytest pytest-cov hypothesis jsonschema lxml-stubs mypy ruff \
    types-PyYAML configobj jinja2 oauthlib requests
this_checkout tests -e
# Without the system's packages, some of which are too old for nova's, but for
# what is linked. SQLAlchemy's later deprecations would be errors.
isolated_venv nova "nova==$nova_version" 'sqlalchemy<2.1' pytest lxml pycdlib \
    ddt fixtures openstack-placement oslotest osprofiler psycopg2-binary \
    PyMySQL requests-mock stestr testtools wsgi-intercept
system_modules nova libvirt libvirtmod libvirt_qemu libvirtmod_qemu rados \
    rbd netifaces
# Where its functional tests look for etc/nova.
ln -sfn "$cache/nova/etc" "$(site_packages nova)/etc"
this_checkout nova --no-deps --force-reinstall
for release in "${nova_releases[@]}"; do
    read -ra requirements <<<"nova==$release"
    beside nova "nova-${release%% *}" "${requirements[@]}"
done

# cloud-init itself is not installed: it would take charge of this machine at
# its next start.
if [[ ! -e $cache/cloud-init/ready ]]; then
    rm -rf "$cache/cloud-init"
    mkdir -p "$cache/cloud-init"
    (cd "$cache/cloud-init" &&
        apt-get -qq -o APT::Sandbox::User=root download cloud-init &&
        dpkg-deb -x cloud-init_*.deb . && touch ready) ||
        die "cloud-init's package can't be had"
fi
cd "$root"
export PYTHONPATH=$cache/cloud-init/usr/lib/python3/dist-packages
export CFGDRIVE_VIRT_CACHE=$cache
PATH=$cache/tests/bin:/usr/sbin:/sbin:$PATH

if (($#)); then exec pytest "$@"; fi

say 'Linters'
ruff check .
ruff format --check .
mypy
shellcheck -x contrib/*.sh contrib/ceph/miniceph \
    contrib/guest/{libvirtd,build-probe,build-cloud-guest,probe-init}

say 'Benchmarks'
nova=$cache/nova/bin/python
PYTHONPATH=$root "$nova" contrib/bench -n 21 --ceph --no-goals

meanwhile() {
    local release
    # Ctrl-C is for these, too: bash has what runs beside it ignore that.
    trap - INT
    say 'Nova'
    export PYTHONPATH=$root
    "$nova" -m pytest -q tests/nova --ignore=tests/nova/functional \
        --ignore=tests/nova/real
    "$nova" tests/nova/functional -q
    for release in "${nova_releases[@]%% *}"; do
        PYTHONPATH=$cache/nova-$release:$root "$nova" tests/nova/functional \
            -q -m every_release
    done
    # Apart from conftest.py, which imports nova for other tests.
    "$nova" -m pytest -q --confcutdir=tests/nova/real tests/nova/real
    say 'Guests that move'
    pytest -q "$moving"
}

# Two at a time: both wait a lot, for guests and daemons.
say 'Unit tests, readers, Ceph, guests; others meanwhile, told at the end'
moving=tests/guest/test_live_migration.py
log=$(mktemp)
(meanwhile) >"$log" 2>&1 &
trap 'wait; rm -f "$log"' EXIT
status=0
pytest -q --cov --cov-report=term tests/unit tests/readers tests/ceph \
    tests/stress tests/guest --ignore="$moving" || status=1
wait "$!" || status=1
cat "$log"
exit "$status"
