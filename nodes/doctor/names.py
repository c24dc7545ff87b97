"""Names: of this node in its certificates, and of the broker that children call."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from nodes.cli.seen import Seen, fail, ok, warn
from nodes.config import Config
from nodes.said import Said, joined
from schemas.addresses import dns_name
from schemas.errors import BbajError
from signing.certificates import named_address
from signing.keys import load_certificate
from signing.profiles import Purpose

CONNECT_S = 10.0


async def examine(config: Config) -> AsyncIterator[Seen]:
    """Look at the names of certificates, and at the one that our broker shows."""
    yield _certificates(config)
    if config.broker is not None:
        for url in config.broker.public_urls:
            yield await _broker(config, url)


def _certificates(config: Config) -> Seen:
    """See that each certificate of ours names this very address."""
    name, others = Said("doctor.names"), []
    for purpose in (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK, Purpose.WITNESS):
        path = config.keys.folder / f"{purpose}.pem"
        if not path.exists():
            continue
        try:
            address = named_address(load_certificate(path))
        except BbajError as error:
            return fail(name, str(error), Said("doctor.advice.restore-file"))
        if address != config.address:
            whose = address or Said("doctor.found.no-address")
            others.append(Said("doctor.found.names-another", {"file": path.name, "address": whose}))
    facts = {"address": config.address}
    if others:
        return fail(name, joined(others, "; "), Said("doctor.advice.restore-files", facts))
    return ok(name, Said("doctor.found.names", {**facts, "name": dns_name(config.address)}))


async def _broker(config: Config, url: str) -> Seen:
    """See that our broker shows children a certificate of our own name."""
    name, parts = Said("doctor.broker-name", {"url": url}), urlsplit(url)
    context = ssl.create_default_context(cafile=str(config.keys.root))
    try:
        async with asyncio.timeout(CONNECT_S):
            _, writer = await asyncio.open_connection(
                parts.hostname,
                parts.port or 5671,
                ssl=context,
                server_hostname=dns_name(config.address),
            )
    except ssl.SSLCertVerificationError as error:
        found = Said("doctor.found.not-believed", {"why": error.verify_message})
        return fail(name, found, Said("doctor.advice.show-link", {"address": config.address}))
    except (OSError, ValueError) as error:
        found = Said("doctor.found.out-of-reach", {"why": error})
        return warn(name, found, Said("doctor.advice.see-it-listens"))
    writer.close()
    return ok(name, Said("doctor.found.shows", {"name": dns_name(config.address)}))
