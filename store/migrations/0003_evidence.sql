-- Who vouches for the journal, and what makes its proofs outlive keys (protocol clauses 18, 19).

-- The newest checkpoints that neighbours have shown us of their journals, each proven to extend
-- the one before.
CREATE TABLE witnessed (
    origin  text COLLATE "C" NOT NULL,
    size    bigint NOT NULL CHECK (size >= 0),
    root    bytea NOT NULL,
    at      bigint NOT NULL,
    note    text COLLATE "C" NOT NULL,
    address text COLLATE "C" NOT NULL,
    PRIMARY KEY (origin, size)
);
CREATE INDEX witnessed_address ON witnessed (address, at);

-- Cosignatures of our own checkpoints.
CREATE TABLE cosignature (
    epoch   bigint NOT NULL,
    size    bigint NOT NULL,
    witness text COLLATE "C" NOT NULL,
    at      bigint NOT NULL,
    lines   text COLLATE "C" NOT NULL,
    object  bytea NOT NULL,
    PRIMARY KEY (epoch, size, witness)
);
CREATE INDEX cosignature_witness ON cosignature (epoch, witness, size);

-- Heads of the logs of what authorities have issued, each with one witness's line.
CREATE TABLE issued_cosignature (
    authority   text COLLATE "C" NOT NULL,
    size        bigint NOT NULL CHECK (size > 0),
    witness     text COLLATE "C" NOT NULL,
    at          bigint NOT NULL,
    note        text COLLATE "C" NOT NULL,
    journal     text COLLATE "C" NOT NULL,
    certificate text COLLATE "C" NOT NULL,
    PRIMARY KEY (authority, witness, size)
);

-- RFC 3161 time-stamps over whole cosigned checkpoints of ours.
CREATE TABLE timestamp_token (
    sha256    bytea PRIMARY KEY,
    authority text COLLATE "C" NOT NULL,
    size      bigint NOT NULL,
    note      text COLLATE "C" NOT NULL,
    gen_time  bigint NOT NULL,
    at        bigint NOT NULL,
    token     bytea NOT NULL
);
CREATE INDEX timestamp_token_size ON timestamp_token (size);
CREATE INDEX timestamp_token_authority ON timestamp_token (authority, size, gen_time);

-- Heads of the second log, which renews the hash (SHA-512), each with its time-stamp.
CREATE TABLE renewal_token (
    sha256    bytea PRIMARY KEY,
    authority text COLLATE "C" NOT NULL,
    size      bigint NOT NULL,
    note      text COLLATE "C" NOT NULL,
    gen_time  bigint NOT NULL,
    at        bigint NOT NULL,
    token     bytea NOT NULL
);
CREATE INDEX renewal_token_size ON renewal_token (size);

-- Full tiles of the second log's tree, but for the leaves' own hashes.
CREATE TABLE renewed_tile (
    level  smallint NOT NULL CHECK (level > 0),
    index  bigint NOT NULL,
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 16384),
    PRIMARY KEY (level, index)
);

-- Each version of each policy that this node decides by.
CREATE TABLE policy (
    sha256  bytea NOT NULL,
    name    text COLLATE "C" NOT NULL,
    content bytea NOT NULL,
    learned bigint NOT NULL,
    PRIMARY KEY (sha256, name)
);

-- Neighbours below us that have lost the end of their journal, and ask for a new epoch.
CREATE TABLE recovery (
    sha256   bytea PRIMARY KEY,
    address  text COLLATE "C" NOT NULL,
    of_epoch bigint NOT NULL,
    leaves   bigint NOT NULL,
    asked    bigint NOT NULL,
    object   bytea NOT NULL
);
CREATE INDEX recovery_address ON recovery (address, asked);

-- Neighbours that have brought back what we had sent them in an epoch that lost its end.
CREATE TABLE returned (
    stream text COLLATE "C" NOT NULL,
    epoch  bigint NOT NULL,
    last   bigint NOT NULL,
    at     bigint NOT NULL,
    object bytea NOT NULL,
    PRIMARY KEY (stream, epoch)
);

-- What the nodes on a packet's way have told us of it, each a signed statement.
CREATE TABLE tracked (
    sha256       bytea PRIMARY KEY,
    sender       text COLLATE "C" NOT NULL,
    packet_epoch bigint NOT NULL,
    packet       text COLLATE "C" NOT NULL,
    issuer       text COLLATE "C" NOT NULL,
    at           bigint NOT NULL,
    object       bytea NOT NULL
);
CREATE INDEX tracked_packet ON tracked (packet, at);

-- Finds the leaves that bind a certificate, a list, a token or a policy.
CREATE INDEX leaf_binding ON leaf (kind, index)
WHERE kind IN ('certificate', 'crl', 'timestamp', 'renewal', 'policy', 'epoch');

ALTER TABLE tracked ALTER COLUMN object SET STORAGE EXTERNAL;
ALTER TABLE cosignature ALTER COLUMN object SET STORAGE EXTERNAL;
ALTER TABLE timestamp_token ALTER COLUMN token SET STORAGE EXTERNAL;
ALTER TABLE renewal_token ALTER COLUMN token SET STORAGE EXTERNAL;
ALTER TABLE renewed_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'witnessed', 'cosignature', 'issued_cosignature', 'timestamp_token', 'renewal_token', 'renewed_tile', 'policy', 'recovery', 'returned',
        'tracked'
    ] LOOP
        CALL make_insert_only(name::regclass);
    END LOOP;
END
$$;
