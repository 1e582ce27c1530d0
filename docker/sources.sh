#!/bin/sh
# Prefer the dated snapshot lines that official Debian images carry as comments: the same packages
# on every build. Their Release files have expired, which is the point.
set -eu
list=/etc/apt/sources.list
if grep -q '^# deb http.*snapshot' "$list" 2>/dev/null; then
    sed -i -e '/^deb /d' -e 's/^# \(deb http.*snapshot\)/\1/' "$list"
    echo 'Acquire::Check-Valid-Until "false";' > /etc/apt/apt.conf.d/99snapshot
fi
