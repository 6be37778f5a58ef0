#!/bin/sh
# Makes the environment .venv from requirements.lock, once; again when the lock changes. `./setup.sh serve` makes
# .venv-serve from requirements-serve.lock instead: what the service needs, without PyTorch.
set -eu
cd "$(dirname "$0")"
UV=0.13.9
if [ "${1:-}" = serve ]
then venv=.venv-serve lock=requirements-serve.lock size='some 400 megabytes'
else venv=.venv lock=requirements.lock size='some gigabytes, most of them for the GPU'; fi

say() { printf '%s\n' "setup: $*" >&2; }

python=
for candidate in python3.11 python3.12 python3; do
  if "$candidate" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null
  then python=$candidate; break; fi
done
[ -n "$python" ] || { say 'Python 3.11 or 3.12 is needed (Debian 12: apt-get install python3 python3-venv)'; exit 1; }

missing=
command -v git >/dev/null || missing="$missing git"
"$python" -c 'import ensurepip' 2>/dev/null || missing="$missing $("$python" -c \
  'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
if [ -n "$missing" ]; then
  sudo=
  [ "$(id -u)" = 0 ] || sudo='sudo -n'
  say "installing Debian's$missing"
  # shellcheck disable=SC2086
  { $sudo apt-get update -q && $sudo apt-get install -qy --no-install-recommends $missing; } >&2 ||
    { say "these packages are missing and can't be installed here:$missing"; exit 1; }
fi

if ! cmp -s "$lock" "$venv/requirements.lock"; then
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  # In an environment of its own: it is no part of either.
  [ -x .uv/bin/uv ] || { "$python" -m venv .uv && .uv/bin/python -m pip install --quiet \
    --disable-pip-version-check "uv==$UV"; }
  say "installing $lock into $venv ($size)"
  .uv/bin/uv pip install --quiet --require-hashes --python "$venv/bin/python" -r "$lock"
  cp "$lock" "$venv/requirements.lock"
fi
