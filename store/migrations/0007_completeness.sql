-- What lets a stream be compared number by number (protocol clause 24).

-- The SHA-256 of each entry of an intake, one behind the other; NULL where an older program took it.
ALTER TABLE intake ADD COLUMN digests bytea CHECK (octet_length(digests) = 32 * (last - first + 1));
ALTER TABLE intake ALTER COLUMN digests SET STORAGE EXTERNAL;
