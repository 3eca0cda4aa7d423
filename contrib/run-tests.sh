#!/bin/bash
#
# run-tests.sh: set up, and run all tests
#
#     contrib/run-tests.sh                  everything
#     contrib/run-tests.sh tests/unit ...   pytest's arguments, main tier only
#
# Linters, a fuzzer, unit tests, third-party readers, real guests on a private
# libvirtd, a private Ceph, nova's own code as an oracle, and nova with our
# driver. Skips nothing: installs what is missing, or reports it. Leaves
# existing libvirtds, domains and Cephs alone. Keeps what takes long to
# download or build in ~/.cache/cfgdrive-virt ($CFGDRIVE_VIRT_CACHE). Runs as
# root, with sudo if necessary, to build a guest's root file system and to fill
# up disks in mount namespaces.

if ((EUID)); then
    exec sudo --preserve-env=CFGDRIVE_VIRT_CACHE -- "$0" "$@"
fi

# shellcheck source=setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

nova_version=34.0.0
# With the requirements that differ from the newest release's.
nova_releases=(33.0.2 32.2.1 31.3.1 '30.3.0 oslo.utils==8.2.0'
    '29.4.0 oslo.utils==8.2.0')

say 'Setting up'
packages python3-venv python3-libvirt libvirt-daemon \
    libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils \
    genisoimage xorriso p7zip-full libarchive-tools dosfstools mtools \
    debootstrap e2fsprogs zstd ceph-mon ceph-osd ceph-mgr ceph-common \
    python3-rados python3-rbd python3-netifaces qemu-block-extra shellcheck \
    qemu-system-arm qemu-system-ppc qemu-efi-aarch64 ovmf
# Separate packages in newer releases.
packages_if_any libvirt-daemon-driver-secret qemu-system-s390x
installed qemu-system-s390x || packages qemu-system-misc
venv tests pytest pytest-cov hypothesis jsonschema lxml-stubs mypy ruff \
    types-PyYAML configobj jinja2 jsonpatch oauthlib requests
this_checkout tests -e
# Agents of guests, which read drives in a process of their own.
isolated_venv guest-agents cloudbase-init==1.1.9 glean==1.25.1
# Without the system's packages, some of which are too old for nova, except for
# the modules linked below. Deprecations in later SQLAlchemy would be errors.
isolated_venv nova "nova==$nova_version" 'sqlalchemy<2.1' pytest lxml pycdlib \
    ddt fixtures openstack-placement oslotest osprofiler psycopg2-binary \
    PyMySQL requests-mock stestr testtools wsgi-intercept
system_modules nova libvirt libvirtmod libvirt_qemu libvirtmod_qemu rados \
    rbd netifaces
# nova's functional tests look for etc/nova here.
ln -sfn "$cache/nova/etc" "$(site_packages nova)/etc"
this_checkout nova --no-deps --force-reinstall
for release in "${nova_releases[@]}"; do
    read -ra requirements <<<"nova==$release"
    beside nova "nova-${release%% *}" "${requirements[@]}"
done

# Only unpacked: an installed cloud-init would configure this machine at its
# next start, the others its network. Tests import the release's own cloud-init
# and run the newest in a process of its own.
own=$(os_release VERSION_CODENAME) newest=sid
[[ $(os_release ID) != ubuntu ]] || newest=devel
unpacked cloud-init "$own" cloud-init
unpacked cloud-init-newest "$newest" cloud-init
unpacked netplan "$own" netplan.io 'libnetplan?'
unpacked ifupdown "$own" ifupdown
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
    # bash makes background jobs ignore Ctrl-C; these must not.
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
    # Without tests/nova/conftest.py, which imports nova for the other tests.
    "$nova" -m pytest -q --confcutdir=tests/nova/real tests/nova/real
    say 'The newest cloud-init'
    PYTHONPATH=$cache/cloud-init-newest/usr/lib/python3/dist-packages \
        pytest -q tests/readers/test_cloud_init.py
    say 'Live migration of guests'
    pytest -q "$moving"
    say 'Fuzzing, a minute of each target'
    python contrib/fuzz --seconds 60 --jobs 2
}

# Two at a time: both often wait for guests and daemons.
say 'Unit tests, readers, Ceph, guests; the output of the others follows'
moving=tests/guest/test_live_migration.py
log=$(mktemp)
(meanwhile) >"$log" 2>&1 &
trap 'wait; rm -f "$log"' EXIT
status=0
pytest -q --cov --cov-report=term tests/unit tests/readers tests/fuzz \
    tests/ceph tests/stress tests/guest --ignore="$moving" || status=1
wait "$!" || status=1
cat "$log"
exit "$status"
