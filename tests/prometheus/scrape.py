"""Runs inside tricord-with-cluster: starts Prometheus and a load, then looks at what Prometheus has."""

import contextlib
import json
import os
import pathlib
import re
import select
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.parse
import urllib.request

TOP, BIN = map(pathlib.Path, sys.argv[1:3])
CLUSTER = pathlib.Path(os.environ["TRICORD_DIR"])
PIDS = [int(pid) for pid in os.environ["TRICORD_PIDS"].split()]
# Longest time until all panels show something, and until an alert with `for: 1m` fires, on a machine that is busy.
PANELS_MAX_S, ALERTS_MAX_S, PAGE_MAX_S = 60, 150, 30
# Longest a browser may look at one page.
LOOK_MAX_S = 180
STREAMS = 500
DOWNTIME = "Urgent: call 4711. The runners are in room 0.12."


def configuration(slot):
    with open(CLUSTER / slot / "tricordd.toml", "rb") as file:
        return tomllib.load(file)


OPS = {slot: configuration(slot)["ops"]["listen"] for slot in "abc"}


def tricord(home, *words, stdin="", check=True):
    nodes = [word for node in os.environ["TRICORD_NODES"].split(",") for word in ("--node", node)]
    command = [BIN / "tricord", *nodes, "--ca", os.environ["TRICORD_CA"], *words]
    environment = {**os.environ, "TRICORD_HOME": str(home), "TRICORD_SOCKET": str(CLUSTER / "a/data/local.sock")}
    environment.pop("TRICORD_NODES")
    return subprocess.run(command, input=stdin, text=True, check=check, capture_output=True, env=environment)


# What a hospital is promised to see of each node, as names of metrics.
WANTED = [f"tricord_{name}" for name in (
    "client_calls_total", "client_call_seconds", "client_sends_total", "client_deliveries_total", "client_delivery_seconds",
    "client_sessions", "client_streams", "client_slow_readers_total", "client_presence_changes_total", "raft_role_number",
    "raft_term_number", "raft_last_log_index", "raft_committed_index", "raft_applied_index", "raft_durable_applied_index",
    "raft_lag_entries", "raft_elections_total", "raft_proposals_refused_total", "raft_proposals_waiting", "raft_proposals_max",
    "raft_proposals_(waiting|max)_bytes", "raft_calls_waiting", "raft_calls_max", "raft_batch_envelopes", "log_fsync_seconds",
    "log_batch_entries", "log_batch_bytes", "log_queue_bytes", "log_queue_max_bytes", "client_queue_entries",
    "client_queue_max_entries", "store_block_cache_bytes", "store_block_cache_max_bytes", "audit_records",
    "audit_sealed_head_timestamp_seconds", "audit_spool_bytes", "state_snapshots_total", "state_snapshot_timestamp_seconds",
    "state_snapshot_seconds", "raft_snapshots_received_total", "backup_last_timestamp_seconds", "backup_failures_total",
    "backup_verified_timestamp_seconds", "server_certificate_expiry_timestamp_seconds", "server_certificate_renewal_failed_flag",
    "raft_disk_free_bytes", "raft_disk_size_bytes", "raft_clock_offset_seconds", "build_info", "recovery_kits_pending",
)] + [f"tricord_{store}_{name}" for store in ("log", "state") for name in (
    "memtable_bytes", "sst_bytes", "wal_bytes", "compaction_pending_bytes", "compactions_running", "flushes_running",
    "stalled_seconds_total", "write_stopped_flag", "write_delayed_bytes_per_second", "block_cache_hits_total",
    "block_cache_misses_total",
)] + ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_start_time_seconds"]


def well_made():
    """`promtool check metrics` on what a node says."""
    context = ssl.create_default_context(cafile=os.environ["TRICORD_CA"])
    context.load_cert_chain(CLUSTER / "a/tls/peer.crt", CLUSTER / "a/tls/peer.key")
    with urllib.request.urlopen(f"https://{OPS['a']}/metrics", context=context, timeout=10) as answer:
        metrics = answer.read()
    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True, text=False)
    assert checked.returncode == 0 and not checked.stderr, checked.stderr.decode()
    families = {line.split()[2].decode() for line in metrics.splitlines() if line.startswith(b"# TYPE ")}
    missing = [part for part in WANTED if not any(re.fullmatch(part, family) for family in families)]
    assert not missing, f"nothing measures {missing}"
    return len([line for line in metrics.splitlines() if line and not line.startswith(b"#")])


class Prometheus:
    def __init__(self, directory):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        source = (TOP / "ops/prometheus/prometheus.yml").read_text()
        made = source.replace("scrape_interval: 5s", "scrape_interval: 1s").replace("evaluation_interval: 5s", "evaluation_interval: 1s")
        made = made.replace("tls_config: { ca_file: ca.crt }", f"tls_config: {{ ca_file: {CLUSTER}/ca.crt, cert_file: {CLUSTER}/a/tls/peer.crt, key_file: {CLUSTER}/a/tls/peer.key }}")
        made = re.sub(r" *authorization: .*\n", "", made)
        for slot in "abc":
            made = made.replace(f"tricord-{slot}.example.org:7403", OPS[slot])
        (directory / "prometheus.yml").write_text(made)
        # Recorded every 15 s in a hospital; here nobody has that long.
        rules = (TOP / "ops/prometheus/tricord.rules.yml").read_text().replace("interval: 15s", "interval: 1s", 1)
        (directory / "tricord.rules.yml").write_text(rules)
        self.log = open(directory / "prometheus.log", "wb")
        self.process = subprocess.Popen(
            ["prometheus", f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
             f"--web.listen-address=127.0.0.1:{self.port}"], stdout=self.log, stderr=self.log)

    def ask(self, path, **words):
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}?{urllib.parse.urlencode(words)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression):
        return self.ask("query", query=expression)["result"]

    def close(self):
        self.process.terminate()
        ended(self.process)
        self.log.close()


def ended(process):
    """Waits until a process has ended that was told to, and kills it if it does not."""
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait(seconds, what, look):
    """Waits until `look` gives nothing that is missing."""
    end, missing = time.monotonic() + seconds, "not looked at yet"
    while time.monotonic() < end:
        try:
            missing = look()
        except OSError as error:
            missing = str(error)
        if not missing:
            return
        time.sleep(0.5)
    raise AssertionError(f"{what}, after {seconds} s: {missing}")


def panels():
    for path in sorted((TOP / "ops/grafana").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                yield f"{path.stem}: {panel['title']}", target["expr"].replace("$__rate_interval", "15s")


def empty(prometheus):
    """Panels that show nothing, or numbers that are none."""
    def shows(result):
        return any(sample["value"][1] != "NaN" for sample in result)
    return [name for name, expression in panels() if not shows(prometheus.query(expression))]


@contextlib.contextmanager
def load(home):
    """People who write, one who reads along, and one who does not know the password."""
    for login in ("ito", "weber"):
        tricord(home, "--profile", login, "login", login, stdin=os.environ[f"TRICORD_PASSWORD_{login.upper()}"] + "\n")
    tricord(home, "--profile", "ito", "conversation", "create", "--title", "Ward 3", "@weber")
    nodes = os.environ["TRICORD_NODES"].split(",")
    words = [BIN / "tricord", *(word for node in nodes for word in ("--node", node)), "--ca", os.environ["TRICORD_CA"]]
    environment = {**os.environ, "TRICORD_HOME": str(home)}
    environment.pop("TRICORD_NODES")
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    reader = subprocess.Popen([*words, "--profile", "weber", "message", "tail"], stdin=subprocess.DEVNULL, **quiet)
    writer = subprocess.Popen(["sh", "-c", 'while sleep 0.02; do echo "all is well"; done | "$@"', "sh", *words, "--profile", "ito",
                               "message", "send", "#Ward 3", "--lines"], stdin=subprocess.DEVNULL, start_new_session=True, **quiet)
    try:
        yield
    finally:
        reader.kill()
        os.killpg(writer.pid, signal.SIGKILL)
        reader.wait()
        writer.wait()


def firing(prometheus, *wanted):
    found = {(alert["labels"]["alertname"], alert["labels"].get("slot")) for alert in prometheus.ask("alerts")["alerts"] if alert["state"] == "firing"}
    return [one for one in wanted if one not in found]


class Browser:
    """A Chromium that looks at status pages; see tests/page/look.mjs. An order is carried out while others go on here."""

    def __init__(self, pictures):
        self.pictures = pictures
        command = ["node", os.environ["TRICORD_PAGE"]]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def order(self, **words):
        if "look" in words and self.pictures:
            words["picture"] = str(self.pictures / words["look"])
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()

    def answer(self):
        # An answer is one line, and there is none before it is asked for: nothing waits in the file's buffer.
        there, _, _ = select.select([self.process.stdout], [], [], LOOK_MAX_S)
        assert there, f"the browser said nothing for {LOOK_MAX_S} s"
        line = self.process.stdout.readline()
        assert line, "the browser has ended"
        done = json.loads(line)
        assert isinstance(done, str), done["wrong"]
        print(f"the page {done}")

    def close(self):
        with contextlib.suppress(BrokenPipeError):  # It ended before it had read all.
            self.process.stdin.close()
        self.process.stdout.close()
        ended(self.process)


def page(slot):
    """The page of a node as it is sent."""
    context = ssl.create_default_context(cafile=os.environ["TRICORD_CA"])
    with urllib.request.urlopen(f"https://{OPS[slot]}/", context=context, timeout=10) as answer:
        return answer.read().decode()


def says(slot, words):
    wait(PAGE_MAX_S, f"the page of {slot}", lambda: [] if words in page(slot) else [words])


def configure(home, slot):
    """The hospital's own words and a limit of its own, taken up without a restart."""
    path = CLUSTER / slot / "tricordd.toml"
    path.write_text(path.read_text().replace("[ops]\n", f'[ops]\ndowntime = "{DOWNTIME}"\n', 1) + f"\n[limits]\nstreams = {STREAMS}\n")
    tricord(home, "node", "reload", "--socket", str(CLUSTER / slot / "data/local.sock"))


def main():
    pictures = pathlib.Path(sys.argv[4]) if sys.argv[3:4] == ["--pictures"] else None
    # Each is closed, the last first, whatever became of the others.
    with contextlib.ExitStack() as closing:
        scratch = pathlib.Path(tempfile.mkdtemp())
        closing.callback(shutil.rmtree, scratch, ignore_errors=True)
        prometheus = Prometheus(scratch)
        closing.callback(prometheus.close)
        browser = Browser(pictures)
        closing.callback(browser.close)
        configure(scratch / "client", "c")
        print(f"{well_made()} samples of one node are well made")
        with load(scratch / "client"):
            tricord(scratch / "client", "--profile", "nobody", "login", "ito", stdin="wrong\n", check=False)
            (scratch / "backup").mkdir()
            tricord(scratch / "client", "backup", "create", "--init", "--dir", str(scratch / "backup"))
            browser.order(look="well", url=f"https://{OPS['b']}")
            wait(PANELS_MAX_S, "empty panels", lambda: empty(prometheus))
            print(f"{len(list(panels()))} queries of panels, none of them empty")
            limits = prometheus.query('tricord_client_queue_max_entries{queue="streams",slot="c"}')
            assert [float(one["value"][1]) for one in limits] == [STREAMS], f"the limit that was set is not shown: {limits}"
            opened = sum(float(one["value"][1]) for one in prometheus.query('tricord_client_calls_total{method="Sync"}'))
            assert opened < 5, f"one reader opened {opened:.0f} streams"
            browser.answer()
        # A certificate of node c that ends in 20 days; node b killed.
        cluster, ca = configuration("c")["cluster"], CLUSTER / "ca"
        tricord(scratch / "client", "pki", "issue", "--ca", str(ca), "--for", "peer", "--cluster", cluster, "--slot", "c", "--days", "20", "--out", str(scratch / "new"))
        for name in ("peer.crt", "peer.key"):
            shutil.copy(scratch / "new" / name, CLUSTER / "c/tls" / name)
        began = time.monotonic()
        os.kill(PIDS[1], signal.SIGKILL)
        says("a", "b does not answer")
        browser.order(look="away", away="b", url=f"https://{OPS['a']}")
        browser.answer()
        # Whose page is open is gone too: nobody has a majority now.
        browser.order(leave=f"https://{OPS['a']}", pid=PIDS[0])
        browser.answer()
        says("c", "Not accepting messages")
        browser.order(look="lost", url=f"https://{OPS['c']}", words=[DOWNTIME])
        browser.answer()
        for wanted in (("TricordNodeDown", "b"), ("TricordNodeDown", "a"), ("TricordNotAccepting", None), ("TricordCertificateExpiring", "c")):
            wait(ALERTS_MAX_S, "does not fire", lambda: firing(prometheus, wanted))
            print(f"{wanted[0]} of {wanted[1]} fires after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
