"""An auditor exports the log of the cluster, twice, and checks it with what is not ours (audit_check.py). Then every file is
damaged, one after the other, and each time it must be found out."""

import json
import os
import pathlib
import subprocess
import sys
import tempfile

from audit_check import check_log, check_proof, founding_keys

TRICORD = sys.argv[1]
CLUSTER = pathlib.Path(os.environ["TRICORD_DIR"])
# More than a tile, so that there is a second level.
MESSAGES = 300


def tricord(home, profile, *words, stdin=""):
    nodes = [word for node in os.environ["TRICORD_NODES"].split(",") for word in ("--node", node)]
    command = [TRICORD, *nodes, "--ca", os.environ["TRICORD_CA"], "--profile", profile, "--deadline", "60", *words]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TRICORD_")}
    environment["TRICORD_HOME"] = str(home)
    ran = subprocess.run(command, input=stdin, text=True, capture_output=True, env=environment)
    assert ran.returncode == 0, f"tricord {' '.join(words)}: {ran.stderr}"
    return ran.stdout


def damage(log):
    """Every file with one bit flipped. Of a head: of each line of its text, and of a signature; and with one signature alone."""
    for path in sorted(path for path in log.glob("**/*") if path.is_file()):
        whole = path.read_bytes()
        places = [len(whole) // 2]
        if "tile" not in path.relative_to(log).parts:
            size, end = whole.index(b"\n") + 1, whole.index(b"\n\n") + 1
            places = [size // 2, size, end - 20, end - 3, len(whole) - 40]
            yield path, whole, whole[: whole.index(b"\n", end + 1) + 1]
        for place in places:
            yield path, whole, whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]


def found_out(log, keys):
    """Whether the log is refused."""
    try:
        check_log(log, keys)
    except Exception:  # The packages raise what they like.
        return True
    return False


def main():
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        home, log = scratch / "home", scratch / "log"
        tricord(home, "admin", "login", "admin", stdin=os.environ["TRICORD_PASSWORD_ADMIN"] + "\n")
        add = ["user", "add", "auditor", "--name", "Auditor", "--permission", "auditor"]
        code = tricord(home, "admin", *add)
        tricord(home, "auditor", "enrol", "auditor", stdin=f"{code}an auditor's password\n")
        keys = founding_keys(CLUSTER / "audit.pub")
        tricord(home, "auditor", "audit", "export", str(log))
        few, _ = check_log(log, keys)

        tricord(home, "ito", "login", "ito", stdin=os.environ["TRICORD_PASSWORD_ITO"] + "\n")
        create = ["conversation", "create", "--title", "Ward 4", "@weber"]
        ward = json.loads(tricord(home, "ito", "--output", "json", *create))["conversation"]["id"]
        lines = "".join(f"bed {number}\n" for number in range(MESSAGES))
        tricord(home, "ito", "message", "send", ward, "--lines", stdin=lines)
        # Once the last message can be proven there is a head over all of them.
        proof = scratch / "proof.json"
        tricord(home, "auditor", "audit", "prove", f"{ward}/{MESSAGES}", "--out", str(proof))
        check_proof(proof, keys)
        tricord(home, "auditor", "audit", "export", str(log))
        many, heads = check_log(log, keys)
        assert many >= few + MESSAGES and heads == 2, f"{few} records, then {many}, {heads} heads"

        times = 0
        for times, (path, whole, damaged) in enumerate(damage(log), 1):
            path.write_bytes(damaged)
            assert found_out(log, keys), f"{path.relative_to(log)} is damaged ({times}), and nobody sees it"
            path.write_bytes(whole)
        check_log(log, keys)
    print(f"interop: the exported audit log by tlog-scales: {many} records, {heads} heads, damaged {times} times: ok")


main()
