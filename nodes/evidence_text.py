"""VERIFY.md of an evidence folder: prose, and blocks that any POSIX shell runs as they stand.

A block uses coreutils, awk, od and openssl only, reads the folder, writes nothing, and ends the
shell (`sh -e`) at the first thing that does not hold.
"""

from collections.abc import Iterator

import msgspec

from signing.profiles import ARC

PACKET_FOLDER = "."


class Answer(msgspec.Struct, frozen=True):
    """An answer's folder, and the folder of what it answers."""

    folder: str
    about: str
    accepted: bool = False


class Parts(msgspec.Struct):
    """What there is to check; lists of folders, `.` being the packet's."""

    packet: str
    frames: list[str] = []
    whole: list[str] = []
    """Frames with their payload."""
    contents: list[str] = []
    """Clear frames whose content is written out."""
    decrypted: list[str] = []
    """Encrypted ones, opened by whoever exported them."""
    chained: list[str] = []
    """Frames whose chain and revocation lists are at hand."""
    proven: list[str] = []
    """Frames with leaves under the checkpoint."""
    receipts: list[Answer] = []
    closings: list[Answer] = []
    has_journal: bool = False
    """There is a checkpoint."""
    journal: list[str] = []
    """`journal` where the chain of the journal's key is at hand."""


INTRODUCTION = """\
# Evidence for packet {packet}

This folder proves, without any software of the network that made it, what was sent, by whom, and
how it was answered. Needed are a POSIX shell, GNU coreutils, awk and openssl (3.0 or later).

Run all checks in this folder at once; the last line is then `evidence: holds`. Anything else, and
any other end, means that it does not hold:

    awk '/^```$/{{on=0}} on; /^```sh$/{{on=1}}' VERIFY.md | env -i PATH=/usr/bin:/bin sh -e

Or run the blocks one by one, each with `sh -e`.

Three things no command can say; a person compares them:

1. `root.pem` is the network's root only if its fingerprint, which the first check prints, is the
   one that you know from elsewhere.
2. Names are addresses turned round: `school-7.burabay.akmola.kz.bbaj.internal` is
   `kz.akmola.burabay.school-7`. `header.json` says what the packet is.
3. `sent` is the sender's claim. That a packet was here by a certain time follows from the journal
   (check 7), whose heads others have seen.

`{frames}`: the folders below, `.` being the packet itself.
"""

NOTES = "\nNot in this folder:\n\n{notes}\n"

SUMS = """
## 1. Nothing was damaged since the export

The sums show damage, not forgery: that is what the other checks are for.

```sh
sha256sum --strict --quiet --check SHA256SUMS
openssl x509 -in root.pem -noout -subject -fingerprint -sha256
echo 'sums: hold'
```
"""

PIECES = """
## 2. The pieces are those of the frame

A frame is head and payload; a head is what was signed and the signature; what was signed is
`BBAJ`, version, algorithm, the header's length and the header.

```sh
for d in {frames}; do
    h=$(od -An -tu1 -j6 -N2 $d/head.bin | awk '{{print $1*256+$2}}')
    s=$(od -An -tu1 -j$((8+h)) -N2 $d/head.bin | awk '{{print $1*256+$2}}')
    test "$(head -c 6 $d/head.bin | od -An -tx1 | tr -d ' ')" = 4242414a0101
    test "$(wc -c < $d/head.bin)" -eq $((10+h+s))
    test "$(head -c $((8+h)) $d/head.bin | sha256sum)" = "$(sha256sum < $d/signed.bin)"
    test "$(tail -c +9 $d/signed.bin | sha256sum)" = "$(sha256sum < $d/header.json)"
    test "$(tail -c +$((11+h)) $d/head.bin | sha256sum)" = "$(sha256sum < $d/signature.der)"
done
echo 'pieces: hold'
```
"""

PAYLOAD = """
## 3. The payload is the one that was signed for, and holds the content

The header names two digests and the size of the payload. The payload is 16 random bytes and the
content; `salt+deflate` means that both were then compressed (RFC 1951, undone by `inflate.awk`).
In a `document.file/1` the content is a two-byte length, so many bytes of JSON, and the file.

```sh
for d in {whole}; do
    f=$d/header.json
    n=$(wc -c < $d/head.bin)
    test "$(head -c $n $d/frame.bin | sha256sum)" = "$(sha256sum < $d/head.bin)"
    test "$(tail -c +$((n+1)) $d/frame.bin | sha256sum)" = "$(sha256sum < $d/payload.bin)"
    want=$(awk -F'"sha256":"' '{{print substr($2,1,64)}}' $f)
    test "$(sha256sum < $d/payload.bin)" = "$want  -"
    want=$(awk -F'"sha512":"' '{{print substr($2,1,128)}}' $f)
    test "$(sha512sum < $d/payload.bin)" = "$want  -"
    test "$(wc -c < $d/payload.bin)" -eq "$(awk -F'"size":' '{{print $2+0}}' $f)"
done
echo 'payload: holds'
```
"""

CONTENT = """
```sh
for d in {contents}; do
    case $(awk -F'"coding":"' '{{split($2,a,"\\""); print a[1]}}' $d/header.json) in
    salt) undo='{{print $1}}' ;;
    salt+deflate) undo=$(cat inflate.awk) ;;
    *) exit 1 ;;
    esac
    test "$(od -An -v -tu1 -w1 $d/payload.bin | awk "$undo" | tail -n +17 | sha256sum)" = \\
        "$(od -An -v -tu1 -w1 $d/content | awk '{{print $1}}' | sha256sum)"
done
echo 'content: holds'
```
"""

DECRYPTED = """
What was encrypted (`coding` ends in `+hpke`) needs a key that is not here. `clear.bin` is what was
in it, 16 random bytes and the content; the signed header names its digest, `clear_sha256`.

```sh
for d in {decrypted}; do
    want=$(awk -F'"clear_sha256":"' '{{print substr($2,1,64)}}' $d/header.json)
    test "$(sha256sum < $d/clear.bin)" = "$want  -"
    test "$(tail -c +17 $d/clear.bin | sha256sum)" = "$(sha256sum < $d/content)"
done
echo 'decrypted content: holds'
```
"""

SIGNATURE = """
## 4. The sender's key has signed

The signer's certificate is the one that the header names; it bears the sender's name and no other,
and is for packets (the last number of its usage is 1).

```sh
for d in {frames}; do
    f=$d/header.json
    want=$(awk -F'"certificate":"' '{{print substr($2,1,64)}}' $f)
    test "$(openssl x509 -in $d/signer.pem -outform DER | sha256sum)" = "$want  -"
    want=$(awk -F'"from":"' '{{split($2,a,"\\""); n=split(a[1],l,"."); r="DNS:"
        for (i=n; i>0; i--) r=r l[i] "."; print r "bbaj.internal"}}' $f)
    test "$(openssl x509 -in $d/signer.pem -noout -ext subjectAltName | tail -n +2)" = "    $want"
    test "$(openssl x509 -in $d/signer.pem -noout -ext extendedKeyUsage | tail -n +2)" = \\
        "    {arc}.1"
    openssl x509 -in $d/signer.pem -pubkey -noout | openssl dgst -sha256 -verify /dev/stdin \\
        -signature $d/signature.der $d/signed.bin
done
echo 'signatures: hold'
```
"""

CHAIN = """
## 5. The certificate counted when the packet was sent

Chain and revocation lists are judged at `attime.txt`, the time of sending in seconds since 1970.
`packet.p7s` is the same signature as CMS. Usage and name were compared by check 4, so any purpose
is let pass here.

```sh
for d in {chained}; do
    test "$(awk '/BEGIN CERTIFICATE/{{n++}} END{{print n}}' $d/roots_and_crls.pem)" -eq 1
    test "$(openssl x509 -in $d/roots_and_crls.pem -outform DER | sha256sum)" = \\
        "$(openssl x509 -in root.pem -outform DER | sha256sum)"
    openssl verify -CAfile $d/roots_and_crls.pem -untrusted $d/authority.pem -crl_check_all \\
        -attime $(cat $d/attime.txt) -purpose any $d/signer.pem
done
for d in {cms}; do
    openssl cms -verify -binary -inform DER -in $d/packet.p7s -content $d/signed.bin \\
        -CAfile $d/roots_and_crls.pem -crl_check_all -attime $(cat $d/attime.txt) -purpose any \\
        -out /dev/null
done
echo 'chains: hold'
```
"""

ANSWERS = """
## 6. The answers are about this packet

A receipt names the digests of the packet's head and, unless another copy was judged, of its whole
frame. Only the addressee's own `accepted` means delivered. A closing names the receipt's head.

```sh
"""

RECEIPT_LINES = """\
d={folder}
test "$(awk -F'"head_sha256":"' '{{print substr($2,1,64)}}' $d/content)  -" = \\
    "$(sha256sum < head.bin)"
"""
WHOLE_LINES = """\
test "$(awk -F'"frame_sha256":"' '{print substr($2,1,64)}' $d/content)  -" = \\
    "$(sha256sum < frame.bin)"
"""
ACCEPTED_LINES = """\
test "$(awk -F'"verdict":"' '{{split($2,a,"\\""); print a[1]}}' $d/content)" = accepted
test "$(awk -F'"from":"' '{{split($2,a,"\\""); print a[1]}}' $d/header.json)" = \\
    "$(awk -F'"to":"' '{{split($2,a,"\\""); print a[1]}}' header.json)"
echo '{folder}: accepted by the addressee'
"""
REFUSED_LINES = """\
test "$(awk -F'"verdict":"' '{{split($2,a,"\\""); print a[1]}}' $d/content)" = refused
echo '{folder}: refused'
"""
CLOSING_LINES = """\
d={folder}
test "$(awk -F'"receipt_head_sha256":"' '{{print substr($2,1,64)}}' $d/content)  -" = \\
    "$(sha256sum < {about}/head.bin)"
test "$(awk -F'"from":"' '{{split($2,a,"\\""); print a[1]}}' $d/header.json)" = \\
    "$(awk -F'"from":"' '{{split($2,a,"\\""); print a[1]}}' header.json)"
echo '{folder}: the sender has the receipt'
"""

JOURNAL = """
## 7. The journal holds it

The node's journal is a Merkle tree (RFC 6962); `checkpoint.txt` is its signed head (C2SP
tlog-checkpoint), every `.proof` a C2SP tlog-proof. Each leaf names the digest of the head.

```sh
test "$(head -n 3 checkpoint.txt | sha256sum)" = "$(sha256sum < journal/signed.txt)"
o=$(head -n 1 checkpoint.txt)
test "$(awk -v o="$o" '$2==o{{print $3; exit}}' checkpoint.txt | base64 -d | tail -c +5 \\
    | sha256sum)" = "$(sha256sum < journal/signature.bin)"
test "$(openssl x509 -in journal/signer.pem -noout -ext subjectAltName | tail -n +2)" = \\
    "    DNS:${{o%/*}}"
test "$(openssl x509 -in journal/signer.pem -noout -ext extendedKeyUsage | tail -n +2)" = \\
    "    {arc}.2"
openssl pkeyutl -verify -certin -inkey journal/signer.pem -rawin -in journal/signed.txt \\
    -sigfile journal/signature.bin
echo 'checkpoint: holds'
```
"""

LEAVES = """
```sh
leaf() {{ {{ printf '\\000'; cat "$1"; }} | openssl dgst -sha256 -binary | base64; }}
join() {{
    {{ printf '\\001'; echo "$1" | base64 -d; echo "$2" | base64 -d; }} \\
        | openssl dgst -sha256 -binary | base64
}}
size=$(awk 'NR==2' checkpoint.txt)
root=$(awk 'NR==3' checkpoint.txt)
for d in {proven}; do
    want=$(sha256sum < $d/head.bin)
    for proof in $d/leaves/*.proof; do
        text=${{proof%.proof}}.txt
        test "$(awk '$1=="head-sha256"{{print $2}}' $text)  -" = "$want"
        at=$(awk '$1=="index"{{print $2; exit}}' $proof)
        test "$(awk 'NR==1' $proof)" = c2sp.org/tlog-proof@v1
        test "$(awk 'on; /^$/{{on=1}}' $proof | sha256sum)" = "$(sha256sum < checkpoint.txt)"
        test "$at" -lt "$size"
        last=$((size-1))
        node=$(leaf $text)
        for sibling in $(awk '/^$/{{exit}} NR>2' $proof); do
            test $last -ne 0
            if [ $((at%2)) -eq 1 ] || [ $at -eq $last ]; then
                node=$(join "$sibling" "$node")
                while [ $((at%2)) -eq 0 ] && [ $at -ne 0 ]; do at=$((at/2)) last=$((last/2)); done
            else
                node=$(join "$node" "$sibling")
            fi
            at=$((at/2)) last=$((last/2))
        done
        test $last -eq 0
        test "$node" = "$root"
    done
done
echo 'leaves: hold'
```
"""

END = """
## The end

```sh
echo 'evidence: holds'
```
"""


def verify_text(parts: Parts, notes: list[str]) -> str:
    """Return VERIFY.md for what there is."""
    return "".join(_sections(parts, notes))


def _sections(parts: Parts, notes: list[str]) -> Iterator[str]:
    frames = " ".join(parts.frames)
    yield INTRODUCTION.format(packet=parts.packet, frames=frames)
    if notes:
        yield NOTES.format(notes="\n".join(f"- {note}" for note in notes))
    yield SUMS
    yield PIECES.format(frames=frames)
    if parts.whole:
        yield PAYLOAD.format(whole=" ".join(parts.whole))
    if parts.contents:
        yield CONTENT.format(contents=" ".join(parts.contents))
    if parts.decrypted:
        yield DECRYPTED.format(decrypted=" ".join(parts.decrypted))
    yield SIGNATURE.format(frames=frames, arc=ARC)
    if parts.chained or parts.journal:
        chained = " ".join([*parts.chained, *parts.journal])
        yield CHAIN.format(chained=chained, cms=" ".join(parts.chained))
    if parts.receipts or parts.closings:
        yield ANSWERS + "".join(_answer_lines(parts)) + "```\n"
    if parts.has_journal:
        yield JOURNAL.format(arc=ARC)
    if parts.proven:
        yield LEAVES.format(proven=" ".join(parts.proven))
    yield END


def _answer_lines(parts: Parts) -> Iterator[str]:
    for receipt in parts.receipts:
        yield RECEIPT_LINES.format(folder=receipt.folder)
        if PACKET_FOLDER in parts.whole:
            yield WHOLE_LINES
        verdict = ACCEPTED_LINES if receipt.accepted else REFUSED_LINES
        yield verdict.format(folder=receipt.folder)
    for closing in parts.closings:
        yield CLOSING_LINES.format(folder=closing.folder, about=closing.about)
