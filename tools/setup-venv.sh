#!/bin/sh
# setup-venv.sh FOLDER EXTRAS: a virtual environment with quantkit installed for editing, at the pinned versions.
# Tries each Python by running it, because a name on the PATH may be a launcher for a version that is not there.
set -eu
venv=$1
extras=$2

usable() { # a Python new enough that can make environments with pip in them
    "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' >/dev/null 2>&1
}

if ! usable "$venv/bin/python"; then
    found=
    for python in ${PYTHON:-python3.11 python3.12 python3.13 python3.14 python3 python /usr/bin/python3}; do
        if usable "$python"; then found=$python; break; fi
    done
    if [ -z "$found" ]; then
        echo "error: no usable Python 3.11 to 3.14 found (tried: ${PYTHON:-python3.11 ... python3})." >&2
        echo "Install one with its venv module (Debian, Ubuntu: apt install python3 python3-venv), or say PYTHON=/path/to/python3." >&2
        exit 1
    fi
    echo "creating $venv with $("$found" --version)"
    rm -rf "$venv"
    "$found" -m venv "$venv"
fi

echo "installing quantkit[$extras] at the versions of constraints.txt (the first time takes some minutes)"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -e ".[$extras]" -c constraints.txt
