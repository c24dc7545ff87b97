-- Lists by organisation, type and period that cost the same at any age of the record, and what
-- finds packets by what is in them (requirements R-33.4, R-4.5).

-- Lists show documents: two packets of three are receipts and closings, which stand with what they
-- answer. So these indexes leave answers out, and an insert of one costs nothing here.
DROP INDEX packet_recipient, packet_type, packet_period;

-- The routes of an organisation (whom it sends what) are few, and each is in order of time.
CREATE INDEX packet_from ON packet (sender, recipient, type, frame)
    WHERE type NOT IN ('receipt/1', 'closing/1');
CREATE INDEX packet_to ON packet (recipient, sender, type, frame)
    WHERE type NOT IN ('receipt/1', 'closing/1');
-- All reports of one period and type: as many as organisations report, whatever came since.
CREATE INDEX packet_reports ON packet (period, type, sender, recipient, frame)
    WHERE type NOT IN ('receipt/1', 'closing/1') AND period IS NOT NULL;
CREATE INDEX packet_documents ON packet (type, frame)
    WHERE type NOT IN ('receipt/1', 'closing/1');

-- Packets that came to a bad end: few, and what a list by state or reason looks for.
CREATE INDEX leaf_bad_end ON leaf (frame)
    WHERE kind IN ('refused', 'expired')
        OR kind = 'confirmed' AND position('\x0a766572646963742072656675736564'::bytea IN record) > 0;

-- What is in documents delivered here: keyed digests of the persons and bodies that they are about,
-- and of the words of their permitted fields. The key follows from that of the bucket, so a row
-- tells nothing without it, and goes with its bucket. Derived: `bbaj store rebuild` empties it, and
-- the daemon fills it again. Each partition stands beside that of `payload`.
CREATE TABLE finding (
    frame    bigint NOT NULL,
    bucket   text COLLATE "C" NOT NULL,
    subjects bigint[] NOT NULL,
    words    bigint[] NOT NULL,
    PRIMARY KEY (bucket, frame)
) PARTITION BY LIST (bucket);
CREATE INDEX finding_subjects ON finding USING gin (subjects);
CREATE INDEX finding_words ON finding USING gin (words);

DO $$
DECLARE bucket text;
BEGIN
    FOR bucket IN
        SELECT substr(c.relname, length('payload_') + 1)
        FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'payload'::regclass
    LOOP
        EXECUTE format('CREATE TABLE %I PARTITION OF finding FOR VALUES IN (%L)',
                       'finding_' || bucket, bucket);
    END LOOP;
END
$$;

-- Up to which frame documents are in `finding`, and up to which leaf those whose payload was moved to
-- another bucket; one row.
CREATE TABLE finding_cursor (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    frame    bigint NOT NULL,
    leaf     bigint NOT NULL
);
INSERT INTO finding_cursor (frame, leaf) VALUES (0, -1);
