/**
 * `/join.sh`: makes a machine with Linux or macOS a worker, or only installs the command line. Pure text. It
 * needs a POSIX shell, curl or wget, and tar where Node is to be fetched; it needs no root, and writes below
 * `~/.tablao` only, but for a link in `~/.local/bin`.
 *
 * The whole script is in one function that its last line calls, so that a script that was cut off on the way
 * does nothing. The join token comes in the environment, never as an argument: everybody on a machine can read
 * the arguments of a process.
 */
import { programFileName, PROGRAM_GZIP_NAME } from "../../protocol/program.ts";
import { NODE_ARCHIVES, NODE_VERSION } from "./node-archives.ts";
import type { JoinFacts } from "./facts.ts";

/** The archives that this script may fetch, as the arms of a `case`. */
const ARCHIVES = (["linux", "darwin"] as const)
  .flatMap((system) => Object.entries(NODE_ARCHIVES[system]).map(([machine, sha256]) => [system, machine, sha256]))
  .map(([system, machine, sha256]) => `    ${system}-${machine}) node_sha256=${sha256} ;;`)
  .join("\n");

/** The script. The values of `facts` have only characters that mean nothing to a shell (`facts.ts`). */
export function shellScript({ manager, program, nodeMirror }: JoinFacts): string {
  return `#!/bin/sh
# Makes this machine a worker of the Tablao manager at ${manager}.
#   curl -fsS ${manager}/join.sh | TABLAO_JOIN=TOKEN sh
# Options of the worker follow as arguments: … | TABLAO_JOIN=TOKEN sh -s -- --tags gpu
# With TABLAO_SERVICE=1 the worker becomes a service that starts with the machine.
# Without TABLAO_JOIN it only installs the command line.
# It needs no root. All it writes is below ~/.tablao, and a link ~/.local/bin/tablao where that folder is there.
set -eu

manager='${manager}'
program_sha256='${program.sha256}'
program_version='${program.version}'
program_file='${programFileName(program.sha256)}'
node_version='${NODE_VERSION}'
node_mirror='${nodeMirror}'
home="$HOME/.tablao"

say() { printf 'tablao: %s\\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

# download URL FILE
download() {
  if command -v curl >/dev/null 2>&1; then curl -fsSL --retry 3 -o "$2" "$1"
  elif command -v wget >/dev/null 2>&1; then wget -q -O "$2" "$1"
  else fail "neither curl nor wget is here: install one of them"
  fi
}

# The SHA-256 of a file; the first word of the line.
sha256_of() {
  if command -v sha256sum >/dev/null 2>&1; then sha256sum <"$1"
  elif command -v shasum >/dev/null 2>&1; then shasum -a 256 <"$1"
  elif command -v openssl >/dev/null 2>&1; then openssl dgst -sha256 -r <"$1"
  else fail "there is nothing to check a SHA-256 with: install sha256sum, shasum or openssl"
  fi | cut -d ' ' -f 1
}

# check FILE SHA256 WHAT
check() {
  [ "$(sha256_of "$1")" = "$2" ] || fail "$3 did not arrive as it should be (its SHA-256 differs); nothing was installed"
}

is_good_node() {
  "$1" -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' >/dev/null 2>&1
}

# Sets node to the path of a Node 20 or newer, which is fetched where there is none.
find_node() {
  node=$(command -v node 2>/dev/null || true)
  if [ -n "$node" ] && is_good_node "$node"; then return; fi
  node="$home/node/$node_version/bin/node"
  if is_good_node "$node"; then return; fi
  system=$(uname -s); machine=$(uname -m)
  case $system in Linux) system=linux ;; Darwin) system=darwin ;; esac
  case $machine in x86_64 | amd64) machine=x64 ;; aarch64 | arm64) machine=arm64 ;; esac
  case $system-$machine in
${ARCHIVES}
    *) fail "there is no Node here and no official build for $system-$machine: install Node 20 or newer, and run this again" ;;
  esac
  name="node-v$node_version-$system-$machine"
  say "fetching Node $node_version from $node_mirror"
  download "$node_mirror/v$node_version/$name.tar.gz" "$temporary/node.tar.gz" ||
    fail "$node_mirror/v$node_version/$name.tar.gz cannot be fetched: install Node 20 or newer, and run this again"
  check "$temporary/node.tar.gz" "$node_sha256" "Node"
  mkdir -p "$home/node" "$temporary/node"
  tar -xzf "$temporary/node.tar.gz" -C "$temporary/node" --strip-components=1
  is_good_node "$temporary/node/bin/node" ||
    fail "Node's official build does not run here (it needs glibc 2.28 or newer, or macOS 13.5 or newer): install Node 20 or newer, and run this again"
  rm -rf "$home/node/$node_version"
  mv "$temporary/node" "$home/node/$node_version"
}

install_program() {
  mkdir -p "$home/program" "$home/bin"
  if [ ! -f "$home/program/$program_file" ] || [ "$(sha256_of "$home/program/$program_file")" != "$program_sha256" ]; then
    say "fetching the program, version $program_version"
    download "$manager/${PROGRAM_GZIP_NAME}" "$temporary/program.gz" || fail "$manager/${PROGRAM_GZIP_NAME} cannot be fetched"
    "$node" -e 'process.stdin.pipe(require("zlib").createGunzip()).pipe(process.stdout)' \
      <"$temporary/program.gz" >"$temporary/program.mjs" 2>/dev/null || true
    check "$temporary/program.mjs" "$program_sha256" "the program"
    mv "$temporary/program.mjs" "$home/program/$program_file"
  fi
  printf '%s\\n' "$program_file" >"$temporary/current"
  mv "$temporary/current" "$home/program/current"
  # The path of Node may hold any character but a line break: it is read from a file.
  printf '%s\\n' "$node" >"$temporary/node-path"
  mv "$temporary/node-path" "$home/program/node-path"
  cat >"$temporary/tablao" <<'WRAPPER'
#!/bin/sh
# Runs the program that join.sh installed.
home="$HOME/.tablao"
IFS= read -r file <"$home/program/current"
IFS= read -r node <"$home/program/node-path"
[ -x "$node" ] || node="$home/node/${NODE_VERSION}/bin/node"
[ -x "$node" ] || node=node
TABLAO_COMMAND="$home/bin/tablao"
[ "$(command -v tablao 2>/dev/null)" = "" ] || TABLAO_COMMAND=tablao
export TABLAO_COMMAND
exec "$node" "$home/program/$file" "$@"
WRAPPER
  chmod 755 "$temporary/tablao"
  mv "$temporary/tablao" "$home/bin/tablao"
  if [ -d "$HOME/.local/bin" ] && [ ! -e "$HOME/.local/bin/tablao" ]; then
    ln -s "$home/bin/tablao" "$HOME/.local/bin/tablao" 2>/dev/null || true
  fi
}

main() {
  [ -n "\${HOME:-}" ] || fail "HOME is not set"
  case "\${TABLAO_SERVICE:-0}" in
    0) action=worker ;;
    1) action="worker install" ;;
    *) fail "TABLAO_SERVICE must be 1 (make it a service) or 0, not '$TABLAO_SERVICE'" ;;
  esac
  unset TABLAO_SERVICE
  umask 077
  mkdir -p "$home"
  # Inside, so that a file is moved in place on the same disk.
  temporary=$(mktemp -d "$home/join-XXXXXX")
  trap 'rm -rf "$temporary"' EXIT
  trap 'exit 130' INT TERM HUP
  find_node
  install_program
  rm -rf "$temporary"
  trap - EXIT INT TERM HUP
  if [ -z "\${TABLAO_JOIN:-}" ] && [ "$#" -eq 0 ] && [ "$action" = worker ]; then
    say "installed version $program_version: $home/bin/tablao"
    say "sign in:       $home/bin/tablao login $manager"
    say "as a worker:   TABLAO_JOIN=TOKEN $home/bin/tablao worker --manager $manager"
    return
  fi
  # Two words where it is a service.
  # shellcheck disable=SC2086
  exec "$home/bin/tablao" $action --manager "$manager" "$@" </dev/null
}

main "$@"
`;
}
