# Shared by the scripts of ops/. Sourced, never run.
# shellcheck shell=bash

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cache=${TRICORD_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/tricord}

say() { printf '%s\n' "$*" >&2; }
fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

# Runs a command as root: as it is, or with sudo.
as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    fail "this needs root or sudo: $*"
  fi
}

# Runs a command quietly; when it fails, shows the end of what it said. Usage: quietly LOGFILE COMMAND…
quietly() {
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  "$@" >"$log" 2>&1 || { local code=$?; tail -n 30 "$log" >&2; say "The whole log: $log"; return "$code"; }
}

# Exports what every build needs; installs and compiles what is missing first. Usage: tricord_env [OPTION_OF_OPS_DEPS]
tricord_env() {
  "$top/ops/deps" "$@" || return
  ROCKSDB_LIB_DIR=$("$top/ops/rocksdb") || return
  export ROCKSDB_LIB_DIR ROCKSDB_STATIC=1
}

# Where cargo puts what it builds.
target_dir() { printf '%s\n' "${CARGO_TARGET_DIR:-$top/target}"; }

# Builds binaries with the one profile everything uses. Usage: build PACKAGE…
build() {
  local packages=()
  for package in "$@"; do packages+=(-p "$package"); done
  (cd "$top" && cargo build --release --locked --quiet --bins "${packages[@]}")
}

# Seconds since the epoch, with fractions.
now() { date +%s.%N; }

# Says that something does not run here, and why; whoever counts reads it in the file that TRICORD_SKIPPED names.
skipped() {
  say "SKIPPED, not run: $*"
  [ -z "${TRICORD_SKIPPED:-}" ] || printf '%s\t%s\n' "part ${TRICORD_PART:-${0##*/}}" "$*" >>"$TRICORD_SKIPPED"
}

# How often that was said.
skips() { if [ -f "${TRICORD_SKIPPED:-}" ]; then wc -l <"$TRICORD_SKIPPED"; else echo 0; fi; }

parts=()
failed_parts=()

# Runs one part of a longer run and keeps its time against a budget. Usage: part NAME BUDGET_SECONDS COMMAND…
part() {
  local name=$1 budget=$2 began before code=0
  shift 2
  say "── $name"
  began=$(now)
  before=$(skips)
  export TRICORD_PART=$name TRICORD_BUDGET=$budget
  "$@" || code=$?
  parts+=("$(awk -v n="$name" -v b="$budget" -v c="$code" -v s="$began" -v e="$(now)" -v k=$(($(skips) - before)) 'BEGIN {
    t = e - s
    printf "%-34s %8.1f s %8d s   %s", n, t, b, c ? "FAILED" : ("ok" (t > b ? ", over its budget" : "") (k ? ", not all of it run" : ""))
  }')")
  [ "$code" = 0 ] || failed_parts+=("$name")
  return 0
}

# Prints the table of all parts.
print_parts() {
  printf '\n%-34s %10s %10s\n' "part" "time" "budget"
  printf '%s\n' "${parts[@]}"
}
