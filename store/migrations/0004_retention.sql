-- How long payloads are kept, and how they are destroyed (protocol clauses 22, 23).

-- ==== Retention (clause 22) ====================================================================

-- Makes a bucket's partitions, as the owner, for a daemon that owns nothing. Returns false where
-- they stand, and null where the bucket was destroyed: it never comes back. Attached, not created in
-- place: that would wait for every reader, and they for it. The lock is that of whoever migrates.
CREATE FUNCTION make_bucket(wanted text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE parent text;
BEGIN
    IF wanted !~ '^[A-Z][A-Z0-9]{0,7}-[12][0-9]{3}-(0[1-9]|1[0-2])(-[0-9]{1,4})?(-h[0-9]{1,4})?$'
    THEN
        RAISE EXCEPTION 'no bucket name: %', quote_literal(left(wanted, 80))
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(1650614635);
    IF EXISTS (SELECT FROM destroyed WHERE bucket = wanted) THEN
        RETURN NULL;
    END IF;
    IF to_regclass(format('%I', 'payload_' || wanted)) IS NOT NULL THEN
        RETURN false;
    END IF;
    FOREACH parent IN ARRAY ARRAY['payload', 'finding'] LOOP
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING STORAGE, CHECK (bucket = %L))',
                       parent || '_' || wanted, parent, wanted);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%L)',
                       parent, parent || '_' || wanted, wanted);
    END LOOP;
    EXECUTE format('CREATE TRIGGER never_truncated BEFORE TRUNCATE ON %I '
                   'FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()', 'payload_' || wanted);
    RETURN true;
END
$$;

-- Legal holds. Of packet, organisation and period, all that are given must fit.
CREATE TABLE legal_hold (
    number       bigint PRIMARY KEY CHECK (number > 0),
    at           bigint NOT NULL,
    who          text COLLATE "C" NOT NULL,
    packet       text COLLATE "C",
    organisation text COLLATE "C",
    below        boolean NOT NULL,
    period       text COLLATE "C",
    dispute      text COLLATE "C",
    CHECK (num_nonnulls(packet, organisation, period) > 0)
);

CREATE TABLE legal_hold_lifted (
    number bigint PRIMARY KEY REFERENCES legal_hold,
    at     bigint NOT NULL,
    who    text COLLATE "C" NOT NULL
);
-- Finds the leaves that say so.
CREATE INDEX leaf_legal_hold ON leaf (kind, index) WHERE kind = 'legal-hold';
CALL make_insert_only('legal_hold');
CALL make_insert_only('legal_hold_lifted');

CREATE FUNCTION active_holds() RETURNS SETOF legal_hold LANGUAGE sql STABLE AS $$
    SELECT * FROM legal_hold AS h
    WHERE NOT EXISTS (SELECT FROM legal_hold_lifted AS l WHERE l.number = h.number)
$$;

-- The first and the last day of a period (clause 4), as text that sorts like days.
CREATE FUNCTION period_first(period text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN substr(period, 6, 1) = 'Q'
        THEN substr(period, 1, 5) || lpad((3 * substr(period, 7, 1)::integer - 2)::text, 2, '0') || '-01'
        ELSE period || substr('-01-01', length(period) - 3) END
$$;
CREATE FUNCTION period_last(period text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN substr(period, 6, 1) = 'Q'
        THEN substr(period, 1, 5) || lpad((3 * substr(period, 7, 1)::integer)::text, 2, '0') || '-31'
        ELSE period || substr('-12-31', length(period) - 3) END
$$;
CREATE FUNCTION day_of(moment bigint) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(to_timestamp(moment / 1000000) AT TIME ZONE 'UTC', 'YYYY-MM-DD')
$$;

-- Says whether a hold covers a frame: null or false where it does not. `about` is the packet that it
-- is about, by way of what it answers. What names no period counts by the day it was received.
CREATE FUNCTION hold_covers(
    hold legal_hold, id text, re text, about text, sender text, recipient text, period text,
    received bigint
) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT ((hold).packet IS NULL OR (hold).packet IN (id, re, about))
        AND ((hold).organisation IS NULL OR (hold).organisation IN (sender, recipient)
            OR (hold).below AND (starts_with(sender, (hold).organisation || '.')
                OR starts_with(recipient, (hold).organisation || '.')))
        AND ((hold).period IS NULL
            OR period_first(COALESCE(period, day_of(received))) <= period_last((hold).period)
                AND period_last(COALESCE(period, day_of(received))) >= period_first((hold).period))
$$;

-- Which frames of a bucket are held, each by which holds. Reads nothing where there is no hold, and
-- for a packet's hold only that packet and its answers; else the bucket's rows.
CREATE FUNCTION held_frames(wanted text) RETURNS TABLE (frame bigint, hold bigint)
LANGUAGE plpgsql STABLE SET enable_seqscan = on SET enable_hashjoin = on AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM active_holds()) THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format($query$
        WITH about AS MATERIALIZED (
            SELECT p.frame, h.packet FROM active_holds() AS h JOIN packet AS p ON p.id = h.packet
            UNION
            SELECT p.frame, h.packet FROM active_holds() AS h JOIN packet AS p ON p.re = h.packet
            UNION
            SELECT p.frame, h.packet FROM active_holds() AS h JOIN packet AS r ON r.re = h.packet
            JOIN packet AS p ON p.re = r.id
        )
        SELECT p.frame, h.number FROM about AS a
        JOIN payload AS l ON l.bucket = %1$L AND l.frame = a.frame
        JOIN packet AS p ON p.frame = a.frame
        JOIN active_holds() AS h ON h.packet = a.packet AND hold_covers(
            h, p.id, p.re, a.packet, p.sender, p.recipient, p.period, p.received)
        UNION
        SELECT p.frame, h.number FROM payload AS l JOIN packet AS p ON p.frame = l.frame
        JOIN active_holds() AS h ON h.packet IS NULL AND hold_covers(
            h, p.id, p.re, NULL, p.sender, p.recipient, p.period, p.received)
        WHERE l.bucket = %1$L
        UNION
        SELECT q.frame, h.number FROM payload AS l JOIN quarantine AS q ON q.frame = l.frame
        JOIN active_holds() AS h ON hold_covers(
            h, q.id, NULL, NULL, COALESCE(q.sender, q.neighbour), q.recipient, NULL, q.received)
        WHERE l.bucket = %1$L
    $query$, wanted);
END
$$;

-- The same for some frames, whichever buckets they lie in.
CREATE FUNCTION holds_on(frames bigint[]) RETURNS TABLE (frame bigint, hold bigint)
LANGUAGE sql STABLE AS $$
    SELECT p.frame, h.number FROM packet AS p
    LEFT JOIN LATERAL (SELECT r.re FROM packet AS r WHERE r.id = p.re LIMIT 1) AS r ON true
    JOIN active_holds() AS h ON hold_covers(
        h, p.id, p.re, r.re, p.sender, p.recipient, p.period, p.received)
    WHERE p.frame = ANY (frames)
    UNION
    SELECT q.frame, h.number FROM quarantine AS q JOIN active_holds() AS h ON hold_covers(
        h, q.id, NULL, NULL, COALESCE(q.sender, q.neighbour), q.recipient, NULL, q.received)
    WHERE q.frame = ANY (frames)
$$;

-- ==== Destruction (clause 23) ==================================================================

-- Buckets that were destroyed, and under which act. Once this row stands, key and partition go.
CREATE TABLE destroyed (
    bucket        text COLLATE "C" PRIMARY KEY,
    at            bigint NOT NULL,
    act           text COLLATE "C" NOT NULL UNIQUE,
    proposal      text COLLATE "C" NOT NULL,
    packets       bigint NOT NULL CHECK (packets > 0),
    size          bigint NOT NULL CHECK (size >= 0),
    frames_sha256 bytea NOT NULL CHECK (octet_length(frames_sha256) = 32)
);
-- Finds the leaves that say so, and those of packets moved before.
CREATE INDEX leaf_destroyed ON leaf (kind, index) WHERE kind IN ('destroyed', 'moved');
CALL make_insert_only('destroyed');

-- Drops the partitions of a bucket that was destroyed, as the owner, for a daemon that owns nothing.
-- Returns false where they are gone. It waits a moment for readers, who wait behind it meanwhile;
-- whoever calls it comes again.
CREATE FUNCTION drop_bucket(unwanted text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET lock_timeout = '50ms' AS $$
DECLARE
    parent text;
    dropped boolean := false;
BEGIN
    IF NOT EXISTS (SELECT FROM destroyed WHERE bucket = unwanted) THEN
        RAISE EXCEPTION 'no act destroys bucket %', quote_literal(left(unwanted, 80))
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    FOREACH parent IN ARRAY ARRAY['payload', 'finding'] LOOP
        IF to_regclass(format('%I', parent || '_' || unwanted)) IS NOT NULL THEN
            EXECUTE format('DROP TABLE %I', parent || '_' || unwanted);
            dropped := true;
        END IF;
    END LOOP;
    RETURN dropped;
END
$$;
