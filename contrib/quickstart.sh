#!/bin/bash
#
# quickstart.sh: set up, and run the main job on embedded defaults
#
# Spawns etc/instance.sample.yaml with a config drive in a local file on a
# private libvirtd, and shows what the guest reads from it. Leaves existing
# libvirtds and domains alone, and stops what it starts. System packages stay,
# and the virtual environment and the guest's kernel stay in
# ~/.cache/cfgdrive-virt ($CFGDRIVE_VIRT_CACHE).

# shellcheck source=setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

say 'Setting up'
packages python3-venv python3-libvirt libvirt-daemon \
    libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils \
    zstd
venv quickstart
this_checkout quickstart -e
PATH=$cache/quickstart/bin:$PATH

# Short, because libvirtd creates sockets in it
work=$(mktemp -d /tmp/cfgd-quickstart-XXXXXX)
finish() {
    "$root/contrib/guest/libvirtd" stop "$work/libvirt" || :
    rm -rf "$work"
}
trap finish EXIT
mkdir "$work/instances"
cat >"$work/nova.conf" <<END
[DEFAULT]
instances_path = $work/instances
[libvirt]
virt_type = qemu
END
sample=$root/etc/instance.sample.yaml
uuid=$(sed -n 's/^uuid: //p' "$sample")
uri=$("$root/contrib/guest/libvirtd" start "$work/libvirt")
cfgdrive() { cfgdrive-virt --config-file "$work/nova.conf" "$@"; }

say 'Plan: what spawn will build, where, and why'
cfgdrive plan "$sample"

say 'The same on a host whose instances are never migrated'
cat >"$work/never.conf" <<END
[cfgdrive_virt]
live_migration = never
END
cfgdrive --config-file "$work/never.conf" plan "$sample"

domain=()
if "$root/contrib/guest/build-probe" "$cache/probe"; then
    domain=(--domain "$work/domain.xml")
    truncate -s 1M "$work/database"
    cat >"$work/domain.xml" <<END
<domain type='qemu'>
  <name>web-1</name>
  <memory unit='MiB'>256</memory>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>$cache/probe/vmlinux</kernel>
    <initrd>$cache/probe/initrd</initrd>
    <cmdline>console=ttyS0 quiet panic=-1 probe.rounds=1 probe.cat=1</cmdline>
  </os>
  <features><acpi/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='$work/database'/>
      <target dev='vdb' bus='virtio'/>
      <serial>2f6d2b8e-7c55-4a0c-9a57-2d7a9c5e5b1f</serial>
    </disk>
    <interface type='user'>
      <mac address='fa:16:3e:ed:9a:59'/>
      <model type='virtio'/>
    </interface>
    <serial type='file'><source path='$work/console'/></serial>
  </devices>
</domain>
END
else
    echo 'No guest to boot (see above): using a domain that boots nothing'
fi

say 'Spawn: define, build the drive, start'
cfgdrive spawn "$sample" --connect "$uri" "${domain[@]}" --json |
    sed -n 's/^  "domain": "\(.*\)",$/domain \1 is running/p'

say "virsh dumpxml: the drive's <disk> in libvirt's XML"
virsh -c "$uri" dumpxml "$uuid" | sed -n "/<disk /,/<\/disk>/p"

say "The drive's tree, secrets masked"
cfgdrive inspect "$work/instances/$uuid/disk.config" | sed -n '1,/^$/p'

if ((${#domain[@]})); then
    say 'What the guest reads'
    for ((i = 0; i < 600; i++)); do
        if grep -q '^PROBE end ' "$work/console" 2>/dev/null; then break; fi
        sleep 0.1
    done
    grep -q '^PROBE end ' "$work/console" ||
        die "the guest did not read the drive within a minute"
    # Without checksums, and without the password of the sample instance
    tr -d '\r' <"$work/console" | sed -n '/^PROBE begin/,/^PROBE end /{
        /^PROBE size/d
        s/^PROBE file [0-9a-f]* [0-9a-f]* /read  /
        s/\("admin_pass": \).*/\1"<hidden>",/
        s/\("random_seed": \).*/\1"<hidden>",/
        s/^PROBE //
        p }'
fi

say 'Destroy: domain and drive'
cfgdrive destroy "$uuid" --connect "$uri"
