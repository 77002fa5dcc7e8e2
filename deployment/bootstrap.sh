#!/usr/bin/env bash
# Makes the virtual environment from the hash-pinned lock. Usage: bootstrap.sh PYTHON VENV run|dev
# Says one clear line when the machine lacks something that only its administrator can give.
set -euo pipefail
python=$1 venv=$2 what=$3
cd "$(dirname "$0")/.."

fail() { echo "ark: $1" >&2; exit 2; }

command -v "$python" >/dev/null || fail "\`$python\` was not found; install Python 3.11 or newer (Debian: apt-get install python3)"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
  fail "$("$python" --version) is too old; ARK needs Python 3.11 or newer (make PYTHON=python3.x …)"

if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
  # Debian and Ubuntu ship venv apart from Python.
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null; then
    echo "ark: installing Debian package python$version-venv" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq >&2 && apt-get install -y -qq --no-install-recommends "python$version-venv" >&2 ||
      fail "package python$version-venv could not be installed"
  else
    fail "Python's venv module is missing; run: sudo apt-get install python$version-venv"
  fi
fi

[[ -x $venv/bin/python ]] || "$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --quiet --disable-pip-version-check --no-input "$@" </dev/null; }
lock=requirements.lock
[[ $what == dev ]] && lock=requirements-dev.lock
echo "ark: installing pinned packages into $venv ($lock)" >&2
pip install --require-hashes --only-binary :all: -r "$lock" || fail "the pinned packages could not be installed; is the package index reachable?"
if [[ ! -x $venv/bin/ark ]]; then
  # The project itself: as it stands here, with the build backend from the lock, without another look-up.
  pip install --no-deps --no-build-isolation --editable . || fail "the project could not be installed into $venv"
fi
