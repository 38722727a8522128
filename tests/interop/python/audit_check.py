"""Checks an exported audit log with none of our code: `audit_check.py DIR audit.pub`. Needs the package tlog-scales.

From the records alone tlog-scales writes the whole log again, as the C2SP specification tlog-tiles has it: every file
must be the same. Of every head (C2SP tlog-checkpoint, signed-note) the root must be right, and two nodes of the founding
file must have signed it, by the package cryptography; of every older head the log must go on from it, and RFC 6962 paths
must lead from records to the root. Keys that came after the founding are not believed: what they vouch for takes
`tricord audit verify`.
"""

import json
import pathlib
import sys
import tempfile

from tlog_scales import tiles
from tlog_scales.backend import LocalBackend
from tlog_scales.reader import TilesReader
from tlog_scales.signing import Vkey
from tlog_scales.tlog import Checkpoint, InclusionProof
from tlog_scales.writer import TilesWriter


# Most paths that are checked: the root over all records says the same, and a path takes long here.
PATHS_MAX = 1_000


class Wrong(Exception):
    """What is wrong with a log or a proof."""


def must(holds, why):
    if not holds:
        raise Wrong(why)


def founding_keys(path):
    """The keys of the founding file, in their one spelling."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    keys = [Vkey.from_string(line) for line in lines]
    spelled = [Vkey(key.name, None, 1, key.pubkey).serialize() for key in keys]
    must(spelled == lines and len(set(lines)) == 3, f"{spelled} is what is expected, not {lines}")
    return keys


def check_head(text, keys):
    """The checkpoint of a note that two of these keys signed. What says to be signed by one of them must be."""
    checkpoint = Checkpoint.from_text(text)
    must(checkpoint.serialize() == text, "not the bytes that were signed")
    signers = set()
    for key in keys:
        must(key.name.startswith(f"{checkpoint.origin}/"), "the log of another cluster")
        if any(key.match(signature) for signature in checkpoint.signatures):
            checkpoint.verify(key)
            signers.add(key.pubkey)
    must(len(signers) >= 2, f"{len(signers)} nodes of the founding file signed")
    return checkpoint


def files(root):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob("tile/**/*") if path.is_file()}


def written_anew(records, heads):
    """The files of the log of these records that was written at the size of each of these heads."""
    with tempfile.TemporaryDirectory() as root:
        writer = TilesWriter(pathlib.Path(root), heads[-1].origin, 0)
        for head in heads:
            for record in records[writer.size : head.size]:
                writer.add_leaf(record)
            writer.commit([], gc=False)
            checkpoint = (writer.root / "checkpoint").read_text()
            must(checkpoint == head.serialize_body() + "\n", f"the records do not give the head of {head.size}")
        return files(writer.root)


def check_log(log, keys):
    """Raises unless all of the exported log is right. Gives how many records it has, and how many heads."""
    newest = check_head((log / "checkpoint").read_text(), keys)
    older = {path.name: check_head(path.read_text(), keys) for path in log.glob("heads/*")}
    must(all(name == str(head.size) for name, head in older.items()), "a head of another size than it is named")
    older = sorted(older.values(), key=lambda head: head.size)
    reader = TilesReader(LocalBackend(log))
    reader.set_size(newest.size)
    records = [reader.get_entry(index) for index in range(newest.size)]

    # What readers of the newest head need must be there; what readers of the older ones needed may be.
    needed, known = written_anew(records, [newest]), written_anew(records, [*older, newest])
    ours = files(log)
    must(needed.keys() <= ours.keys(), f"missing: {sorted(needed.keys() - ours.keys())}")
    must(ours.keys() <= known.keys(), f"of no head: {sorted(ours.keys() - known.keys())}")
    for name, bytes_ in ours.items():
        must(bytes_ == known[name], f"{name} is another")

    must(reader.calculate_root_hash() == newest.root_hash, "the tiles do not give the root")
    for index in range(0, newest.size, -(-newest.size // PATHS_MAX)):
        reader.get_inclusion_proof(index, newest.size).check(tiles.leaf_hash(records[index]), newest.root_hash)
    for head in older:
        reader.get_consistency_proof(head.size, newest.size).check(head.root_hash, newest.root_hash)
    return newest.size, 1 + len(older)


def check_proof(path, keys):
    """What `tricord audit prove` wrote: two records, and their paths to a signed head."""
    proof = json.loads(path.read_text())
    head = check_head(proof["head"], keys)
    for proven in (proof["record"], proof["last"]):
        hashes = [bytes.fromhex(one) for one in proven["path"]]
        leaf = tiles.leaf_hash(bytes.fromhex(proven["stored"]))
        InclusionProof(proven["index"], head.size, hashes).check(leaf, head.root_hash)
    must(proof["last"]["index"] == head.size - 1, "not the last record")


def main():
    log, founding = map(pathlib.Path, sys.argv[1:3])
    records, heads = check_log(log, founding_keys(founding))
    print(f"{records} records and {heads} heads are what two nodes signed")


if __name__ == "__main__":
    main()
