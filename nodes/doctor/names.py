"""Names: of this node in its certificates, and of the broker that children call."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

from nodes.cli.registry_shapes import Finding
from nodes.config import Config
from nodes.doctor.findings import fail, ok, warn
from schemas.addresses import dns_name
from schemas.errors import BbajError
from signing.certificates import named_address
from signing.keys import load_certificate
from signing.profiles import Purpose

CONNECT_S = 10.0


async def examine(config: Config) -> AsyncIterator[Finding]:
    """Look at the names of certificates, and at the one that our broker shows."""
    yield _certificates(config)
    if config.broker is not None:
        for url in config.broker.public_urls:
            yield await _broker(config, url)


def _certificates(config: Config) -> Finding:
    """See that each certificate of ours names this very address."""
    others = []
    for purpose in (Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK, Purpose.WITNESS):
        path = config.keys.folder / f"{purpose}.pem"
        if not path.exists():
            continue
        try:
            address = named_address(load_certificate(path))
        except BbajError as error:
            return fail("names", str(error), "restore the file, or have it issued again")
        if address != config.address:
            others.append(f"{path.name} names {address or 'no address'}")
    if others:
        what = f"restore the files of {config.address}, or correct `address`"
        return fail("names", "; ".join(others), what)
    return ok("names", f"every certificate names {config.address}, as {dns_name(config.address)}")


async def _broker(config: Config, url: str) -> Finding:
    """See that our broker shows children a certificate of our own name."""
    name, parts = f"broker's name at {url}", urlsplit(url)
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
        what = f"let the broker show link.pem of {config.address}, with its authority's behind it"
        return fail(name, f"children would not believe it: {error.verify_message}", what)
    except (OSError, ValueError) as error:
        what = "see that it listens there; from here a name for outside may not lead to it"
        return warn(name, f"cannot be reached from here: {error}", what)
    writer.close()
    return ok(name, f"shows {dns_name(config.address)}")
