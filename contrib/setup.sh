# shellcheck shell=bash
#
# What quickstart.sh and run-tests.sh share: system packages, virtual
# environments, and a word that is plain when something can't be had.
# To be sourced; sets $root and $cache.

set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CFGDRIVE_VIRT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cfgdrive-virt}

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

installed() {
    [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == *' installed' ]]
}

# Install the packages that are missing; ask for root only if any is.
packages() {
    local missing=() package become=()
    type -P apt-get dpkg-query >/dev/null ||
        die "only Debian and Ubuntu are known here; on others install what" \
            "these packages hold, and read the script: $*"
    for package; do installed "$package" || missing+=("$package"); done
    ((${#missing[@]})) || return 0
    if ((EUID)); then
        type -P sudo >/dev/null ||
            die "no sudo; as root: apt-get install ${missing[*]}"
        become=(sudo)
    fi
    say "Installing ${missing[*]}"
    "${become[@]}" apt-get -qq update ||
        die 'apt-get update failed; is there a network?'
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install \
        -y --no-install-recommends "${missing[@]}" >/dev/null ||
        die "these packages can't be installed: ${missing[*]}"
}

# The same for those that this release has.
packages_if_any() {
    local package found=()
    for package; do
        if [[ $(apt-cache policy "$package" 2>/dev/null) == *Candidate:\ [0-9]* ]]
        then found+=("$package"); fi
    done
    ((${#found[@]} == 0)) || packages "${found[@]}"
}

# venv NAME [REQUIREMENT ...]: make $cache/NAME, unless it is there as wanted.
# It sees the system's packages: libvirt's binding is built for the system's
# Python, and those of Ceph exist nowhere else.
venv() { make_venv "$1" --system-site-packages "${@:2}"; }

# The same without the system's packages.
isolated_venv() { make_venv "$1" --symlinks "${@:2}"; }

make_venv() {
    local directory=$cache/$1 option=$2 wanted
    shift 2
    wanted=$(/usr/bin/python3 --version; printf '%s\n' "$option" "$@")
    if [[ $wanted == "$(cat "$directory/.wanted" 2>/dev/null)" ]]; then
        return
    fi
    rm -rf "$directory"
    mkdir -p "$cache"
    /usr/bin/python3 -m venv "$option" "$directory" ||
        die "can't make a virtual environment in $directory"
    if (($#)); then
        "$directory/bin/pip" install -qq --disable-pip-version-check "$@" ||
            die "pip can't install: $*"
    fi
    echo "$wanted" >"$directory/.wanted"
}

# site_packages NAME: tell where $cache/NAME has its packages.
site_packages() {
    "$cache/$1/bin/python" -c \
        'import sysconfig; print(sysconfig.get_path("platlib"))'
}

# system_modules NAME MODULE ...: let $cache/NAME see these of the system's
# compiled modules, and no others: they are on no index, or need a compiler.
system_modules() {
    local site module file found
    site=$(site_packages "$1")
    shift
    for module; do
        found=
        for file in /usr/lib/python3/dist-packages/"$module"{.py,.*.so}; do
            [[ ! -e $file ]] || { ln -sf "$file" "$site/" && found=1; }
        done
        [[ $found ]] || die "the system's python3 has no $module"
    done
}

# beside NAME OTHER [REQUIREMENT ...]: put requirements, and nothing that they
# require, into $cache/OTHER, to go before those of $cache/NAME on the path.
beside() {
    local name=$1 directory=$cache/$2 wanted
    shift 2
    wanted=$(printf '%s\n' "$@")
    if [[ $wanted == "$(cat "$directory/.wanted" 2>/dev/null)" ]]; then
        return
    fi
    rm -rf "$directory"
    "$cache/$name/bin/pip" install -qq --disable-pip-version-check --no-deps \
        --target "$directory" "$@" || die "pip can't install: $*"
    echo "$wanted" >"$directory/.wanted"
}

# this_checkout NAME [OPTION ...]: put this very checkout into it, as it is
# now, or with -e as it will be. It is built apart from the system's packages:
# some of those break newer setuptools.
this_checkout() {
    local directory=$cache/$1 wanted built=
    [[ -e $root/build ]] || built=$root/build
    shift
    wanted=$root:$*:$(find "$root/setup.py" "$root/pyproject.toml" \
        "$root/cfgdrive_virt/adapters/nova/shim" -type f -exec cat {} + |
        sha256sum)
    if [[ $wanted == "$(cat "$directory/.checkout" 2>/dev/null)" ]]; then
        return
    fi
    "$directory/bin/pip" install -qq --disable-pip-version-check "$@" \
        "$root" || die "pip can't install $root"
    [[ ! $built ]] || rm -rf "$built"
    echo "$wanted" >"$directory/.checkout"
}
