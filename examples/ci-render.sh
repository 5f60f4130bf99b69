#!/bin/sh
# Renders as a step of a build: submits, waits, fetches the frames. Fails when the task does.
#
#   TABLAO_URL=https://tablao.example.workers.dev TABLAO_TOKEN=... examples/ci-render.sh OUT SCENE.blend --frames 1-24
#
# OUT is the folder for the frames; what follows it goes to `tablao submit` as it is. Run it in a checkout of Tablao after
# `npm ci`, or set TABLAO to the command to use. examples/ci-render.yml is the workflow round it.
set -eu

out="$1"
shift
tablao="${TABLAO:-node src/cli/tablao.js}"

# --wait reports progress on stderr, and its exit code is an error when the task fails or is canceled. The output is the task.
task="$($tablao submit "$@" --wait --json)"
id="$(printf '%s\n' "$task" | sed -n 's/^[ {]*"id": *\([0-9]*\).*/\1/p' | head -n 1)"
echo "task $id is completed"
$tablao download "$id" "$out"
