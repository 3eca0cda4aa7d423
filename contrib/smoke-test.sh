#!/bin/bash
#
# smoke-test.sh [--connect URI] [--config-file FILE ...]
#
# Checks on a host, with virsh, that an instance gets its config drive and
# loses it: spawns an instance with a new UUID, checks its domain in libvirt,
# and destroys it. Touches no other domain, and leaves nothing. For example
#
#     smoke-test.sh --connect qemu:///system --config-file /etc/nova/nova.conf
#
# Needs cfgdrive-virt and virsh on the PATH, and permission to use both.

set -euo pipefail
export LC_ALL=C.UTF-8

if [[ ${1:-} == -h || ${1:-} == --help ]]; then
    sed -n '3,/^$/s/^# \{0,1\}//p' "$0"
    exit
fi
die() { echo "smoke-test.sh: $*" >&2; exit 2; }
connect=${LIBVIRT_DEFAULT_URI:-qemu:///system}
options=()
while (($#)); do
    if [[ $1 == --connect ]]; then
        connect=${2:?--connect requires a URI}
        shift
    else
        options+=("$1")
    fi
    shift
done
for program in cfgdrive-virt virsh python3; do
    type -P "$program" >/dev/null || die "$program is not on the PATH"
done
uuid=$(cat /proc/sys/kernel/random/uuid)
cfgdrive() { cfgdrive-virt "${options[@]}" "$@"; }
instance="{uuid: $uuid, name: smoke-test, hostname: smoke-test,
    config_drive: true, user_data: 'smoke test'}"
failed=0

check() {   # check WHAT COMMAND ...
    if "${@:2}" >/dev/null 2>&1; then
        echo "ok      $1"
    else
        echo "FAILED  $1"
        failed=1
    fi
}
# shellcheck disable=SC2317  # called by check
is() { [[ $1 && $1 == "$2" ]]; }
# shellcheck disable=SC2317
fails() { ! "$@"; }
planned() {   # planned KEY: print a value of the plan, such as location
    python3 -c 'import json, sys
plan = json.load(sys.stdin)
print({**plan["decision"], **plan}[sys.argv[1]])' "$1" <<<"$plan"
}
# shellcheck disable=SC2317
capacity() {
    virsh -c "$connect" domblkinfo "$uuid" "$(planned target)" |
        sed -n 's/^Capacity: *//p'
}
# shellcheck disable=SC2317
size() {
    cfgdrive inspect "$drive" --json | sed -n 's/^  "size": \([0-9]*\),/\1/p'
}
# shellcheck disable=SC2317
# Not by a pipe to grep -q, which may end before list has written all.
found() { [[ $(cfgdrive list --json) == *"\"$drive\""* ]]; }

plan=$(cfgdrive plan - --json <<<"$instance")
drive=$(planned location)
cfgdrive spawn - --connect "$connect" <<<"$instance"
trap 'cfgdrive destroy "$uuid" --connect "$connect" >/dev/null' EXIT
echo
check 'the domain runs' \
    is "$(virsh -c "$connect" domstate "$uuid" | head -n 1)" running
check "one of its disks, a $(planned device), is the drive" \
    grep -qE "^ *(file|network) +$(planned device) +$(planned target) .*${drive#rbd:}$" \
    <(virsh -c "$connect" domblklist --details "$uuid")
check 'libvirt sees its full size' is "$(capacity)" "$(size)"
if [[ $drive != rbd:* ]]; then
    check 'only its owner may read the drive' is "$(stat -c %a "$drive")" 600
fi
check 'the drive is whole, and matches the instance' \
    cfgdrive verify "$drive" --instance <(echo "$instance")
check 'the drive is fresh' cfgdrive status - <<<"$instance"
check 'the drive is stale for a changed instance' \
    fails cfgdrive status - <<<"${instance/smoke test/another}"
check 'the drive is listed' found
cfgdrive destroy "$uuid" --connect "$connect" >/dev/null
trap - EXIT
check 'the domain is gone' fails virsh -c "$connect" dominfo "$uuid"
check 'the drive is gone' fails found
exit "$failed"
