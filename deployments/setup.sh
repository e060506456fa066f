#!/bin/sh
# Makes the virtual environment $1 with the exact versions of requirements.lock. Asks nothing, installs nothing globally.
# PYTHON=/path/to/python chooses the Python that it is made of.
set -eu
venv=$1

# The system's Python first: distributions build theirs with profile-guided optimization, which one that was compiled on
# this machine mostly lacks, and everything here starts many processes of Python.
for candidate in ${PYTHON:-/usr/bin/python3 python3 python3.13 python3.12 python3.11 python}; do
    command -v "$candidate" >/dev/null 2>&1 || continue
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
    suitable=$candidate
    "$candidate" -c 'import venv, ensurepip' 2>/dev/null || continue
    python=$candidate
    break
done
if [ -z "${suitable:-}" ]; then
    echo "Afinador needs Python 3.11 or newer; ${PYTHON:-the PATH} has none; install it (for example: apt install python3 python3-venv) and run this again." >&2
    exit 1
fi
if [ -z "${python:-}" ]; then
    echo "$suitable has no venv module; install it (for example: apt install python3-venv) and run this again." >&2
    exit 1
fi

echo "Setting up $venv with $("$python" --version), once; this takes some minutes."
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
# The lock names every package, so nothing is left to resolve; `pip check` says if it were not whole. uv unpacks them in a
# fraction of pip's time, but does not read pip's configuration: torch, of which an organisation may have a build of its own, is
# taken by pip meanwhile, and so are all others where uv reaches no index.
grep '^torch==' requirements.lock >"$venv/torch.lock"
grep -v '^torch==' requirements.lock >"$venv/others.lock"
pip install "$(grep '^uv==' requirements.lock)"
pip install --no-deps --no-compile -r "$venv/torch.lock" &
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" --no-deps -r "$venv/others.lock" ||
    pip install --no-deps --no-compile -r "$venv/others.lock" || { wait; exit 1; }
wait $!
# A build of torch for GPUs needs NVIDIA's libraries, a different set for each build; one for CPUs needs nothing more.
pip install -c "$venv/others.lock" -r "$venv/torch.lock"
# Compiled on all cores, but for what few ever import: that is compiled when they do.
seldom='/(tests|databricks|fontTools|matplotlib|mypy|pip|setuptools|transformers/models)/'
"$venv/bin/python" -m compileall -q -j 0 -x "$seldom" "$venv/lib" >/dev/null || true # some packages hold files for other Pythons
# As a plain path, not as an import hook: type checkers run no hooks, and would not find the package from elsewhere.
pip install --no-deps --no-build-isolation --config-settings editable_mode=compat -e .
pip check
