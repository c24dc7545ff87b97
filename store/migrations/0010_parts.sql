-- Files in parts (docs/protocol.md 5.10).

-- Which packet is which part: `of` is the id of the manifest. Derived from heads, which stay.
CREATE TABLE part (
    frame  bigint PRIMARY KEY,
    sender text COLLATE "C" NOT NULL,
    epoch  bigint NOT NULL,
    of     text COLLATE "C" NOT NULL,
    number bigint NOT NULL CHECK (number > 0),
    UNIQUE (of, sender, epoch, number)
);
CALL make_insert_only('part');

-- A document with `parts` is a manifest; its parts wait beside it until they are sealed, one by one.
ALTER TABLE drop_pending ADD COLUMN parts bigint;
CREATE TABLE drop_part (
    system  text COLLATE "C" NOT NULL,
    drop_id text COLLATE "C" NOT NULL,
    number  bigint NOT NULL CHECK (number > 0),
    bucket  text COLLATE "C" NOT NULL,
    sealed  bytea NOT NULL,
    PRIMARY KEY (system, drop_id, number)
);
ALTER TABLE drop_part ALTER COLUMN sealed SET STORAGE EXTERNAL;

-- A hold on a manifest holds its parts.
CREATE OR REPLACE FUNCTION held_frames(wanted text) RETURNS TABLE (frame bigint, hold bigint)
LANGUAGE plpgsql STABLE SET enable_seqscan = on SET enable_hashjoin = on AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM active_holds()) THEN
        RETURN;
    END IF;
    RETURN QUERY EXECUTE format($query$
        WITH about AS MATERIALIZED (
            SELECT p.frame, h.packet FROM active_holds() AS h JOIN packet AS p ON p.id = h.packet
            UNION
            SELECT p.frame, h.packet FROM active_holds() AS h JOIN part AS p ON p.of = h.packet
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

CREATE OR REPLACE FUNCTION holds_on(frames bigint[]) RETURNS TABLE (frame bigint, hold bigint)
LANGUAGE sql STABLE AS $$
    SELECT p.frame, h.number FROM packet AS p
    LEFT JOIN part AS w ON w.frame = p.frame
    LEFT JOIN LATERAL (SELECT r.re FROM packet AS r WHERE r.id = p.re LIMIT 1) AS r ON true
    JOIN active_holds() AS h ON hold_covers(
        h, p.id, p.re, COALESCE(w.of, r.re), p.sender, p.recipient, p.period, p.received)
    WHERE p.frame = ANY (frames)
    UNION
    SELECT q.frame, h.number FROM quarantine AS q JOIN active_holds() AS h ON hold_covers(
        h, q.id, NULL, NULL, COALESCE(q.sender, q.neighbour), q.recipient, NULL, q.received)
    WHERE q.frame = ANY (frames)
$$;
