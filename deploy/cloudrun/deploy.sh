#!/bin/sh
# Deploys a Bento to Cloud Run: builds its image in the cloud unless it is there, and applies service.yaml.
# Run again, it changes what has changed.
#
#     PROJECT=… REGION=… … deploy/cloudrun/deploy.sh [BENTO]       (default: handwritten-math-ocr:latest)
#
#   PROJECT          project                      REGION   where it runs
#   REPOSITORY       Artifact Registry repository for images, in REGION
#   SERVICE_ACCOUNT  e-mail of the account that the service runs as
#   NETWORK, SUBNET  the VPC that Redis is in, and a subnet of it in REGION
#   COLLECTOR_IMAGE  Google's "Managed Service for Prometheus" sidecar for Cloud Run; its documentation has the
#                    address
#   BASE             image to build on            (default: cloudbuild.yaml's)
#   DRY_RUN          1: only print the service as it would be applied
#
# ../README.md says how to make what is named here.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
say() { printf '%s\n' "deploy: $*" >&2; }

missing=
for name in PROJECT REGION REPOSITORY SERVICE_ACCOUNT NETWORK SUBNET COLLECTOR_IMAGE; do
  eval "[ -n \"\${$name:-}\" ]" || missing="$missing $name"
done
[ -z "$missing" ] || { say "not set:$missing; the head of $0 says what they are"; exit 2; }
for tool in gcloud sed; do
  command -v "$tool" >/dev/null || { say "$tool is needed"; exit 1; }
done

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT INT TERM
"$here/../container/build.sh" --lay-out "$context" ${1:+"$1"} >/dev/null
version=$(sed -n 's/^version: //p' "$context/bento.yaml" | tr -d "\"'")

registry=$(gcloud artifacts repositories describe "$REPOSITORY" --project "$PROJECT" --location "$REGION" \
  --format 'value(registryUri)') || { say "there is no repository $REPOSITORY in $REGION"; exit 1; }
image=$registry/handwritten-math-ocr:$version
gcloud secrets versions describe latest --secret ocr-api-keys --project "$PROJECT" >/dev/null ||
  { say 'there is no secret ocr-api-keys'; exit 1; }

# Fills ${NAME} in; what could change the file's meaning is no name of anything here.
service=$context/service.yaml
cp "$here/service.yaml" "$service"
fill() {
  case $2 in *[!A-Za-z0-9_./:@-]*) say "$1 has a character that can't be there: $2"; exit 2;; esac
  sed "s|\${$1}|$2|g" "$service" >"$service.part"
  mv "$service.part" "$service"
}
fill IMAGE "$image"
fill SERVICE_ACCOUNT "$SERVICE_ACCOUNT"
fill NETWORK "$NETWORK"
fill SUBNET "$SUBNET"
fill COLLECTOR_IMAGE "$COLLECTOR_IMAGE"
if [ "${DRY_RUN:-}" = 1 ]; then cat "$service"; exit; fi

if gcloud artifacts docker images describe "$image" --project "$PROJECT" >/dev/null 2>&1; then
  say "$image is there"
else
  say "building $image"
  gcloud builds submit "$context" --project "$PROJECT" --config "$here/cloudbuild.yaml" \
    --substitutions "_IMAGE=$image${BASE:+,_BASE=$BASE}"
fi
gcloud run services replace "$service" --project "$PROJECT" --region "$REGION"
gcloud run services describe handwritten-math-ocr --project "$PROJECT" --region "$REGION" \
  --format 'value(status.url)'
