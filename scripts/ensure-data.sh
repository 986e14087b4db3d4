#!/bin/sh
# Makes sure that Fashion-MNIST is in a directory that lerac searches: LERAC_DATA, data/,
# /usr/share/datasets, or fashion-mnist/ in one of them. On Debian and Ubuntu it installs the package.
set -eu

package=dataset-fashion-mnist

fail() {
    echo "ensure-data: $1" >&2
    cat >&2 <<TEXT
  Debian: apt-get install $package   (from main)
  Ubuntu: the same, from universe
  elsewhere, or by hand: put these four files, as they are or unpacked, into a folder DIR and give lerac --data-dir DIR,
  or put them into data/fashion-mnist, which is looked at by itself:
    train-images-idx3-ubyte.gz  train-labels-idx1-ubyte.gz  t10k-images-idx3-ubyte.gz  t10k-labels-idx1-ubyte.gz
TEXT
    exit 1
}

has_files() {
    for stem in train-images-idx3-ubyte train-labels-idx1-ubyte t10k-images-idx3-ubyte t10k-labels-idx1-ubyte; do
        if ! [ -s "$1/$stem" ] && ! [ -s "$1/$stem.gz" ]; then
            return 1
        fi
    done
}

# Prints the folder that holds the files.
folder() {
    for root in ${LERAC_DATA:+"$LERAC_DATA"} data /usr/share/datasets; do
        for place in "$root" "$root/fashion-mnist"; do
            if has_files "$place"; then
                echo "$place"
                return 0
            fi
        done
    done
    return 1
}

if found=$(folder); then
    echo "ensure-data: Fashion-MNIST present ($found)"
    exit 0
fi
sh "$(dirname "$0")/apt-install.sh" "$package" || fail "no Fashion-MNIST found, and it could not be installed:"
found=$(folder) || fail "installed $package, but its files are not in /usr/share/datasets/fashion-mnist:"
echo "ensure-data: installed $package ($found)"
