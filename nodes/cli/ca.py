"""`bbaj ca`: the network's certificate authorities, kept in a folder of files.

    FOLDER/
      root.pem  root.key  root.json                    the root; take root.key off line
      authorities/<address>/{cert.pem,key.pem,index.json}
      crls/root.pem  crls/<address>.pem                current revocation lists
      genesis.txt  genesis.sig                         what the network began with
      nodes/<address>/{packet,journal,link}.{pem,key}  and witness.{pem,key} with children,
                      encryption.key  keys.statement  authority.pem  root.pem
      cards/<address>.{card,pem}                       what parents vouch for, to begin with

The work is done by `nodes.ceremony`; here words become calls and results become text.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nodes.ceremony import Ceremony
    from nodes.said import Said
    from schemas.codes import Tier
    from schemas.errors import Fatal
    from schemas.moments import Instant

app = typer.Typer(
    name="ca",
    help="Issue and revoke the network's certificates, in a folder of files.",
    no_args_is_help=True,
)

Folder = Annotated[Path, typer.Argument(help="The authorities' folder.")]
Address = Annotated[str, typer.Argument(help="An address, like kz.akmola.burabay.")]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the passphrase of root and authority keys; without it they have none."
    ),
]
NodePassphraseFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the passphrase of the node's own keys; without it they have none."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def init(folder: Folder, passphrase_file: PassphraseFile = None, json: Json = False) -> None:
    """Make the root of a new network."""
    with _reported(json):
        files = _files(folder, passphrase_file)
        path = files.init_root(_now())
        _show(json, [path], _unencrypted(passphrase_file, "root.key"))


@app.command()
def authority(
    folder: Folder,
    address: Address,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Revoke the authority there is, whose key is lost or stolen."
        ),
    ] = False,
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Make the issuing authority of an address's subtree."""
    with _reported(json):
        files = _files(folder, passphrase_file)
        make = files.replace_authority if replace else files.issue_authority
        path = make(address, _now())
        _show(json, [path], _unencrypted(passphrase_file, _say("ca.authority-key")))


@app.command()
def hand_over(
    folder: Folder,
    address: Address,
    passphrase_file: PassphraseFile = None,
    node_passphrase_file: NodePassphraseFile = None,
    json: Json = False,
) -> None:
    """Put an authority on line: its key goes into the folder of its node."""
    with _reported(json):
        files, own = _files(folder, passphrase_file), _read(node_passphrase_file)
        path = files.hand_over(address, own)
        _show(json, [path], _unencrypted(node_passphrase_file, _say("ca.authority-key")))


@app.command()
def genesis(folder: Folder, passphrase_file: PassphraseFile = None, json: Json = False) -> None:
    """Write which certificates the network began with, signed by the root."""
    with _reported(json):
        path = _files(folder, passphrase_file).write_genesis()
        _show(json, [path, path.with_suffix(".sig")], [])


@app.command()
def node(
    folder: Folder,
    address: Address,
    with_children: Annotated[bool, typer.Option(help="Add a witness key.")] = False,
    tier: Annotated[
        str | None,
        typer.Option(help="republic, oblast, city, district or school; else as deep as it lies."),
    ] = None,
    passphrase_file: PassphraseFile = None,
    node_passphrase_file: NodePassphraseFile = None,
    json: Json = False,
) -> None:
    """Make a node's keys and certificates, and its card where its parent's key lies here."""
    with _reported(json):
        files, own = _files(folder, passphrase_file), _read(node_passphrase_file)
        path = files.issue_node(address, _now(), with_children, own, _tier(tier))
        notes = _unencrypted(node_passphrase_file, _say("ca.node-keys"))
        _show(json, [path], [*notes, *_without_card(folder, address)])


@app.command()
def revoke(
    folder: Folder,
    what: Annotated[str, typer.Argument(help="A node's address, or a certificate's SHA-256.")],
    reason: Annotated[str, typer.Option(help="Why, as RFC 5280 names it.")] = "unspecified",
    passphrase_file: PassphraseFile = None,
    json: Json = False,
) -> None:
    """Revoke a node's certificates, or one certificate, and write the new lists."""
    with _reported(json):
        files, now = _files(folder, passphrase_file), _now()
        revoked = files.revoke(what, reason, now)
        notes = [
            _say(
                "ca.revoked",
                address=each.address,
                purpose=each.purpose,
                fingerprint=each.fingerprint,
            )
            for each in revoked
        ]
        _show(json, files.write_crls(now), [*notes, *_without_root(folder)])


@app.command()
def crl(folder: Folder, passphrase_file: PassphraseFile = None, json: Json = False) -> None:
    """Write the next revocation list of every authority, and of the root where its key is here."""
    with _reported(json):
        written = _files(folder, passphrase_file).write_crls(_now())
        _show(json, written, _without_root(folder))


def _files(folder: Path, passphrase_file: Path | None) -> "Ceremony":
    from nodes.ceremony import Ceremony  # noqa: PLC0415 - keeps the command quick

    return Ceremony(folder, _read(passphrase_file))


def _now() -> "Instant":
    from nodes.clock import now  # noqa: PLC0415 - keeps the command quick

    return now()


def _read(passphrase_file: Path | None) -> bytes | None:
    """Return the passphrase in a file of mode 0600."""
    from nodes.passphrases import read_passphrase_file  # noqa: PLC0415 - keeps the command quick

    return None if passphrase_file is None else read_passphrase_file(passphrase_file)


def _say(key: str, **facts: object) -> "Said":
    from nodes.said import Said  # noqa: PLC0415 - keeps the command quick

    return Said(key, facts)


def _unencrypted(passphrase_file: Path | None, what: str) -> list[str]:
    return [] if passphrase_file else [_say("ca.unencrypted", what=what)]


def _tier(text: str | None) -> "Tier | None":
    from schemas.codes import Tier  # noqa: PLC0415 - keeps the command quick
    from signing.errors import IssueError  # noqa: PLC0415

    if text is None:
        return None
    if text not in set(Tier):
        raise IssueError(f"--tier {text} is unknown: use one of {', '.join(Tier)}")
    return Tier(text)


def _without_card(folder: Path, address: str) -> list[str]:
    missing = not (folder / "cards" / f"{address}.card").exists()
    return [_say("ca.no-card")] if missing else []


def _without_root(folder: Path) -> list[str]:
    missing = not (folder / "root.key").exists()
    return [_say("ca.no-root")] if missing else []


def _show(json: bool, paths: list[Path], notes: list[str]) -> None:
    import msgspec  # noqa: PLC0415 - keeps the command quick

    from nodes.said import spoken  # noqa: PLC0415

    if json:
        shown = {"written": [str(path) for path in paths], "notes": [str(note) for note in notes]}
        typer.echo(msgspec.json.encode(shown).decode())
        return
    for path in paths:
        typer.echo(path)
    for note in notes:
        typer.echo(spoken(note), err=True)


@contextmanager
def _reported(json: bool) -> Iterator[None]:
    """Turn an error of ours into its message and its exit code."""
    from schemas.errors import Fatal  # noqa: PLC0415 - keeps the command quick

    try:
        yield
    except Fatal as error:
        typer.echo(_told(error, json=json), err=True)
        raise typer.Exit(error.exit_code) from error


def _told(error: "Fatal", *, json: bool) -> str:
    """Return an error as it is printed: in another language than English with what it means."""
    import msgspec  # noqa: PLC0415 - keeps the command quick

    from nodes.cli.exits import exit_of  # noqa: PLC0415
    from nodes.cli.failures import explained  # noqa: PLC0415

    if json:
        return msgspec.json.encode({"error": str(error)}).decode()
    return "\n".join([f"error: {error}", *explained(exit_of(error.exit_code))])
