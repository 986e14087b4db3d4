#!/bin/sh
# Makes sure that there is a Vulkan driver. Does nothing if there is one, or on macOS and Windows, which
# have Metal and DX12. On Debian and Ubuntu it installs Mesa's drivers, one of which runs on the processor.
set -eu

packages="mesa-vulkan-drivers libvulkan1"

fail() {
    echo "ensure-adapter: $1" >&2
    cat >&2 <<TEXT
  Debian, Ubuntu: apt-get install $packages
  Fedora:         dnf install mesa-vulkan-drivers vulkan-loader
  macOS:          nothing; Metal is part of the system
  Windows:        the GPU vendor's driver; Windows 10 and later bring the software adapter WARP
TEXT
    exit 1
}

# Prints the first driver manifest that the Vulkan loader would read.
manifest() {
    chosen=${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}
    if [ -n "$chosen" ]; then
        # A list of files, or of directories; the loader then reads nothing else.
        places=$chosen
    else
        places=/etc/vulkan/icd.d:/usr/local/etc/vulkan/icd.d:/run/opengl-driver/share/vulkan/icd.d
        places=$places:${XDG_DATA_HOME:-${HOME:-/nonexistent}/.local/share}/vulkan/icd.d
        places=$places:/usr/local/share/vulkan/icd.d:/usr/share/vulkan/icd.d
    fi
    (
        IFS=:
        for place in $places; do
            for file in "$place" "$place"/*.json; do
                if [ -f "$file" ]; then
                    echo "$file"
                    exit 0
                fi
            done
        done
        exit 1
    )
}

loader() {
    PATH=$PATH:/sbin:/usr/sbin
    if ldconfig -p 2>/dev/null | grep -q 'libvulkan\.so\.1'; then
        return 0
    fi
    # If the loader is not in ldconfig's cache, or there is no cache.
    for file in /usr/lib/libvulkan.so.1 /usr/lib64/libvulkan.so.1 /usr/lib/*/libvulkan.so.1 /run/opengl-driver/lib/libvulkan.so.1; do
        if [ -e "$file" ]; then
            return 0
        fi
    done
    return 1
}

case $(uname -s) in
Darwin)
    echo "ensure-adapter: macOS has Metal, nothing to do"
    exit 0
    ;;
MINGW* | MSYS* | CYGWIN* | Windows*)
    echo "ensure-adapter: Windows has DX12, nothing to do"
    exit 0
    ;;
esac

if found=$(manifest) && loader; then
    echo "ensure-adapter: Vulkan driver present ($found)"
    exit 0
fi
if [ -n "${VK_DRIVER_FILES:-${VK_ICD_FILENAMES:-}}" ] && [ -z "$found" ]; then
    fail "VK_DRIVER_FILES or VK_ICD_FILENAMES is set, but names no file; unset it, or install a driver:"
fi

# shellcheck disable=SC2086 # several packages
sh "$(dirname "$0")/apt-install.sh" $packages || fail "no Vulkan driver found, and it could not be installed; install one:"
if ! found=$(manifest) || ! loader; then
    fail "installed $packages, but the Vulkan loader finds no driver; install one:"
fi
echo "ensure-adapter: installed $packages"
