#!/bin/sh
# Make a base image where no container registry is reachable: a minimal Debian from the machine's
# own package mirror. Needs root, mmdebstrap and a Docker engine.
#   docker/base.sh [IMAGE [SUITE [PACKAGES]]]
# For stage 1: decant-base:bullseye bullseye (the default). For stage 2 (docker/torch.Dockerfile):
#   docker/base.sh decant-base:bookworm bookworm python3,python3-venv
# $DEBIAN_MIRROR replaces the mirror that the machine's own sources name.
set -eu
image=${1:-decant-base:bullseye}
suite=${2:-bullseye}
packages=${3:-}
mirror=${DEBIAN_MIRROR:-}
if ! command -v mmdebstrap >/dev/null; then
    echo "error: mmdebstrap is not installed: apt-get install mmdebstrap" >&2
    exit 8
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if [ -z "$mirror" ]; then
    # the first mirror that this machine's own sources name
    mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        grep -oE '^(deb|URIs:).*https?://[^ ]+/debian/?( |$)' | grep -oE 'https?://[^ ]+' | head -1)
fi
if [ -z "$mirror" ]; then
    echo "error: no Debian mirror found in /etc/apt; name one in DEBIAN_MIRROR" >&2
    exit 8
fi
# without manuals and translations, as the official slim images
SOURCE_DATE_EPOCH=1700000000 mmdebstrap --variant=minbase --components=main --quiet \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/info/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --aptopt='Dir::Cache::pkgcache ""' --aptopt='Dir::Cache::srcpkgcache ""' \
    ${packages:+--include="$packages"} "$suite" "$work/base.tar" "$mirror"
docker import --change 'CMD ["/bin/sh"]' "$work/base.tar" "$image"
