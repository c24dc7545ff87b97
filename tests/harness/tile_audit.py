"""Audits a folder of C2SP tlog-tiles as a public tool would, with no code of ours."""

import base64
import hashlib


def files_of(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def definition(hashes):
    """RFC 6962, section 2.1."""
    if len(hashes) <= 1:
        return hashes[0] if hashes else hashlib.sha256().digest()
    middle = 1 << (len(hashes) - 1).bit_length() - 1
    pair = definition(hashes[:middle]) + definition(hashes[middle:])
    return hashlib.sha256(b"\x01" + pair).digest()


def index_path(number):
    """Write the path elements of C2SP tlog-tiles in another way."""
    if number < 1000:
        return f"{number:03d}"
    parts = []
    while number:
        number, part = divmod(number, 1000)
        parts.insert(0, f"{part:03d}")
    return "/".join([f"x{part}" for part in parts[:-1]] + parts[-1:])


def wanted(level, count):
    """Yield path and width of each tile of a level that has so many hashes."""
    for number in range(count // 256):
        yield f"tile/{level}/{index_path(number)}", 256
    if count % 256:
        yield f"tile/{level}/{index_path(count // 256)}.p/{count % 256}", count % 256


def audit(folder):
    """Read the folder as a public tool would; return its size and every file that it needed."""
    files = files_of(folder)
    text = files["checkpoint"].decode()
    size, root = int(text.split("\n")[1]), base64.b64decode(text.split("\n")[2])
    needed = {"checkpoint", "policy.txt"}
    leaves = []
    for path, width in wanted("entries", size):
        needed.add(path)
        bundle, entries = files[path], []
        while bundle:
            length = int.from_bytes(bundle[:2])
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
        assert len(entries) == width
        leaves += [hashlib.sha256(b"\x00" + entry).digest() for entry in entries]
    assert definition(leaves) == root
    level, hashes = 0, leaves
    while hashes:
        for at, (path, width) in enumerate(wanted(level, len(hashes))):
            needed.add(path)
            assert files[path] == b"".join(hashes[at * 256 : at * 256 + width]), path
        whole = len(hashes) // 256
        hashes = [definition(hashes[at * 256 : (at + 1) * 256]) for at in range(whole)]
        level += 1
    return size, needed
