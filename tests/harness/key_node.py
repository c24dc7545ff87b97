"""A node's files without a node: keys under a passphrase, and a configuration that names them."""

from pathlib import Path

from nodes.authority_files import AuthorityFiles
from nodes.clock import now
from nodes.config import Config, load_config

PASSPHRASE = "battery-staple-7741"
ADDRESS = "kz.akmola"


def make_key_node(folder: Path, address: str = ADDRESS, more: str = "") -> Path:
    """Write everything of a node but its services; return its configuration file."""
    authority = AuthorityFiles(folder / "ca")
    authority.init_root(now())
    authority.issue_authority("kz", now())
    keys = authority.issue_node(address, now(), passphrase=PASSPHRASE.encode())
    (folder / "known").mkdir()
    secret = folder / "keys.passphrase"
    secret.touch(mode=0o600)
    secret.write_text(f"{PASSPHRASE}\n", encoding="ascii")
    config = folder / "node.toml"
    config.write_text(
        f"""
address = "{address}"
data = "{folder / "data"}"

[keys]
folder = "{keys}"
root = "{keys / "root.pem"}"
authorities = "{folder / "known"}"
crls = "{folder / "ca" / "crls"}"
passphrase_file = "{secret}"

[database]
url = "postgresql://nobody@127.0.0.1:1/none"

[parent]
urls = ["amqps://127.0.0.1:1"]

[http]
port = 0
{more}""",
        encoding="utf-8",
    )
    return config


def config_of(path: Path) -> Config:
    """Return the configuration in a file."""
    return load_config(path)
