"""Keys, certificates and revocation lists, as `bbaj node check` and the doctor look at them."""

from collections.abc import AsyncIterator, Iterator

from cryptography import x509

from exchange.renewal import when_due
from nodes.cli.moments import duration
from nodes.cli.registries import tree_at_hand
from nodes.cli.seen import Seen, fail, fault, ok, warn
from nodes.clock import now
from nodes.config import Config
from nodes.passphrases import passphrase_of
from nodes.said import Said
from nodes.wiring import load_crls, open_trust, open_vault
from schemas.errors import BbajError
from schemas.limits import Limits
from schemas.moments import DAY, SECOND, format_instant, from_datetime
from signing.chain import Trusted, TrustStore
from signing.crl import parse_crl
from signing.keys import fingerprint, load_certificate, load_journal_signer, load_private_key
from signing.profiles import Purpose

RENEWAL_LATE_US = 7 * DAY
"""So long after its day a renewal is late."""


async def check_keys(config: Config) -> AsyncIterator[Seen]:
    """Load every key as the daemon does, the link's too."""
    name = Said("checks.keys")
    try:
        vault = open_vault(config)
        passphrase = passphrase_of(config.keys)
        link = load_private_key(config.keys.folder / "link.key", passphrase)
    except BbajError as error:
        yield fault(name, error)
        return
    yield ok(name, Said("checks.found.keys", {"fingerprint": vault.gate.fingerprint[:16]}))
    if (await tree_at_hand(config)).registry.children:
        yield _check_witness(config, passphrase)
    certificate = x509.load_der_x509_certificate(_certificate(config, Purpose.LINK))
    if certificate.public_key() != link.public_key():
        what_to_do = Said("checks.advice.matching-pair")
        yield fail(Said("checks.link-key"), Said("checks.found.another-key"), what_to_do)


def _check_witness(config: Config, passphrase: bytes | None) -> Seen:
    """Load the key that a node with children cosigns their checkpoints with."""
    folder, name = config.keys.folder, Said("checks.witness-key")
    try:
        load_journal_signer(folder / "witness.key", folder / "witness.pem", passphrase)
    except BbajError as error:
        return fault(name, error)
    return ok(name, Said("checks.found.loads"))


async def check_certificates(config: Config) -> AsyncIterator[Seen]:
    """Judge each of our certificates by the trust at hand, and say how long it lasts."""
    try:
        trust = open_trust(config)
        crls = load_crls(config)
    except BbajError as error:
        yield fault(Said("checks.trust"), error)
        return
    for der in crls:
        trust.add_crl(der)
    for check in _check_crls(crls, config.limits):
        yield check
    purposes = [Purpose.PACKET, Purpose.JOURNAL, Purpose.LINK]
    if (config.keys.folder / "witness.pem").exists():
        purposes.append(Purpose.WITNESS)
    for purpose in purposes:
        try:
            yield _judge_certificate(config, trust, purpose)
        except BbajError as error:
            yield fault(_name_of(purpose), error)


def _name_of(purpose: Purpose) -> Said:
    return Said(f"checks.certificates.{purpose}")


def _judge_certificate(config: Config, trust: TrustStore, purpose: Purpose) -> Seen:
    name, moment = _name_of(purpose), now()
    der = _certificate(config, purpose)
    trust.add_certificates([der])
    parsed = x509.load_der_x509_certificate(der)
    verdict = trust.judge(fingerprint(der), config.address, purpose, moment, moment, config.limits)
    if not isinstance(verdict, Trusted):
        return fail(name, verdict.detail, Said("checks.advice.issue-again"))
    until = from_datetime(parsed.not_valid_after_utc)
    life = {"day": format_instant(until)[:10], "left": duration((until - moment) / SECOND)}
    if moment > when_due(config.address, purpose, der) + RENEWAL_LATE_US:
        return warn(name, Said("checks.found.not-renewed", life), Said("checks.advice.incidents"))
    return ok(name, Said("checks.found.valid", life))


def _check_crls(crls: list[bytes], limits: Limits) -> Iterator[Seen]:
    if not crls:
        what_to_do = Said("checks.advice.fetch-crls")
        yield fail(Said("checks.crls"), Said("checks.found.no-crls"), what_to_do)
    for der in crls:
        parsed = parse_crl(der)
        name = Said("checks.crl", {"issuer": parsed.issuer.rfc4514_string()})
        due = parsed.next_update_utc
        if due is None:
            yield fail(name, Said("checks.found.no-next-crl"), Said("checks.advice.fetch-another"))
            continue
        late = now() - from_datetime(due)
        past = Said("checks.found.past-due", {"late": duration(late / SECOND)})
        if late > limits.crl_grace_us:
            yield fail(name, past, Said("checks.advice.fetch-crl"))
        elif late > 0:
            yield warn(name, past, Said("checks.advice.fetch-next-crl"))
        else:
            yield ok(name, Said("checks.found.next-crl", {"at": f"{due:%Y-%m-%d %H:%M} UTC"}))


def _certificate(config: Config, purpose: Purpose) -> bytes:
    return load_certificate(config.keys.folder / f"{purpose}.pem")
