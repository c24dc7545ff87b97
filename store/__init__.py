"""The record: PostgreSQL adapter, journal tree, migrations. Sees no key; imports schemas only."""
