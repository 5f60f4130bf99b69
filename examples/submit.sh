#!/bin/sh
# Submits a task with nothing but curl, waits until it has ended, and fetches its frames as a zip.
#
#   npm start                      # in another terminal: prints the manager's address, and where the admin token is kept
#   TABLAO_TOKEN=... examples/submit.sh
#
# TABLAO_URL     the manager; by default that of `npm start`
# TABLAO_TOKEN   an artist's or admin's token
# FRAMES, OUT    what to render, and the zip to write
set -eu

url="${TABLAO_URL:-http://127.0.0.1:8787}"
frames="${FRAMES:-1-4}"
out="${OUT:-frames.zip}"
: "${TABLAO_TOKEN:?Set TABLAO_TOKEN to an artist or admin token}"

# The token goes to curl by a pipe: everybody on a machine can read the arguments of a process.
call() {
  printf 'Authorization: Bearer %s\n' "$TABLAO_TOKEN" |
    curl --silent --show-error --fail-with-body --retry 5 --header @- "$@"
}

# With the same key, a repetition of this request answers with the same task: a cut connection submits nothing twice.
task="$(call --request POST "$url/tasks" \
  --header "Content-Type: application/json" \
  --header "Idempotency-Key: submit-$$-$(date +%s)" \
  --data "{\"type\":\"demo_render\",\"settings\":{\"frames\":\"$frames\",\"width\":160,\"height\":90}}")"
# A task begins with its number. Use jq where it is at hand; this script needs nothing but curl.
id="$(printf '%s' "$task" | sed 's/^{"id":\([0-9]*\).*/\1/')"
echo "task $id is submitted"

while :; do
  status="$(call "$url/tasks/$id" | sed 's/.*"status":"\([a-z]*\)".*/\1/')"
  case "$status" in
    completed) break ;;
    failed | canceled)
      echo "task $id is $status" >&2
      exit 1
      ;;
  esac
  sleep 1
done

call "$url/tasks/$id/zip" --output "$out"
echo "the frames are in $out"
