# shellcheck shell=bash
#
# Shared by quickstart.sh and run-tests.sh: installs system packages and
# virtual environments, and reports clearly what it can't install.
# Source it; it sets $root and $cache.

set -euo pipefail
export LC_ALL=C.UTF-8

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${CFGDRIVE_VIRT_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/cfgdrive-virt}

die() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }
say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }

installed() {
    [[ $(dpkg-query -W -f '${Status}' "$1" 2>/dev/null) == *' installed' ]]
}

# Install missing packages; use sudo only if there are any.
packages() {
    local missing=() package become=()
    type -P apt-get dpkg-query >/dev/null ||
        die "only Debian and Ubuntu are supported; on other systems, install" \
            "the content of these packages and follow the script: $*"
    for package; do installed "$package" || missing+=("$package"); done
    ((${#missing[@]})) || return 0
    if ((EUID)); then
        type -P sudo >/dev/null ||
            die "sudo not found; run as root: apt-get install ${missing[*]}"
        become=(sudo)
    fi
    say "Installing ${missing[*]}"
    "${become[@]}" apt-get -qq update ||
        die 'apt-get update failed; check the network connection'
    "${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install \
        -y --no-install-recommends "${missing[@]}" >/dev/null ||
        die "can't install these packages: ${missing[*]}"
}

# The same, for packages that this release has.
packages_if_any() {
    local package found=()
    for package; do
        if [[ $(apt-cache policy "$package" 2>/dev/null) == *Candidate:\ [0-9]* ]]
        then found+=("$package"); fi
    done
    ((${#found[@]} == 0)) || packages "${found[@]}"
}

# apt_config SUITE ARCHITECTURE: print the path of a configuration for APT_CONFIG
# with which apt-get and apt-cache see only this suite for this architecture,
# from the mirror that this machine uses, and with its keyring. For downloads:
# the machine's own apt stays as it is. The package lists are in $cache/apt, and
# are updated after a day.
apt_config() (
    suite=$1 architecture=$2 directory=$cache/apt/$1-$2
    # shellcheck disable=SC2016  # expanded by apt-get
    mirror=$(apt-get indextargets --format '$(REPO_URI)' \
        'Identifier: Packages' "Codename: $(os_release VERSION_CODENAME)" \
        'Component: main' | sed -n 1p)
    [[ $mirror ]] ||
        die 'apt has no package lists of this release (apt-get update?)'
    if [[ $(os_release ID):$architecture == ubuntu:!(amd64|i386) ]]; then
        # Ubuntu has another server for these architectures.
        mirror=$(sed -E 's#//([^/]*\.)?archive\.([^/]*)/ubuntu/?$#'\
'//ports.\2/ubuntu-ports/#' <<<"$mirror")
    fi
    mkdir -p "$directory"/{lists,cache/archives}/partial
    exec 9>"$directory/.lock"
    flock 9
    : >"$directory/status"
    keyring=/usr/share/keyrings/$(os_release ID)-archive-keyring.gpg
    echo "deb [signed-by=$keyring] $mirror $suite main" \
        >"$directory/sources.list"
    # apt would else change to a user who may not write here
    cat >"$directory/apt.conf" <<END
APT::Architecture "$architecture";
#clear APT::Architectures;
APT::Architectures { "$architecture"; };
APT::Sandbox::User "root";
Acquire::Languages "none";
Dir::State "$directory";
Dir::State::status "$directory/status";
Dir::Cache "$directory/cache";
Dir::Etc::sourcelist "$directory/sources.list";
Dir::Etc::sourceparts "/dev/null";
END
    export APT_CONFIG=$directory/apt.conf
    if [[ ! $(find "$directory/updated" -mtime -1 2>/dev/null) ]]; then
        if apt-get -qq -o APT::Update::Error-Mode=any update >&2; then
            touch "$directory/updated"
        elif [[ ! -e $directory/updated ]]; then
            die "can't get the package lists of $suite for $architecture" \
                "from $mirror"
        fi
    fi
    echo "$APT_CONFIG"
)

# os_release FIELD: print a field of /etc/os-release.
os_release() {
    # shellcheck source=/dev/null
    (source /etc/os-release && echo "${!1}")
}

# venv NAME [REQUIREMENT ...]: create $cache/NAME, unless it exists already with
# these requirements. It sees the system's packages: libvirt's binding is built
# for the system's Python, and Ceph's bindings exist nowhere else.
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
        die "can't create a virtual environment in $directory"
    if (($#)); then
        "$directory/bin/pip" install -qq --disable-pip-version-check "$@" ||
            die "pip can't install: $*"
    fi
    echo "$wanted" >"$directory/.wanted"
}

# site_packages NAME: print the path of the packages of $cache/NAME.
site_packages() {
    "$cache/$1/bin/python" -c \
        'import sysconfig; print(sysconfig.get_path("platlib"))'
}

# system_modules NAME MODULE ...: link only these compiled modules of the system
# into $cache/NAME: no package index has them, or they need a compiler.
system_modules() {
    local site module file found
    site=$(site_packages "$1")
    shift
    for module; do
        found=
        for file in /usr/lib/python3/dist-packages/"$module"{.py,.*.so}; do
            [[ ! -e $file ]] || { ln -sf "$file" "$site/" && found=1; }
        done
        [[ $found ]] || die "the system's python3 lacks the module $module"
    done
}

# beside NAME OTHER [REQUIREMENT ...]: install requirements, without their own
# requirements, into $cache/OTHER, to precede those of $cache/NAME on the path.
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

# this_checkout NAME [OPTION ...]: install this checkout in $cache/NAME, as a
# copy, or with -e editable. The build does not see the system's packages: some
# of them break newer setuptools.
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

# unpacked NAME SUITE PACKAGE ...: unpack Debian's packages of a release, such as
# trixie or sid, into $cache/NAME. Nothing is installed, nor is what they depend
# on. Those of the machine's own release are its own, so Ubuntu has these too.
# apt's patterns are understood, such as libfoo?.
unpacked() {
    local directory=$cache/$1 suite=$2 wanted new
    shift 2
    wanted="$suite $*"
    if [[ $wanted == "$(cat "$directory/.wanted" 2>/dev/null)" ]]; then
        return
    fi
    mkdir -p "$cache"
    new=$(mktemp -d "$cache/.new-XXXXXX")
    say "Unpacking $* of $suite"
    (
        if [[ $suite != "$(os_release VERSION_CODENAME)" ]]; then
            APT_CONFIG=$(apt_config "$suite" "$(dpkg --print-architecture)") ||
                exit
            export APT_CONFIG
        fi
        # apt-get downloads into the current directory, by default as another
        # user.
        cd "$new" &&
            apt-get -qq -o APT::Sandbox::User=root download "$@" &&
            for package in *.deb; do dpkg-deb -x "$package" . || exit; done
    ) || {
        rm -rf "$new"
        die "can't download these packages of $suite: $*"
    }
    echo "$wanted" >"$new/.wanted"
    rm -rf "$directory"
    mv -T "$new" "$directory"
}
