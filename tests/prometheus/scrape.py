"""Runs inside tricord-with-cluster: starts Prometheus and a load, then looks at what Prometheus has."""

import contextlib
import json
import os
import pathlib
import re
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
PANELS_MAX_S, ALERTS_MAX_S = 60, 150


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


def well_made():
    """`promtool check metrics` on what a node says."""
    context = ssl.create_default_context(cafile=os.environ["TRICORD_CA"])
    context.load_cert_chain(CLUSTER / "a/tls/peer.crt", CLUSTER / "a/tls/peer.key")
    with urllib.request.urlopen(f"https://{OPS['a']}/metrics", context=context, timeout=10) as answer:
        metrics = answer.read()
    checked = subprocess.run(["promtool", "check", "metrics"], input=metrics, capture_output=True)
    # What the Prometheus guide would have another way, and STYLE has this way: counts that go up and down end in _count.
    known = ('non-histogram and non-summary metrics should not have "_count" suffix', "counter metrics should")
    wrong = [line for line in checked.stderr.decode().splitlines() if line and not any(part in line for part in known)]
    assert not wrong, "\n".join(wrong)
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
        self.process.wait(30)


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


def main():
    scratch = pathlib.Path(tempfile.mkdtemp())
    prometheus = Prometheus(scratch)
    try:
        print(f"{well_made()} samples of one node are well made")
        with load(scratch / "client"):
            tricord(scratch / "client", "--profile", "nobody", "login", "ito", stdin="wrong\n", check=False)
            (scratch / "backup").mkdir()
            tricord(scratch / "client", "backup", "create", "--init", "--dir", str(scratch / "backup"))
            wait(PANELS_MAX_S, "empty panels", lambda: empty(prometheus))
            print(f"{len(list(panels()))} queries of panels, none of them empty")
        # A certificate of node c that ends in 20 days; node b killed.
        cluster, ca = configuration("c")["cluster"], CLUSTER / "ca"
        tricord(scratch / "client", "pki", "issue", "--ca", str(ca), "--for", "peer", "--cluster", cluster, "--slot", "c", "--days", "20", "--out", str(scratch / "new"))
        for name in ("peer.crt", "peer.key"):
            shutil.copy(scratch / "new" / name, CLUSTER / "c/tls" / name)
        began = time.monotonic()
        os.kill(PIDS[1], signal.SIGKILL)
        for wanted in (("TricordNodeDown", "b"), ("TricordCertificateExpiring", "c")):
            wait(ALERTS_MAX_S, "does not fire", lambda: firing(prometheus, wanted))
            print(f"{wanted[0]} of {wanted[1]} fires after {time.monotonic() - began:.0f} s")
    finally:
        prometheus.close()
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
