"""A packet's seal: certificate, digests, its leaf in the journal, and who vouches for that."""

from collections.abc import Iterator

from nodes.printing.blocks import Block, Fact, code, facts
from nodes.printing.dossier import Dossier, Signer, Vouched
from nodes.printing.speaker import Speaker, both_zones


def seal(dossier: Dossier, speaker: Speaker) -> Iterator[Block]:
    """Lay out the seal of a packet."""
    packet, header, say = dossier.packet, dossier.header, speaker.say
    if packet is None or header is None:
        return
    row, leaf, vouched = packet.packet, dossier.leaf, dossier.vouched
    yield facts(
        *_signer(dossier.signer, speaker),
        code(say("print.seal.head"), row.head_sha256.hex()),
        code(say("print.seal.frame"), row.frame_sha256.hex()),
        code(say("print.seal.payload"), header.payload.sha256),
        code(say("print.seal.clear"), header.payload.clear_sha256),
        (
            say("print.seal.leaf"),
            say("print.not-known") if leaf is None else f"{leaf.index} ({leaf.kind})",
        ),
        code(say("print.seal.leaf-hash"), None if leaf is None else leaf.sha256),
        *_vouched(vouched, speaker),
    )


def _signer(signer: Signer | None, speaker: Speaker) -> Iterator[Fact]:
    if signer is None:
        return
    say = speaker.say
    if signer.subject is None or signer.since is None or signer.until is None:
        yield Fact(say("print.seal.signer"), say("print.seal.no-certificate"))
    else:
        yield Fact(say("print.seal.signer"), signer.subject)
        yield Fact(say("print.seal.issuer"), signer.issuer or "")
        life = f"{both_zones(signer.since)} - {both_zones(signer.until)}"
        yield Fact(say("print.seal.life"), life)
    yield code(say("print.seal.certificate"), signer.sha256)


def _vouched(vouched: Vouched | None, speaker: Speaker) -> Iterator[Fact]:
    say = speaker.say
    if vouched is None:
        yield Fact(say("print.seal.checkpoint"), say("print.seal.no-checkpoint"))
        return
    of = say("print.seal.checkpoint-of", size=vouched.size, at=both_zones(vouched.at))
    yield Fact(say("print.seal.checkpoint"), of)
    yield code(say("print.seal.journal"), vouched.origin)
    yield code(say("print.seal.root"), vouched.root)
    for key, signed in (("cosigned", vouched.cosigned), ("stamped", vouched.stamped)):
        lines = "\n".join(f"{name}: {both_zones(at)}" for name, at in signed)
        yield Fact(say(f"print.seal.{key}"), lines or say("print.seal.none"))
