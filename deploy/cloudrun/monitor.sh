#!/bin/sh
# Makes the alert policies and the dashboard, or brings them up to date.
#
#     PROJECT=… [CHANNEL=…] deploy/cloudrun/monitor.sh
#
#   PROJECT   project
#   CHANNEL   whom alerts tell: a notification channel's name, projects/…/notificationChannels/…
#             (default: nobody; what was set by hand stays)
set -eu
here=$(cd "$(dirname "$0")" && pwd)
say() { printf '%s\n' "monitor: $*" >&2; }
[ -n "${PROJECT:-}" ] || { say "not set: PROJECT"; exit 2; }
command -v gcloud >/dev/null || { say 'gcloud is needed'; exit 1; }

# There is only an alpha of these commands in many versions of gcloud; what they call is not.
policies() { gcloud alpha monitoring policies "$@" --project "$PROJECT"; }
dashboards() { gcloud monitoring dashboards "$@" --project "$PROJECT"; }

# Told apart by what they are called: policies' own names are made by the server.
for file in "$here"/alerts/*.yaml; do
  title=$(sed -n 's/^displayName: "\(.*\)"$/\1/p' "$file")
  name=$(policies list --filter "displayName=\"$title\"" --format 'value(name)' | head -n 1)
  if [ -z "$name" ]; then
    policies create --policy-from-file "$file" ${CHANNEL:+--notification-channels "$CHANNEL"}
  else
    # An update from a file replaces the channels as well, unless they are left out of the fields.
    policies update "$name" --policy-from-file "$file" \
      --fields displayName,documentation,conditions,combiner,severity,alertStrategy
    [ -z "${CHANNEL:-}" ] || policies update "$name" --set-notification-channels "$CHANNEL"
  fi
  say "$title"
done

title=$(sed -n 's/^  "displayName": "\(.*\)",$/\1/p' "$here/dashboard.json")
name=$(dashboards list --filter "displayName=\"$title\"" --format 'value(name)' | head -n 1)
# Anew rather than updated: an update wants the etag of the one that is there inside the file.
[ -z "$name" ] || dashboards delete "$name" --quiet
dashboards create --config-from-file "$here/dashboard.json"
say "dashboard $title"
