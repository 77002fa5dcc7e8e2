#!/usr/bin/env bash
# Resolves pyproject.toml into requirements.lock and requirements-dev.lock: exact versions, hashes, every platform and
# every Python from 3.11 on. Releases younger than a week are not taken.
set -euo pipefail
cd "$(dirname "$0")/.."
tool=$(mktemp -d)
trap 'rm -rf "$tool"' EXIT
python3 -m venv "$tool" && "$tool/bin/pip" install --quiet --disable-pip-version-check uv
youngest=$(date -u -d '7 days ago' +%Y-%m-%d)
compile() {
  "$tool/bin/uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --exclude-newer "$youngest" \
    --no-emit-index-url --no-emit-find-links --no-header --no-annotate "$@"
}
compile pyproject.toml --group build -o requirements.lock
compile pyproject.toml --all-extras --group build --group dev -c requirements.lock -o requirements-dev.lock
