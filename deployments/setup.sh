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
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
# The lock names every package, so nothing is left to resolve (`pip check` says if it were not whole), and two halves of it,
# about as large as each other, are unpacked at once.
grep -i '^[a-r]' requirements.lock >"$venv/first.lock"
grep -i '^[s-z]' requirements.lock >"$venv/second.lock"
pip install --no-deps --no-compile -r "$venv/first.lock" &
pip install --no-deps --no-compile -r "$venv/second.lock" || { wait; exit 1; }
wait $!
# Compiled on all cores: quicker than as pip does it, one file after the other. What few ever import is compiled when they do.
seldom='/(tests|databricks|fontTools|matplotlib|mypy|pip|setuptools|transformers/models)/'
"$venv/bin/python" -m compileall -q -j 0 -x "$seldom" "$venv/lib" >/dev/null || true # some packages hold files for other Pythons
pip install --no-deps --no-build-isolation -e .
pip check
