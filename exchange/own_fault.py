"""When we fail at what a neighbour sent: find the entry, hold it, and let the rest go on.

A fault of our own refuses nothing and loses nothing (design section 6). The group is tried again
job by job, a bundle entry by entry; the one that fails alone is committed as held, `own-fault`.
"""

import asyncio

import msgspec

from exchange.core.streams import Incoming, chain_after
from exchange.gate import OpenedBundle, digest_in_chain
from exchange.links import LinkMessage


def split_message(message: LinkMessage, taken: Incoming) -> list[LinkMessage]:
    """Return a bundle as messages of one entry each, the last of which settles; else itself.

    A bundle whose chain does not hold stays whole: cut up, each part would have a chain that does.
    """
    opened = message.opened.result()
    if not isinstance(opened, OpenedBundle) or len(opened.entries) < 2:
        return [message]
    parts: list[LinkMessage] = []
    taken = taken.in_epoch(opened.header.epoch)
    chain = taken.chain
    numbered = enumerate(opened.entries, opened.header.first)
    for number, entry in numbered:
        if number <= taken.up_to:
            continue
        chain = chain_after(chain, number, digest_in_chain(entry))
        header = msgspec.structs.replace(
            opened.header, first=number, last=number, chain=chain.hex()
        )
        learned = [] if parts else message.learned
        part = msgspec.structs.replace(opened, header=header, entries=[entry])
        parts.append(
            msgspec.structs.replace(message, opened=_done(part), learned=learned, settles=False)
        )
    if not parts or chain.hex() != opened.header.chain:
        return [message]
    parts[-1] = msgspec.structs.replace(parts[-1], settles=True)
    return parts


def blamed(message: LinkMessage) -> LinkMessage:
    """Return a message whose entries are to be held without judging."""
    return msgspec.structs.replace(message, own_fault=True)


def _done(opened: OpenedBundle) -> "asyncio.Future[OpenedBundle]":
    future: asyncio.Future[OpenedBundle] = asyncio.get_running_loop().create_future()
    future.set_result(opened)
    return future
