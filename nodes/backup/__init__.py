"""Backups: made beside the daemon, proven by restoring them, and brought back.

    DIR/kz.akmola-20261123T021500Z/
      manifest.json  manifest.p7s    what it is, sealed with the packet key
      signer.pem  authority.pem      whose it is
      SHA256SUMS                     of every other file
      database/                      `pg_dump --format=directory`
      configuration/                 node.toml without passwords, and the public files that it names
      checkpoint.note  cosigned.note the newest signed head of the journal, the newest cosigned one

    KEYS/
      at-rest.escrow  encryption.escrow    one of each, under a passphrase, always the newest

Signing keys are in neither: who has lost them asks for new ones. Nor is the last signed size, which
must tell that a backup is older than what was signed (protocol 18.4).
"""
