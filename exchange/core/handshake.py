"""Hello both ways at the beginning of each connection (docs/protocol.md clause 7.4).

A child opens with a fresh nonce; the parent answers with one of its own that echoes it, and the
child echoes that. A side is synchronised once it has heard its own latest nonce: only then does
it send, from where the other says it stands. Leftovers of earlier connections cause one more
round and no harm.
"""

import msgspec


class Handshake(msgspec.Struct, frozen=True, gc=False):
    """One side's view of the greeting."""

    is_child: bool
    nonce: str
    heard: str | None = None
    """The neighbour's latest nonce."""
    answered: str | None = None
    """The nonce that our latest hello echoed."""
    synchronised: bool = False


class Greeting(msgspec.Struct, frozen=True, gc=False):
    """What a hello causes."""

    state: Handshake
    reply: bool
    fresh: bool
    """The hello echoed our latest nonce: its positions count, whatever they lower."""


def hear(state: Handshake, nonce: str, echo: str | None, new_nonce: str) -> Greeting:
    """Take a hello. `new_nonce` is used where a parent meets a child that starts afresh."""
    fresh = echo == state.nonce
    starts_afresh = not state.is_child and nonce != state.heard and not fresh
    ours = new_nonce if starts_afresh else state.nonce
    reply = not fresh or state.answered != nonce
    heard = Handshake(
        is_child=state.is_child,
        nonce=ours,
        heard=nonce,
        answered=nonce if reply else state.answered,
        synchronised=fresh or (state.synchronised and not starts_afresh),
    )
    return Greeting(heard, reply, fresh)
