-- The record, insert-only but for three derived tables (docs/protocol.md; design section 9).
--
-- Column order is field order in schemas/records.py; a column added there comes last here.
-- Instants are microseconds since 1970 by the node's clock, never now(). Text sorts by byte.
-- Insert-only is held twice: by grants (store/migrate.py) and by the triggers made below.

-- Refuses what would change or remove a row of the record.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'table % is insert-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END
$$;

-- Makes a table insert-only, for its owner and for superusers too.
CREATE PROCEDURE make_insert_only(name regclass) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TRIGGER insert_only BEFORE UPDATE OR DELETE ON %s '
                   'FOR EACH ROW EXECUTE FUNCTION refuse_change()', name);
    EXECUTE format('CREATE TRIGGER never_truncated BEFORE TRUNCATE ON %s '
                   'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', name);
END
$$;

-- Whose record this is; one row for each epoch, the highest is running.
CREATE TABLE identity (
    epoch   bigint PRIMARY KEY CHECK (epoch > 0),
    address text COLLATE "C" NOT NULL
);

-- Heads of packets whose signature and payload digest have held. They stay.
CREATE TABLE packet (
    frame        bigint PRIMARY KEY CHECK (frame > 0),
    id           text COLLATE "C" NOT NULL,
    sender       text COLLATE "C" NOT NULL,
    recipient    text COLLATE "C" NOT NULL,
    epoch        bigint NOT NULL,
    seq          bigint,
    type         text COLLATE "C" NOT NULL,
    section      text COLLATE "C" NOT NULL,
    class        text COLLATE "C" NOT NULL,
    flow         text COLLATE "C" NOT NULL,
    period       text COLLATE "C",
    re           text COLLATE "C",
    sent         bigint NOT NULL,
    received     bigint NOT NULL,
    via          text COLLATE "C" NOT NULL,
    size         bigint NOT NULL,
    head_sha256  bytea NOT NULL,
    frame_sha256 bytea NOT NULL,
    head         bytea NOT NULL,
    media_type   text COLLATE "C" NOT NULL,
    coding       text COLLATE "C" NOT NULL
);
-- A packet's name; the id leads, because it rises with time and keeps inserts at one end.
CREATE UNIQUE INDEX packet_name ON packet (id, sender, epoch);
CREATE UNIQUE INDEX packet_seq ON packet (sender, recipient, epoch, seq) WHERE seq IS NOT NULL;
CREATE INDEX packet_re ON packet (re) WHERE re IS NOT NULL;
-- For lists: by recipient, by type and period, by period, by time of receipt.
CREATE INDEX packet_recipient ON packet (recipient, frame);
CREATE INDEX packet_type ON packet (type, period, frame);
CREATE INDEX packet_period ON packet (period, frame) WHERE period IS NOT NULL;
CREATE INDEX packet_received ON packet USING brin (received);

-- Payloads, encrypted; one partition for each bucket (retention class and month of receipt).
-- Destruction is the drop of a partition. There is no default partition, on purpose.
CREATE TABLE payload (
    frame  bigint NOT NULL,
    bucket text COLLATE "C" NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (bucket, frame)
) PARTITION BY LIST (bucket);

-- Which bucket a frame's payload was put into: found without looking into every partition,
-- and known after the partition is gone. Written with each payload.
CREATE TABLE kept (
    frame  bigint NOT NULL,
    bucket text COLLATE "C" NOT NULL,
    PRIMARY KEY (frame, bucket)
);

-- The journal. `record` is what is hashed.
CREATE TABLE leaf (
    index  bigint PRIMARY KEY CHECK (index >= 0),
    kind   text COLLATE "C" NOT NULL,
    frame  bigint,
    record bytea NOT NULL
);
CREATE INDEX leaf_frame ON leaf (frame, index) WHERE frame IS NOT NULL;

-- Full tiles of the journal's tree (C2SP tlog-tiles, 256 hashes each).
CREATE TABLE tile (
    level  smallint NOT NULL,
    index  bigint NOT NULL,
    hashes bytea NOT NULL CHECK (octet_length(hashes) = 8192),
    PRIMARY KEY (level, index)
);

-- Outgoing streams: what a neighbour or a local system is to get, numbered 1, 2, 3 ...
CREATE TABLE entry (
    stream text COLLATE "C" NOT NULL,
    epoch  bigint NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    frame  bigint,
    object bytea,
    sha256 bytea NOT NULL,
    chain  bytea NOT NULL,
    size   bigint NOT NULL,
    placed bigint NOT NULL,
    PRIMARY KEY (stream, epoch, number),
    CHECK ((frame IS NULL) <> (object IS NULL))
);
CREATE INDEX entry_frame ON entry (frame) WHERE frame IS NOT NULL;

-- Incoming streams: entries `first` to `last` were taken.
CREATE TABLE intake (
    stream text COLLATE "C" NOT NULL,
    epoch  bigint NOT NULL,
    first  bigint NOT NULL CHECK (first > 0),
    last   bigint NOT NULL CHECK (last >= first),
    chain  bytea NOT NULL,
    taken  bigint NOT NULL,
    PRIMARY KEY (stream, epoch, last),
    UNIQUE (stream, epoch, first)
);

-- Custody notes and broker confirms; the newest of a stream is its cursor. `place` orders them
-- (one session writes, so it rises with time; gaps mean nothing).
CREATE TABLE note (
    stream text COLLATE "C" NOT NULL,
    epoch  bigint NOT NULL,
    up_to  bigint NOT NULL CHECK (up_to >= 0),
    noted  bigint NOT NULL,
    object bytea,
    place  bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (stream, epoch, place)
);
-- Finds the note that first covered an entry.
CREATE INDEX note_up_to ON note (stream, epoch, up_to, place);

-- Frames refused, held (now or once) or of an incident; `held`, then `refused`, are two rows.
CREATE TABLE quarantine (
    frame     bigint NOT NULL CHECK (frame > 0),
    sha256    bytea NOT NULL,
    state     text COLLATE "C" NOT NULL CHECK (state IN ('refused', 'held', 'incident')),
    reason    text COLLATE "C" NOT NULL,
    detail    text COLLATE "C" NOT NULL,
    neighbour text COLLATE "C" NOT NULL,
    received  bigint NOT NULL,
    size      bigint NOT NULL,
    kept      boolean NOT NULL,
    id        text COLLATE "C",
    sender    text COLLATE "C",
    recipient text COLLATE "C",
    PRIMARY KEY (frame, state)
);
CREATE INDEX quarantine_sha256 ON quarantine (sha256);
CREATE INDEX quarantine_id ON quarantine (id) WHERE id IS NOT NULL;

-- What an operator must look at.
CREATE TABLE incident (
    happened  bigint NOT NULL,
    kind      text COLLATE "C" NOT NULL,
    neighbour text COLLATE "C" NOT NULL,
    detail    text COLLATE "C" NOT NULL,
    frame     bigint,
    place     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

CREATE TABLE certificate (
    sha256  bytea PRIMARY KEY,
    der     bytea NOT NULL,
    learned bigint NOT NULL
);

CREATE TABLE crl (
    sha256  bytea PRIMARY KEY,
    issuer  text COLLATE "C" NOT NULL,
    number  numeric(60) NOT NULL,
    der     bytea NOT NULL,
    learned bigint NOT NULL
);
CREATE INDEX crl_newest ON crl (issuer, number);

-- Signed heads of the journal.
CREATE TABLE checkpoint (
    size bigint PRIMARY KEY,
    at   bigint NOT NULL,
    note text COLLATE "C" NOT NULL
);

-- What became of each drop.
CREATE TABLE drop_outcome (
    system  text COLLATE "C" NOT NULL,
    drop_id text COLLATE "C" NOT NULL,
    frame   bigint,
    fault   text,
    decided bigint NOT NULL,
    PRIMARY KEY (system, drop_id),
    CHECK ((frame IS NULL) <> (fault IS NULL))
);
CREATE INDEX drop_outcome_frame ON drop_outcome (frame) WHERE frame IS NOT NULL;

-- Documents released to a local system's inbox, and those it took by command.
CREATE TABLE released (
    frame    bigint PRIMARY KEY,
    system   text COLLATE "C" NOT NULL,
    released bigint NOT NULL
);
CREATE INDEX released_system ON released (system, frame);

CREATE TABLE taken (
    frame bigint PRIMARY KEY,
    at    bigint NOT NULL,
    by    text COLLATE "C" NOT NULL
);

-- Links suspended and lifted by operators or by the node.
CREATE TABLE link_mark (
    neighbour text COLLATE "C" NOT NULL,
    at        bigint NOT NULL,
    action    text COLLATE "C" NOT NULL,
    why       text NOT NULL,
    place     bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (neighbour, place)
);

-- Signatures, digests and encrypted bytes do not compress: no attempt is made.
ALTER TABLE packet ALTER COLUMN head SET STORAGE EXTERNAL;
ALTER TABLE payload ALTER COLUMN sealed SET STORAGE EXTERNAL;
ALTER TABLE tile ALTER COLUMN hashes SET STORAGE EXTERNAL;
ALTER TABLE entry ALTER COLUMN object SET STORAGE EXTERNAL;
ALTER TABLE note ALTER COLUMN object SET STORAGE EXTERNAL;

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'identity', 'packet', 'payload', 'kept', 'leaf', 'tile', 'entry', 'intake', 'note',
        'quarantine', 'incident', 'certificate', 'crl', 'checkpoint', 'drop_outcome', 'released',
        'taken', 'link_mark'
    ] LOOP
        CALL make_insert_only(name::regclass);
    END LOOP;
END
$$;

-- The three derived tables: what is not finished yet. `bbaj store rebuild` makes the first two
-- again. Their rows change often, so they are vacuumed early and leave room on their pages.

CREATE TABLE open_exchange (
    frame    bigint PRIMARY KEY,
    about    bigint NOT NULL,
    awaited  text COLLATE "C" NOT NULL CHECK (awaited IN ('receipt', 'closing', 'room')),
    since    bigint NOT NULL,
    next_at  bigint NOT NULL,
    attempts integer NOT NULL,
    deadline bigint
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.05);
CREATE INDEX open_exchange_about ON open_exchange (about);
CREATE INDEX open_exchange_due ON open_exchange (LEAST(next_at, deadline));

CREATE TABLE held_open (
    frame       bigint PRIMARY KEY,
    neighbour   text COLLATE "C" NOT NULL,
    missing     text COLLATE "C" NOT NULL,
    certificate text COLLATE "C" NOT NULL,
    since       bigint NOT NULL,
    lane        text COLLATE "C" NOT NULL,
    epoch       bigint NOT NULL,
    number      bigint NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05,
        autovacuum_analyze_scale_factor = 0.05);

CREATE TABLE drop_pending (
    system     text COLLATE "C" NOT NULL,
    drop_id    text COLLATE "C" NOT NULL,
    dropped    bigint NOT NULL,
    type       text COLLATE "C" NOT NULL,
    recipient  text COLLATE "C" NOT NULL,
    section    text COLLATE "C",
    period     text COLLATE "C",
    title      text,
    re         text COLLATE "C",
    media_type text COLLATE "C",
    bucket     text COLLATE "C" NOT NULL,
    sealed     bytea NOT NULL,
    PRIMARY KEY (system, drop_id)
);
CREATE INDEX drop_pending_oldest ON drop_pending (dropped);
ALTER TABLE drop_pending ALTER COLUMN sealed SET STORAGE EXTERNAL;
