"""Runs inside tricord-with-cluster --disks --clocks: breaks one thing after the other, waits until its alert fires in a real
Prometheus, writes down what an operator sees, mends it as the runbook says, and waits until the alert is gone."""

import contextlib
import html
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import fcntl
import time
import urllib.request
import ssl

from scrape import ALERTS_MAX_S, BIN, CLUSTER, OPS, PIDS, Prometheus, configuration, firing, load, tricord, wait

COLUMNS, LINES = 80, 30


def screen(bytes_):
    """What a terminal shows after these: text at places, as `tricord top` writes it."""
    grid = [[" "] * COLUMNS for _ in range(LINES)]
    row = column = 0
    for part in re.finditer(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b[^\[]|([^\x1b])", bytes_.decode(errors="replace")):
        numbers, command, letter = part.groups()
        if command == "H":
            row, column = [int(number or 1) - 1 for number in (numbers.split(";") + ["", ""])[:2]] if numbers else (0, 0)
        elif command == "J":
            grid = [[" "] * COLUMNS for _ in range(LINES)]
        elif letter and letter.isprintable() and row < LINES and column < COLUMNS:
            grid[row][column] = letter
            column += 1
    return [line for line in ("".join(line).rstrip() for line in grid) if line]


def top(home):
    """The screen of `tricord top` after a few seconds."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update({"TRICORD_HOME": str(home), "TERM": "xterm"})
        words = [str(BIN / "tricord"), "--profile", "admin", "--ca", os.environ["TRICORD_CA"], "top"]
        os.execv(words[0], words)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    os.kill(pid, signal.SIGWINCH)
    shown, end = b"", time.monotonic() + 6
    while time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            with contextlib.suppress(OSError):
                shown += os.read(terminal, 65536)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return screen(shown)


def page(slot):
    """What the status page of a node says, without its mark-up."""
    context = ssl.create_default_context(cafile=os.environ["TRICORD_CA"])
    with urllib.request.urlopen(f"https://{OPS[slot]}/", context=context, timeout=10) as answer:
        body = answer.read().decode()
    body = re.sub(r"(?s)<(svg|style|head).*?</\1>|<p id=\"old\".*?</p>", " ", body)
    text = html.unescape(re.sub(r"<[^>]+>", " ", body))
    return re.sub(r"\s+", " ", text).strip()


class Node:
    """A node's process, so that it can be started again as it was."""

    def __init__(self, slot):
        self.slot, self.pid, self.child = slot, PIDS["abc".index(slot)], None
        read = lambda name: pathlib.Path(f"/proc/{self.pid}/{name}").read_bytes().split(b"\0")
        self.words = [word.decode() for word in read("cmdline") if word]
        self.environment = dict(pair.decode().split("=", 1) for pair in read("environ") if pair)

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)

    def start(self):
        log = open(CLUSTER / f"{self.slot}.log", "ab")
        self.child = subprocess.Popen(self.words, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.pid = self.child.pid

    def close(self):
        if self.child:
            self.child.kill()
            self.child.wait()


# Longest time beyond what a rule says until its alert fires, on a machine that is busy: until the fault shows in a metric, is
# scraped and evaluated. And until an alert is gone.
LATE_MAX_S, GONE_MAX_S = 15, 30


def told(texts, seen, where):
    """Each of the texts is there, however it is broken into lines."""
    seen = re.sub(r"\s+", " ", seen)
    missing = [text for text in texts if text not in seen]
    assert not missing, f"{where} does not say {missing}: {seen}"


class Walk:
    def __init__(self, prometheus, home, only):
        self.prometheus, self.home, self.only, self.rows = prometheus, home, only, []

    def through(self, what, alert, slot, says, seconds, summary, alarm, make, look, mend, steps, gone_max=GONE_MAX_S):
        """One fault, from its making to the end of its alert, which fires after so many seconds as the rule says. `look` is the
        node that is looked at; there `tricord top` and the page say `summary`, and `alarm` of the slot."""
        if self.only and alert not in self.only:
            return
        print(f"── {what}", flush=True)
        # What runs before this one has left nothing.
        wait(ALERTS_MAX_S * 2, "still fires", lambda: [] if firing(self.prometheus, (alert, slot)) else [alert])
        began = time.monotonic()
        make()
        wait(ALERTS_MAX_S * 6, f"{alert} does not fire", lambda: firing(self.prometheus, (alert, slot)))
        fired = time.monotonic() - began
        print(f"{alert} of {slot} fires after {fired:.0f} s", flush=True)
        assert seconds <= fired + 1 and fired <= seconds + LATE_MAX_S, f"{fired:.0f} s, and the rule says {seconds}"
        socket = str(CLUSTER / look / "data/local.sock")
        status = tricord(self.home, "node", "status", "--socket", socket, check=False).stdout
        live, wall = top(self.home), page(look)
        print(status + "\n" + "\n".join(live) + "\n" + wall, flush=True)
        told([summary, f"{slot}: {alarm}"], status, "tricord node status")
        told([summary, f"{slot}: {alarm}"], "\n".join(live), "tricord top")
        assert all(len(line) <= COLUMNS for line in live)
        # The page's heading says the first word.
        told([summary.split(". ", 1)[-1], f"Node {slot}: {alarm}"], wall, "the page")
        began = time.monotonic()
        mend()
        wait(ALERTS_MAX_S * 6, f"{alert} does not end", lambda: [] if firing(self.prometheus, (alert, slot)) else [alert])
        gone = time.monotonic() - began
        print(f"{alert} of {slot} is gone {gone:.0f} s after it was mended", flush=True)
        assert gone <= gone_max, f"gone only after {gone:.0f} s"
        self.rows.append(f"| {what} | `{alert}`, slot {slot} | {says} | {fired:.0f} s | {steps} | {gone:.0f} s |")


@contextlib.contextmanager
def slow(directory):
    """A disk that takes its time: stopped for 90 of every 150 ms."""
    script = "while fsfreeze --freeze \"$1\"; do sleep 0.09; fsfreeze --unfreeze \"$1\"; sleep 0.06; done"
    child = subprocess.Popen(["sh", "-c", script, "sh", directory], start_new_session=True)
    try:
        yield
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        subprocess.run(["fsfreeze", "--unfreeze", directory], check=False, stderr=subprocess.DEVNULL)


def main():
    long = "--long" in sys.argv
    scratch = pathlib.Path(tempfile.mkdtemp())
    prometheus, home = Prometheus(scratch), scratch / "client"
    # Names of alerts: only those.
    walk, b = Walk(prometheus, home, [word for word in sys.argv[3:] if word.startswith("Tricord")]), Node("b")
    data = {slot: str(CLUSTER / slot / "data") for slot in "abc"}
    filler = pathlib.Path(data["c"]) / "filler"

    def fill():
        room = os.statvfs(data["c"])
        free = room.f_bavail * room.f_frsize
        subprocess.run(["fallocate", "--length", str(free - room.f_blocks * room.f_frsize // 10), filler], check=True)

    def certificate(days):
        new = scratch / f"new-{days}"
        cluster, ca = configuration("c")["cluster"], CLUSTER / "ca"
        tricord(home, "pki", "issue", "--ca", str(ca), "--for", "peer", "--cluster", cluster, "--slot", "c", "--days", str(days), "--out", str(new))
        for name in ("peer.crt", "peer.key"):
            shutil.copy(new / name, CLUSTER / "c/tls" / name)
        tricord(home, "node", "reload", "--socket", str(CLUSTER / "c/data/local.sock"))

    def clock(seconds):
        file = CLUSTER / "a.clock"
        (CLUSTER / "a.new").write_text(f"{seconds:+}\n")
        (CLUSTER / "a.new").rename(file)

    freeze = lambda slot: subprocess.run(["fsfreeze", "--freeze", data[slot]], check=True)
    unfreeze = lambda slot: subprocess.run(["fsfreeze", "--unfreeze", data[slot]], check=True)
    try:
        with load(home):
            tricord(home, "--profile", "admin", "login", "admin", stdin=os.environ["TRICORD_PASSWORD_ADMIN"] + "\n")
            wait(60, "not scraped yet", lambda: [] if len(prometheus.query("tricord_server_ready_flag == 1")) == 3 else ["ready"])
            walk.through("node b killed (SIGKILL)", "TricordNodeDown", "b", "30 s", 30,
                         "ATTENTION. Serving, but do not stop a or c: b does not answer.", "It does not answer.",
                         b.kill, "a", b.start, "started again")
            walk.through("the disk of c filled but for a tenth", "TricordDiskLow", "c", "30 s", 30,
                         "ATTENTION. Serving, but do not stop a or b: the disk of c is nearly full.", "Its disk is nearly full.",
                         fill, "a", filler.unlink, "what is not Tricord's removed")
            walk.through("a certificate of c that ends in 20 days", "TricordCertificateExpiring", "c", "1 min", 60,
                         "OK. All three nodes are well; any one may be stopped now.", "A certificate expires in",
                         lambda: certificate(20), "a", lambda: certificate(300), "a new one issued, `tricord node reload`")
            walk.through("the disk of b stops (`fsfreeze`): no fsync ends", "TricordFsyncStuck", "b", "no fsync for 1 min, and 15 s", 75,
                         "ATTENTION. Serving, but do not stop a or c: the disk of b does not finish writing.",
                         "Its disk does not finish writing.", lambda: freeze("b"), "a", lambda: unfreeze("b"), "the disk goes on")
            walk.through("the clock of a an hour ahead (libfaketime)", "TricordClockOff", "a", "1 min", 60,
                         "OK. All three nodes are well; any one may be stopped now.", "Its clock is +3",
                         lambda: clock(3600), "b", lambda: clock(0), "set right; no restart")
            if long:
                stack = contextlib.ExitStack()
                walk.through("the disk of c stopped for 90 of every 150 ms", "TricordFsyncSlow", "c", "p99 of 5 min above 50 ms, for 5 min", 300,
                             "OK. All three nodes are well; any one may be stopped now.", "Its disk is slow:",
                             lambda: stack.enter_context(slow(data["c"])), "a", stack.close, "what else used the disk stopped",
                             # The rule looks back over five minutes.
                             gone_max=300 + GONE_MAX_S)
    finally:
        for slot in "abc":
            subprocess.run(["fsfreeze", "--unfreeze", data[slot]], check=False, stderr=subprocess.DEVNULL)
        b.close()
        prometheus.close()
        shutil.rmtree(scratch, ignore_errors=True)
    print("\n| Made | Alert | The rule says | Fired after | Mended by | Gone after |\n|---|---|---|---|---|---|")
    print("\n".join(walk.rows))


main()
