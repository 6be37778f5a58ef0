#!/bin/sh
# ./setup.sh               makes the environment .venv from requirements.lock, once; again when the lock changes
# ./setup.sh serve         .venv-serve from requirements-serve.lock: what the service needs, without PyTorch
# ./setup.sh docs          .venv-docs from requirements-docs.lock: what the documentation needs
# ./setup.sh mermaid       docs/javascripts/mermaid.min.js, which draws the documentation's diagrams
# ./setup.sh packages ...  installs Debian packages that are missing, or says that it can't and goes on
set -eu
cd "$(dirname "$0")"
UV=0.13.9

say() { printf '%s\n' "setup: $*" >&2; }

debian() {  # installs Debian packages, where root or sudo allows it
  sudo=
  [ "$(id -u)" = 0 ] || sudo='sudo -n'
  say "installing Debian's $*"
  { $sudo apt-get update -q && $sudo env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qy --no-install-recommends "$@"; } >&2
}

case ${1:-} in
  serve) venv=.venv-serve lock=requirements-serve.lock size='some 400 megabytes' ;;
  docs) venv=.venv-docs lock=requirements-docs.lock size='some 700 megabytes' ;;
  mermaid)
    mkdir -p docs/javascripts
    command -v npm >/dev/null && folder=$(mktemp -d) && npm pack --silent --pack-destination "$folder" mermaid@11 >/dev/null &&
      tar -xOf "$folder"/mermaid-*.tgz package/dist/mermaid.min.js > docs/javascripts/mermaid.min.js ||
      { say "no npm or no registry: diagrams stay text"; : > docs/javascripts/mermaid.min.js; }
    exit 0 ;;
  packages)
    shift
    missing=
    for package; do dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"; done
    # shellcheck disable=SC2086
    [ -z "$missing" ] || debian $missing ||
      say "can't install$missing here: what needs them says so, and tests that do are skipped"
    exit 0 ;;
  *) venv=.venv lock=requirements.lock size='some gigabytes, on Linux most of them for the GPU' ;;
esac

python=
for candidate in python3.11 python3.12 python3.13 python3.14 python3; do
  if "$candidate" -c 'import sys; raise SystemExit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' 2>/dev/null
  then python=$candidate; break; fi
done
[ -n "$python" ] || { say 'Python 3.11 to 3.14 is needed (Debian 12: apt-get install python3 python3-venv)'; exit 1; }

missing=
[ ! -e .git ] || command -v git >/dev/null || missing="$missing git"
"$python" -c 'import ensurepip' 2>/dev/null || missing="$missing $("$python" -c \
  'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
# shellcheck disable=SC2086
[ -z "$missing" ] || debian $missing ||
  { say "these packages are missing and can't be installed here:$missing"; exit 1; }

if ! cmp -s "$lock" "$venv/requirements.lock"; then
  [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
  # In an environment of its own: it is no part of either.
  [ -x .uv/bin/uv ] || { "$python" -m venv .uv && .uv/bin/python -m pip install --quiet \
    --disable-pip-version-check "uv==$UV"; }
  say "installing $lock into $venv ($size)"
  .uv/bin/uv pip install --quiet --require-hashes --python "$venv/bin/python" -r "$lock"
  cp "$lock" "$venv/requirements.lock"
fi

# An archive of the source has no git repository: DVC must not look for one, nor miss one that is made later.
if [ "$venv" = .venv ]; then
  if [ ! -e .git ]; then .venv/bin/dvc config --local --quiet core.no_scm true
  elif grep -qs no_scm .dvc/config.local; then .venv/bin/dvc config --local --quiet --unset core.no_scm
  fi
fi
