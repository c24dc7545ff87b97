"""Evidence that lies, each in one way, under a seal that holds: what only the deep checks find.

`BAD[name](case)` returns the folder; `FOUND[name]` are the checks that fail, and words that one of
them says.
"""

import base64
import dataclasses
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from harness.dossier import Exchange
from harness.evidence import make_exchange
from harness.forging import Case, Files, case_of
from harness.pki import DISTRICT, NOW, OBLAST, SCHOOL, make_network
from nodes.evidence.draft import crl_pem, pem
from nodes.evidence.model import Renewal
from nodes.evidence.reading import Folder, inside
from nodes.evidence.statements import HEADER_AT as OBJECT_HEADER_AT
from nodes.evidence.write import make_files
from nodes.sandbox.timestamp_authority import TimestampAuthority
from schemas.addresses import dns_name
from schemas.frame import join_head
from schemas.moments import DAY, HOUR, SECOND, Instant
from schemas.objects import cut_object
from signing.algorithms import DEFAULT, AlgorithmPolicy
from signing.authority import Revoked, issue_crl
from signing.certificates import parse_certificate
from signing.cms import detached_cms
from signing.keys import JournalSigner
from signing.notes import (
    KeyType,
    checkpoint_of,
    cosignature_line,
    cosigned_bytes,
    key_id,
    origin,
    sign_checkpoint,
)
from signing.second_log import SUFFIX, SecondHead, sign_second_head
from store.merkle import RENEWED, hashes_of, inclusion_spans, leaf_hash, root_of

Builder = Callable[[Case, Path], Case]


class Found(NamedTuple):
    """What a verdict says of a lie."""

    checks: frozenset[str]
    words: str


BAD: dict[str, Builder] = {}
FOUND: dict[str, Found] = {}


def lie(*checks: str, words: str) -> Callable[[Builder], Builder]:
    """Enter a builder under its own name."""

    def enter(builder: Builder) -> Builder:
        name = builder.__name__
        BAD[name], FOUND[name] = builder, Found(frozenset(checks), words)
        return builder

    return enter


# --------------------------------------------------------------------- frames and answers


@lie("content", "answer", words="is not what the payload holds")
def another_content(case: Case, _: Path) -> Case:
    return case.sealed(case.files | {"receipt/content": b"{}"})


@lie("content", words="clear_sha256")
def another_clear_text(case: Case, _: Path) -> Case:
    clear = case.files["clear.bin"][:16] + b'{"pupils":[]}'
    return case.sealed(case.files | {"clear.bin": clear, "content": clear[16:]})


@lie("payload", "leaf", "answer", "custody", words="has another sha256")
def another_payload(case: Case, _: Path) -> Case:
    payload = case.files["payload.bin"][:-1] + b"\0"
    frame = case.files["head.bin"] + payload
    return case.sealed(case.files | {"payload.bin": payload, "frame.bin": frame})


@lie("signature", "leaf", "answer", words="does not hold")
def a_signature_of_something_else(case: Case, _: Path) -> Case:
    """Signed by the right key, over another header: the pieces are cut again to fit."""
    return _resigned(case, b"another header")


@lie("answer", "leaf", words="names a packet that is not in the folder")
def a_receipt_of_another_packet(case: Case, keys: Path) -> Case:
    other = Exchange(keys, network=case.exchange.network).complete(b"{}")
    taken = {
        name: data
        for name, data in case_of_plain(other).files.items()
        if name.startswith("receipt/") and "/leaves/" not in name
    }
    return case.sealed(case.files | taken)


@lie("answer", "proof", "timeline", words="names a receipt that is not in the folder")
def a_closing_without_its_receipt(case: Case, _: Path) -> Case:
    """Take out the receipt that the closing names, manifest and all."""
    files = {name: data for name, data in case.files.items() if not name.startswith("receipt/")}
    files["manifest.json"] = files["manifest.json"].replace(b'".","receipt",', b'".",')
    return case.sealed(files)


@lie("answer", "leaf", words="names a packet that is not in the folder")
def a_receipt_without_its_content(case: Case, keys: Path) -> Case:
    """Leave out what would say which packet it is about: its header says it too."""
    told = a_receipt_of_another_packet(case, keys).files
    return case.sealed({name: told[name] for name in told if name != "receipt/content"})


# --------------------------------------------------------------------- certificates


@lie("chain", words="no CRL of the authority is there")
def a_crl_is_missing(case: Case, _: Path) -> Case:
    lists = case.exchange.crls[:1]
    return _with_lists(case, lists)


@lie("chain", words="no CRL of the root is there")
def the_crl_of_the_root_is_missing(case: Case, _: Path) -> Case:
    lists = case.exchange.crls[1:2]
    return _with_lists(case, lists)


@lie("chain", words="is from 2026-11-25")
def a_crl_is_from_the_future(case: Case, _: Path) -> Case:
    return _with_lists(case, case.exchange.network.crls(NOW + 2 * DAY))


@lie("chain", words="is stale")
def a_crl_is_stale(case: Case, _: Path) -> Case:
    root, authority = case.exchange.crls[:2]
    del authority
    old = case.exchange.network.crls(NOW - 30 * DAY)
    return _with_lists(case, [root, old[1]])


@lie("chain", words="has another root")
def another_root_beside_the_lists(case: Case, _: Path) -> Case:
    root = make_network([OBLAST], NOW).root.der
    lists = pem(root) + b"".join(map(crl_pem, case.exchange.crls[:2]))
    return case.sealed(case.files | {"roots_and_crls.pem": lists})


@lie("manifest", "pieces", "chain", words="authority was not issued by the root")
def an_authority_of_somebody_else(case: Case, _: Path) -> Case:
    stranger = pem(make_network([OBLAST], NOW).authority_for(OBLAST).der)
    names = ("authority.pem", "exporter/authority.pem")
    return case.sealed(case.files | dict.fromkeys(names, stranger))


@lie("chain", "manifest", words="signed after")
def a_certificate_ended_before_it_signed(_: Case, keys: Path) -> Case:
    network = make_network([OBLAST, DISTRICT, SCHOOL], NOW - 500 * DAY)
    ended = network.nodes[SCHOOL]
    for address in (OBLAST, DISTRICT, SCHOOL):
        network.add(address, NOW)
    network.nodes[SCHOOL] = dataclasses.replace(
        network.nodes[SCHOOL], packet=ended.packet, packet_key=ended.packet_key
    )
    return case_of_plain(Exchange(keys, network=network).complete())


@lie("chain", "manifest", words="not after 2026-11-23T03:32")
def a_key_was_revoked_before(case: Case, _: Path) -> Case:
    return case_of(_revoked(case.exchange, NOW - DAY))


# --------------------------------------------------------------------- the journal


@lie("leaf", "proof", "timeline", words="is not the frame's")
def a_leaf_of_another_packet(case: Case, _: Path) -> Case:
    ours, other = leaf(case, "."), leaf(case, "closing")
    return case.sealed(case.files | {ours: case.files[other]})


@lie("proof", words="does not lead from")
def a_proof_of_another_leaf(case: Case, _: Path) -> Case:
    folder = f"{checkpoints(case)[1]}/proofs"
    ours, other = (re.search("[0-9]+", leaf(case, where))[0] for where in (".", "closing"))
    proof = case.files[f"{folder}/{ours}.proof"]
    moved = proof.replace(f"index {ours}\n".encode(), f"index {other}\n".encode())
    return case.sealed(case.files | {f"{folder}/{other}.proof": moved})


@lie("proof", words="is not there")
def a_proof_is_missing(case: Case, _: Path) -> Case:
    gone = f"{checkpoints(case)[1]}/proofs/{re.search('[0-9]+', leaf(case, '.'))[0]}.proof"
    assert gone in case.files
    return case.sealed({name: data for name, data in case.files.items() if name != gone})


@lie("checkpoint", words="no known key has signed it")
def a_checkpoint_by_the_wrong_key(case: Case, _: Path) -> Case:
    certificate = case.exchange.network.nodes[DISTRICT].journal.certificate
    return case.sealed(case.files | {f"{checkpoints(case)[-1]}/signer.pem": pem(certificate)})


@lie("checkpoint", words="certificate names kz.akmola.burabay, not")
def a_checkpoint_by_another_node(case: Case, _: Path) -> Case:
    journal = case.exchange.network.nodes[DISTRICT].journal
    return _note_anew(case, journal, checkpoint_of(_note(case)).root)


@lie("proof", "witness", words="does not lead from")
def a_forked_root(case: Case, _: Path) -> Case:
    journal = case.exchange.network.nodes[SCHOOL].journal
    return _note_anew(case, journal, leaf_hash(b"another history"))


@lie("checkpoint", "timeline", words="and stands in checkpoints/200")
def a_checkpoint_under_another_size(case: Case, _: Path) -> Case:
    newest = checkpoints(case)[-1]
    files = {
        name.replace(f"{newest}/", "checkpoints/200/"): data for name, data in case.files.items()
    }
    size = newest.rpartition("/")[2].encode()
    files["manifest.json"] = files["manifest.json"].replace(b",%b]" % size, b",200]")
    return case.sealed(files)


@lie("witness", words="is a cosignature for another log")
def a_cosignature_for_another_log(case: Case, _: Path) -> Case:
    return _cosigned_anew(case, lambda text: text.replace(origin(SCHOOL, 1), origin(DISTRICT, 1)))


@lie("witness", words="is a cosignature of size 7")
def a_cosignature_of_a_smaller_size(case: Case, _: Path) -> Case:
    return _cosigned_anew(case, lambda text: re.sub(r"\n[0-9]+\n", "\n7\n", text))


@lie("witness", words="another root")
def a_cosignature_of_another_history(case: Case, _: Path) -> Case:
    root = base64.b64encode(leaf_hash(b"another history")).decode()
    return _cosigned_anew(case, lambda text: re.sub(r"\n[^\n]+\n$", f"\n{root}\n", text))


@lie("witness", "timeline", words="is the node itself")
def a_node_that_is_its_own_witness(case: Case, _: Path) -> Case:
    return _cosigned_anew(case, str, by=SCHOOL)


# --------------------------------------------------------------------- time-stamps


@lie("stamp", words="its imprint is of other bytes")
def a_stamp_with_another_imprint(case: Case, keys: Path) -> Case:
    first, second, _ = checkpoints(case)
    token = case.files[f"{second}/stamps/1/token.der"]
    return case.sealed(case.files | {f"{first}/stamps/1/token.der": token})


@lie("stamp", words="is of another checkpoint")
def a_stamp_of_another_checkpoint(case: Case, keys: Path) -> Case:
    _, second, newest = checkpoints(case)
    moved = {
        name.replace(second, newest): data
        for name, data in case.files.items()
        if name.startswith(f"{second}/stamps/1/")
    }
    return case.sealed(case.files | moved)


@lie("stamp", words="no chain to its root")
def a_stamp_of_another_root(case: Case, _: Path) -> Case:
    stamps = f"{checkpoints(case)[0]}/stamps"
    root = case.files[f"{stamps}/2/root.pem"]
    return case.sealed(case.files | {f"{stamps}/1/root.pem": root})


@lie("stamp", words="and no later time-stamp that holds renewed it")
def a_stamp_whose_authority_has_ended(case: Case, keys: Path) -> Case:
    brief = TimestampAuthority(keys / "brief", "brief", since=NOW - DAY, life_us=2 * DAY)
    exchange = Exchange(keys).complete()
    exchange.checkpoint(stamped=[brief])
    return msgspec.structs.replace(case_of_plain(exchange), now=NOW + 30 * DAY)


@lie("stamp", words="and no later time-stamp that holds renewed it")
def a_stamp_renewed_too_late(case: Case, keys: Path) -> Case:
    brief = TimestampAuthority(keys / "brief", "brief", since=NOW - DAY, life_us=2 * DAY)
    lasting = TimestampAuthority(keys / "lasting", "lasting", since=NOW - DAY)
    exchange = Exchange(keys).complete()
    exchange.checkpoint(stamped=[brief])
    exchange.now = NOW + 5 * DAY
    exchange.crls += exchange.network.crls(exchange.now)
    exchange.checkpoint(stamped=[lasting])
    return msgspec.structs.replace(case_of_plain(exchange), now=NOW + 30 * DAY)


@lie("stamp", words="before the cosignature of burabay.akmola.kz.bbaj.internal in what it stamps")
def a_stamp_older_than_what_it_seals(_: Case, keys: Path) -> Case:
    """Have a checkpoint stamped by an authority whose clock is an hour behind its witness's."""
    exchange = Exchange(keys).complete()
    exchange.now = NOW + 2 * HOUR
    made = exchange.checkpoint(cosigned=True)
    late = TimestampAuthority(keys / "late", "late", since=NOW - DAY)
    exchange.now -= HOUR
    behind = exchange.stamp(made.note, made.size, late)
    exchange.checkpoints[-1] = msgspec.structs.replace(made, stamps=[behind])
    return case_of_plain(exchange)


# --------------------------------------------------------------------- words of others


@lie("custody", words="does not lead to the number and the chain")
def a_custody_note_of_other_entries(case: Case, _: Path) -> Case:
    chain = case.files["custody/1/chain.txt"].replace(b"\n4 ", b"\n5 ").replace(b"\n3 ", b"\n4 ")
    return case.sealed(case.files | {"custody/1/chain.txt": chain})


@lie("custody", words="does not begin with a frame of this folder")
def a_custody_note_of_another_frame(case: Case, _: Path) -> Case:
    before, first, *rest = case.files["custody/1/chain.txt"].decode().splitlines()
    number, digest = first.split(" ")
    folded = hashlib.sha256(
        bytes.fromhex(before) + int(number).to_bytes(8) + bytes.fromhex(digest)
    ).hexdigest()
    chain = "".join(f"{line}\n" for line in (folded, *rest)).encode()
    return case.sealed(case.files | {"custody/1/chain.txt": chain})


@lie("custody", words="which is not the exporter")
def a_custody_note_to_another_node(case: Case, _: Path) -> Case:
    """Put in a true note of the district, about what another neighbour has sent."""
    note = cut_object(case.files["custody/1/note.bin"]).header
    raw = case.exchange.gates[DISTRICT].sign(msgspec.structs.replace(note, to=OBLAST))
    pieces = cut_object(raw)
    made = {"note.bin": raw, "signed.bin": pieces.signed, "signature.der": pieces.signature}
    made["header.json"] = pieces.signed[OBJECT_HEADER_AT:]
    return case.sealed(case.files | {f"custody/1/{name}": data for name, data in made.items()})


@lie("issued", words="is not the certificate of the folder")
def an_issuing_proof_of_another_certificate(case: Case, _: Path) -> Case:
    taken = {
        name.removeprefix("receipt/"): case.files[name]
        for name in ("receipt/issued.der", "receipt/issued.proof")
    }
    return case.sealed(case.files | taken)


@lie("issued", words="does not hold")
def a_false_cosignature_of_the_public_log(case: Case, _: Path) -> Case:
    """Put a line over another head under that of the log, by a witness whose key is here."""
    witness = case.exchange.network.nodes[DISTRICT].witness
    true = case.exchange.log_line()
    false = cosignature_line(
        "log\n1\n" + "A" * 43 + "=\n", dns_name(DISTRICT), NOW // SECOND, witness
    )
    proof = case.files["issued.proof"].decode()
    assert true in proof
    changed = proof.replace(true, false).encode()
    return case.sealed(case.files | {"issued.proof": changed})


@lie("issued", words="more than one line of the key")
def a_log_head_with_two_lines_of_its_key(case: Case, _: Path) -> Case:
    """Put a second line of the log's own key behind the first, over nothing."""
    proof = case.files["issued.proof"].decode()
    own = next(line for line in proof.splitlines() if line.startswith("— ") and "/issuing" in line)
    other = own[:-8] + "AAAAAAA="
    changed = proof.replace(own, f"{own}\n{other}").encode()
    return case.sealed(case.files | {"issued.proof": changed})


# --------------------------------------------------------------------- algorithms


@lie(
    *("manifest", "signature", "chain", "checkpoint", "witness", "stamp", "custody", "tracked"),
    "issued",
    words="ecdsa-p256-sha256 was not allowed",
)
def an_algorithm_that_had_ended(case: Case, _: Path) -> Case:
    return msgspec.structs.replace(case, policy=_ending("ecdsa-p256-sha256", NOW - DAY))


@lie("proof", "witness", words="no second log has renewed it")
def a_hash_that_was_not_renewed(case: Case, _: Path) -> Case:
    policy = _ending("sha-256", NOW + HOUR)
    return msgspec.structs.replace(case, policy=policy)


@lie("proof", words="no second log has renewed it")
def a_hash_renewed_too_late(_: Case, keys: Path) -> Case:
    return hash_renewed(keys, at=NOW + 20 * DAY)


@lie("renewal", "proof", words="does not lead from")
def a_second_log_of_other_leaves(_: Case, keys: Path) -> Case:
    made = hash_renewed(keys)
    proofs = sorted(name for name in made.files if name.startswith("renewals/1/proofs/"))
    ours, other = (re.search("[0-9]+", name.rpartition("/")[2])[0] for name in proofs[:2])
    moved = made.files[proofs[0]].replace(f"index {ours}\n".encode(), f"index {other}\n".encode())
    return made.sealed(made.files | {proofs[1]: moved})


@lie("renewal", "proof", words="its imprint is of other bytes")
def a_second_log_stamped_by_another_token(_: Case, keys: Path) -> Case:
    made = hash_renewed(keys)
    token = made.files[f"{checkpoints(made)[0]}/stamps/1/token.der"]
    return made.sealed(made.files | {"renewals/1/token.der": token})


# --------------------------------------------------------------------- how they are made


def case_of_plain(exchange: Exchange) -> Case:
    """Return the evidence of an exchange that nobody else vouches for."""
    return Case(make_files(exchange.prove(exchange.dossier()))[0], exchange)


def renewed_in_time(keys: Path) -> Case:
    """Return evidence whose first authority has ended, after another had renewed its stamp."""
    brief = TimestampAuthority(keys / "brief", "brief", since=NOW - DAY, life_us=2 * DAY)
    lasting = TimestampAuthority(keys / "lasting", "lasting", since=NOW - DAY)
    exchange = Exchange(keys).complete()
    exchange.checkpoint(stamped=[brief])
    exchange.now = NOW + HOUR
    exchange.checkpoint(stamped=[lasting])
    return msgspec.structs.replace(case_of_plain(exchange), now=NOW + 30 * DAY)


def hash_renewed(keys: Path, *, at: Instant = NOW + HOUR) -> Case:
    """Return evidence whose tree's hash has ended, after a second log was stamped at a moment."""
    lasting = TimestampAuthority(keys / "lasting", "lasting", since=NOW - DAY)
    exchange = Exchange(keys).complete()
    exchange.checkpoint(stamped=[lasting])
    exchange.now = at
    exchange.crls += exchange.network.crls(at)
    hashes = [RENEWED.leaf(record) for record in exchange.records]
    head = SecondHead(origin(SCHOOL, 1), len(hashes), root_of(hashes, RENEWED))
    journal = exchange.network.nodes[SCHOOL].journal
    note = sign_second_head(head, journal)
    stamp = exchange.stamp(note, head.size, lasting)
    dossier = exchange.prove(exchange.dossier())
    proofs = {
        leaf.index: hashes_of(
            inclusion_spans(leaf.index, head.size), lambda _l, _i: b"".join(hashes), RENEWED
        )
        for leaf in dossier.leaves
        if leaf.index < head.size
    }
    renewal = Renewal(note, head.origin + SUFFIX, head.size, journal.certificate, stamp, proofs)
    files = make_files(msgspec.structs.replace(dossier, renewals=[renewal]))[0]
    return Case(files, exchange, now=NOW + 30 * DAY, policy=_ending("sha-256", NOW + 10 * DAY))


def revoked_since(keys: Path) -> Case:
    """Return evidence whose signer's key came into other hands after it was exported."""
    return case_of(_revoked(make_exchange(keys), NOW + 4 * HOUR))


def revoked_since_and_unproven(keys: Path) -> Case:
    """Return the same of an exchange that neither a witness nor a time-stamp has seen."""
    exchange = make_exchange(keys, stamped=False, cosigned=False)
    return case_of(_revoked(exchange, NOW + 4 * HOUR))


def _revoked(exchange: Exchange, moment: Instant) -> Exchange:
    """Return an exchange whose newest list revokes the sender's packet key as of a moment."""
    certificate = parse_certificate(exchange.network.nodes[SCHOOL].packet.certificate)
    entry = Revoked(certificate.serial_number, moment, "keyCompromise")
    newest = issue_crl(exchange.network.authority_for(SCHOOL), [entry], 99, NOW + 5 * HOUR)
    twin = Exchange.__new__(Exchange)
    twin.__dict__ = exchange.__dict__ | {"crls": [*exchange.crls, newest]}
    return twin


def _ending(name: str, moment: Instant) -> AlgorithmPolicy:
    return AlgorithmPolicy(dict(DEFAULT.ends) | {name: moment})


def _with_lists(case: Case, crls: list[bytes]) -> Case:
    lists = pem(case.exchange.network.root.der) + b"".join(map(crl_pem, crls))
    return case.sealed(case.files | {"roots_and_crls.pem": lists})


def _resigned(case: Case, signed: bytes) -> Case:
    """Return the case with a frame's signature replaced by one over other bytes."""
    node = case.exchange.network.nodes[DISTRICT].packet
    signature = node.sign(signed)
    head = join_head(case.files["receipt/signed.bin"], signature)
    authority = case.exchange.network.authority_for(DISTRICT).der
    return case.sealed(
        case.files
        | {
            "receipt/signature.der": signature,
            "receipt/head.bin": head,
            "receipt/frame.bin": head + case.files["receipt/payload.bin"],
            "receipt/packet.p7s": detached_cms(signature, node.certificate, authority),
        }
    )


def checkpoints(case: Case) -> list[str]:
    """Return the folders of checkpoints, the smallest first."""
    return Folder(case.files, {}).numbered("checkpoints")


def leaf(case: Case, where: str) -> str:
    """Return the first leaf of a frame folder."""
    return Folder(case.files, {}).below(inside(where, "leaves"))[0]


def _note(case: Case) -> str:
    return case.files[f"{checkpoints(case)[-1]}/note.txt"].decode()


def _note_anew(case: Case, journal: JournalSigner, root: bytes) -> Case:
    """Return the case with the newest checkpoint signed by another key, or over another root."""
    folder, old = checkpoints(case)[-1], _note(case)
    note = sign_checkpoint(origin(SCHOOL, 1), checkpoint_of(old).size, root, journal)
    note += "".join(line + "\n" for line in old.splitlines()[5:])
    text, _, lines = note.partition("\n\n")
    files: Files = dict(case.files)
    for name, data in case.files.items():
        if name.startswith(f"{folder}/proofs/"):
            files[name] = data.replace(old.encode(), note.encode())
    return case.sealed(
        files
        | {
            f"{folder}/note.txt": note.encode(),
            f"{folder}/signed.txt": f"{text}\n".encode(),
            f"{folder}/signature.bin": base64.b64decode(lines.split("\n")[0].split(" ")[2])[4:],
            f"{folder}/signer.pem": pem(journal.certificate),
        }
    )


def _cosigned_anew(case: Case, change: Callable[[str], str], by: str = DISTRICT) -> Case:
    """Return the case with a true cosignature of a witness, of another text."""
    witness = case.exchange.network.nodes[by].witness
    folder, old = checkpoints(case)[-1], _note(case)
    first, time, rest = case.files[f"{folder}/witnesses/1/cosigned.txt"].decode().split("\n", 2)
    del first
    time_s = int(time.removeprefix("time "))
    signed = cosigned_bytes(change(rest), time_s)
    signature = witness.sign(signed)
    before = case.exchange.network.nodes[DISTRICT].witness.public_bytes
    begin = base64.b64encode(key_id(dns_name(DISTRICT), before, KeyType.COSIGNATURE_V1))[:5]
    identity = key_id(dns_name(by), witness.public_bytes, KeyType.COSIGNATURE_V1)
    encoded = base64.b64encode(identity + time_s.to_bytes(8) + signature).decode()
    line = rf"— {re.escape(dns_name(DISTRICT))} {re.escape(begin.decode())}[^\n]*"
    note = re.sub(line, f"— {dns_name(by)} {encoded}", old)
    assert note != old, "the line was found"
    files = {
        path: data.replace(old.encode(), note.encode())
        if path.startswith(f"{folder}/proofs/")
        else data
        for path, data in case.files.items()
    }
    return case.sealed(
        files
        | {
            f"{folder}/note.txt": note.encode(),
            f"{folder}/witnesses/1/cosigned.txt": signed,
            f"{folder}/witnesses/1/signature.bin": signature,
            f"{folder}/witnesses/1/signer.pem": pem(witness.certificate),
        }
    )
