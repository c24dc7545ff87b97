"""The record in PostgreSQL; asyncpg is imported here and nowhere else.

session (connections, error table) <- access (pool) <- reader <- desk <- archive (sequencer)
"""

from store.postgres.archive import PostgresArchive
from store.postgres.desk import Desk
from store.postgres.reader import Reader

__all__ = ["Desk", "PostgresArchive", "Reader"]
