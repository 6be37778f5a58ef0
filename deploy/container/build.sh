#!/bin/sh
# Builds the image of a Bento:
#
#     deploy/container/build.sh [BENTO]          (default: handwritten-math-ocr:latest)
#     deploy/container/build.sh --lay-out FOLDER [BENTO]
#     deploy/container/build.sh [--lay-out FOLDER] --training   the image of the training environment
#
# With --lay-out it only fills FOLDER with what `docker build FOLDER` needs. Prints the image's name, or FOLDER.
#
#   BASE      image to build on; must have Python 3.11 to 3.14      (default: the Dockerfile's)
#   IMAGE     name of the image                                    (default: the Bento's name and version)
#   PIP_CONF  pip's configuration for the build, kept out of the image; CA_CERT  certificates that it may
#             name as /run/secrets/ca.crt                          (default: none)
#   NETWORK   network of the build, as `docker build` takes it     (default: the engine's)
set -eu
cd "$(dirname "$0")/../.."
say() { printf '%s\n' "build: $*" >&2; }

folder=
if [ "${1:-}" = --lay-out ]; then
  folder=${2:?"build: --lay-out needs a folder"}
  shift 2
fi
if [ -z "$folder" ]; then
  command -v docker >/dev/null || { say 'docker is needed'; exit 1; }
  built=$(mktemp -d)
  trap 'rm -rf "$built"' EXIT INT TERM
else mkdir -p "$folder"
fi
context=${folder:-$built}

build() {  # the image with this name, of what has been laid out
  say "building $1"
  # The secrets need BuildKit.
  DOCKER_BUILDKIT=1 docker build --tag "$1" \
    ${BASE:+--build-arg "BASE=$BASE"} \
    ${PIP_CONF:+--secret "id=pip.conf,src=$PIP_CONF"} ${CA_CERT:+--secret "id=ca.crt,src=$CA_CERT"} \
    ${NETWORK:+--network "$NETWORK"} \
    "$context" >&2
  printf '%s\n' "$1"
}

if [ "${1:-}" = --training ]; then
  cp requirements.lock "$context/"
  cp deploy/container/training.Dockerfile "$context/Dockerfile"
  if [ -n "$folder" ]; then printf '%s\n' "$folder"; exit; fi
  build "${IMAGE:-handwritten-math-train:$(cksum < requirements.lock | cut -d ' ' -f 1)}"
  exit
fi

bento=${1:-handwritten-math-ocr:latest}
command -v bentoml >/dev/null || PATH=$PWD/.venv/bin:$PATH
command -v bentoml >/dev/null || { say 'bentoml is needed: make env'; exit 1; }

# Its version, and not `latest`, which may be another one in a moment. BentoML breaks lines at COLUMNS.
path=$(COLUMNS=10000 bentoml get "$bento" --output path) ||
  { say "there is no Bento $bento here; python -m flows build makes one"; exit 1; }
bento=$(basename "$(dirname "$path")"):$(basename "$path")

say "laying out $bento"
bentoml export "$bento" "$context/.bento.tar" >&2
tar -x -f "$context/.bento.tar" -C "$context"
rm "$context/.bento.tar"
cp deploy/container/Dockerfile "$context/Dockerfile"
if [ -n "$folder" ]; then printf '%s\n' "$folder"; exit; fi

build "${IMAGE:-$bento}"
