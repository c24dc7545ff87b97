-- What came back from neighbours after a node had lost its record (protocol clause 25).

-- A row for each page of a neighbour's stream, with our own custody note that binds it; and one
-- behind the last, with `last` below `first`.
CREATE TABLE rebuilt (
    stream  text COLLATE "C" NOT NULL,
    epoch   bigint NOT NULL,
    first   bigint NOT NULL CHECK (first > 0),
    last    bigint NOT NULL CHECK (last >= first - 1),
    noted   bigint NOT NULL,
    at      bigint NOT NULL,
    kept    bigint NOT NULL CHECK (kept >= 0),
    objects bigint NOT NULL CHECK (objects >= 0),
    gaps    text COLLATE "C" NOT NULL,
    note    bytea NOT NULL,
    PRIMARY KEY (stream, epoch, first)
);
CALL make_insert_only('rebuilt');
