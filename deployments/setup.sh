#!/bin/sh
# Makes the virtual environment $1 with the exact versions of requirements.lock. Asks nothing, installs nothing globally.
set -eu
venv=$1

for candidate in python3 python3.13 python3.12 python3.11 python; do
    if command -v "$candidate" >/dev/null 2>&1 && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
        python=$candidate
        break
    fi
done
if [ -z "${python:-}" ]; then
    echo "Afinador needs Python 3.11 or newer and found none on the PATH; install it (for example: apt install python3 python3-venv) and run this again." >&2
    exit 1
fi
if ! "$python" -c 'import venv, ensurepip' 2>/dev/null; then
    echo "$python has no venv module; install it (for example: apt install python3-venv) and run this again." >&2
    exit 1
fi

echo "Setting up $venv with $("$python" --version), once; this takes some minutes."
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# Compiled on all cores afterwards: quicker than as pip does it, one file after the other.
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-compile -r requirements.lock
"$venv/bin/python" -m compileall -q -j 0 -x '/tests/' "$venv/lib" >/dev/null || true # some packages hold files for other Pythons
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
