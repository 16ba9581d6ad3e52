"""A monitor of a ledger in the layout of C2SP tlog-tiles that knows nothing of assay: reads every file of one checkpoint,
holds entries, tiles and root against each other and the signature against the key. Prints the size and the root.

monitor.py FOLDER VERIFIER-KEY
"""
import base64
import hashlib
import pathlib
import sys

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def need(truth, text):
    if not truth:
        sys.exit(text)


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root_of(hashes):
    """MTH of RFC 6962 section 2.1 over hashes of leaves."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node(root_of(hashes[:half]), root_of(hashes[half:]))


def place(index, width):
    groups = f"{index:03}" if index < 1000 else "".join(f"x{g:03}/" for g in (index // 1_000_000, index // 1000 % 1000) if g or index >= 1_000_000) + f"{index % 1000:03}"
    return groups + (f".p/{width}" if width < 256 else "")


def tiles(folder, kind, count):
    """Bytes of the tiles of a level that has so many hashes (or entries), with their widths."""
    for first in range(0, count, 256):
        width = min(256, count - first)
        path = folder / "tile" / kind / place(first // 256, width)
        need(path.is_file(), f"{path.relative_to(folder)} is missing")
        yield path.relative_to(folder), path.read_bytes(), width


def checkpoint(folder, key):
    name, _, encoded = key.split("+", 2)
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(encoded)[1:])
    text, signatures = (folder / "checkpoint").read_text().split("\n\n")
    origin, size, root = text.split("\n")
    need(origin == name, f"the checkpoint is of {origin}, not {name}")
    lines = [line.split(" ") for line in signatures.splitlines()]
    mine = [base64.b64decode(line[2]) for line in lines if line[:2] == ["—", name]]
    need(mine, "the checkpoint has no signature by the key")
    try:
        public.verify(mine[0][4:], (text + "\n").encode())
    except InvalidSignature:
        sys.exit("the signature of the checkpoint is wrong")
    return int(size), base64.b64decode(root)


def entries(folder, size):
    """Hashes of the leaves, from the entries themselves."""
    leaves = []
    for path, data, width in tiles(folder, "entries", size):
        at = 0
        for _ in range(width):
            length = int.from_bytes(data[at:at + 2], "big")
            leaves.append(hashlib.sha256(b"\0" + data[at + 2:at + 2 + length]).digest())
            at += 2 + length
        need(at == len(data), f"{path} holds more or less than {width} entries")
    return leaves


def main():
    folder, key = pathlib.Path(sys.argv[1]), sys.argv[2]
    size, root = checkpoint(folder, key)
    leaves = entries(folder, size)
    level, hashes = 0, leaves
    while hashes:
        for path, data, width in tiles(folder, str(level), len(hashes)):
            first = int(str(path.parent.name if ".p" in str(path) else path.name).removesuffix(".p")) * 256
            need(data == b"".join(hashes[first:first + width]), f"{path} does not hold what is below it")
        hashes = [root_of(hashes[i:i + 256]) for i in range(0, len(hashes) - 255, 256)]
        level += 1
    need(root_of(leaves) == root, "the entries do not lead to the root of the checkpoint")
    print(size, root.hex())


main()
