#!/bin/sh
# Copy to $1 what `import caffe` and `import h5py` need, and nothing else: the Python packages, and
# the shared libraries that their compiled parts are linked with (as `ldd` finds them).
#
# Left out of what the packages depend on: skimage, scipy, matplotlib, pandas, IPython and friends,
# which pycaffe imports for picture handling that a dump never does (dumper/net.py has stand-ins).
set -eu
target=$1
packages=/usr/lib/python3/dist-packages

mkdir -p "$target$packages"
for name in caffe numpy h5py google six.py; do
    cp -a "$packages/$name" "$target$packages/"
done
# tests and headers of numpy and h5py are never imported
rm -rf "$target$packages"/numpy/*/tests "$target$packages"/numpy/f2py "$target$packages"/h5py/tests

find "$target$packages" -name '*.so' -exec ldd {} + | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u |
while read -r library; do
    mkdir -p "$target$(dirname "$library")"
    # -L: alternatives (libblas.so.3 -> OpenBLAS) become the file itself
    cp -L "$library" "$target$library"
done

# which packages the copied files are from; alternatives belong to none, so OpenBLAS is named
mkdir -p "$target/usr/share/decant"
(find "$target" -type f | sed "s|^$target||" | xargs dpkg -S 2>/dev/null | cut -d: -f1 || true
 echo libopenblas0-pthread) | sort -u |
xargs dpkg-query -W -f '${Package} ${Version} ${Architecture}\n' > "$target/usr/share/decant/packages.txt"
