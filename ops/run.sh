# The processes of ops/up. Sourced, never run; expects $run, the directory of the three nodes.
# shellcheck shell=bash disable=SC2154

# Whether a node of this directory runs. Its pid may have gone to another process since: the program and its configuration must
# be ours too.
running() {
  local pid
  [ -f "$run/run/$1.pid" ] || return 1
  pid=$(<"$run/run/$1.pid")
  [[ "$(readlink "/proc/$pid/exe" 2>/dev/null)" == */tricordd* ]] &&
    tr '\0' '\n' 2>/dev/null <"/proc/$pid/cmdline" | grep -qxF "$run/cluster/$1/tricordd.toml"
}

# Stops a node, if it runs: asks, waits up to 15 s, then kills.
stop() {
  local pid _
  running "$1" || { rm -f "$run/run/$1.pid"; return 0; }
  pid=$(<"$run/run/$1.pid")
  kill -TERM "$pid" 2>/dev/null || true
  for _ in $(seq 150); do
    running "$1" || { rm -f "$run/run/$1.pid"; return 0; }
    sleep 0.1
  done
  say "Node $1 did not stop within 15 s; killing it. What it acknowledged is kept."
  kill -KILL "$pid" 2>/dev/null || true
  rm -f "$run/run/$1.pid"
}
