-- Who is who, who vouches for it, and what operators have told the node (protocol clause 13).
--
-- All of it insert-only. The newest card of an address counts; the rest says how it came to be.

-- What parents vouch for about their children, as signed.
CREATE TABLE card (
    address text COLLATE "C" NOT NULL,
    issuer  text COLLATE "C" NOT NULL,
    number  bigint NOT NULL CHECK (number > 0),
    sha256  bytea NOT NULL,
    object  bytea NOT NULL,
    learned bigint NOT NULL,
    PRIMARY KEY (address, number)
);

-- What operators have told this node to do, and what became of it.
CREATE TABLE instruction (
    id      text COLLATE "C" PRIMARY KEY,
    given   bigint NOT NULL,
    who     text COLLATE "C" NOT NULL,
    what    text COLLATE "C" NOT NULL,
    content bytea NOT NULL
);

CREATE INDEX instruction_what ON instruction (what, id);

CREATE TABLE instruction_outcome (
    id      text COLLATE "C" PRIMARY KEY,
    at      bigint NOT NULL,
    state   text COLLATE "C" NOT NULL CHECK (state IN ('done', 'refused')),
    content bytea NOT NULL
);

-- Invitations given, and each attempt to use one.
CREATE TABLE invitation (
    id          text COLLATE "C" PRIMARY KEY,
    address     text COLLATE "C" NOT NULL,
    made        bigint NOT NULL,
    ends        bigint NOT NULL,
    certificate text COLLATE "C" NOT NULL
);

CREATE TABLE invitation_use (
    id      text COLLATE "C" NOT NULL,
    request bytea NOT NULL,
    at      bigint NOT NULL,
    state   text COLLATE "C" NOT NULL CHECK (state IN ('taken', 'withdrawn', 'refused')),
    detail  text COLLATE "C" NOT NULL,
    place   bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (id, place)
);
-- An invitation is used up or withdrawn once.
CREATE UNIQUE INDEX invitation_over ON invitation_use (id) WHERE state <> 'refused';

-- Requests for certificates: ours, and at an authority those that it has answered.
CREATE TABLE request (
    sha256  bytea PRIMARY KEY,
    issuer  text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    what    text COLLATE "C" NOT NULL,
    made    bigint NOT NULL,
    object  bytea NOT NULL
);
CREATE INDEX request_subject ON request (subject, made);

CREATE TABLE request_grant (
    request bytea PRIMARY KEY,
    outcome text COLLATE "C" NOT NULL CHECK (outcome IN ('granted', 'refused')),
    at      bigint NOT NULL,
    object  bytea NOT NULL
);

-- Logs of what authorities have issued: our own authority's, and those that we follow.
CREATE TABLE issued (
    authority   text COLLATE "C" NOT NULL,
    index       bigint NOT NULL CHECK (index >= 0),
    entry       bytea NOT NULL,
    certificate bytea,
    PRIMARY KEY (authority, index)
);
CREATE INDEX issued_certificate ON issued (certificate) WHERE certificate IS NOT NULL;

CREATE TABLE issued_head (
    authority text COLLATE "C" NOT NULL,
    size      bigint NOT NULL CHECK (size >= 0),
    note      text COLLATE "C" NOT NULL,
    at        bigint NOT NULL,
    journal   text COLLATE "C" NOT NULL,
    PRIMARY KEY (authority, size)
);

-- What was found wrong in what authorities issue, here or below.
CREATE TABLE alarm (
    sha256    bytea PRIMARY KEY,
    issuer    text COLLATE "C" NOT NULL,
    authority text COLLATE "C" NOT NULL,
    what      text COLLATE "C" NOT NULL,
    evidence  bytea NOT NULL,
    at        bigint NOT NULL,
    object    bytea NOT NULL
);
CREATE INDEX alarm_at ON alarm (at);

-- What our own authority has certified and revoked; entries are never taken back.
CREATE TABLE certified (
    sha256      bytea PRIMARY KEY,
    serial      text COLLATE "C" NOT NULL,
    address     text COLLATE "C" NOT NULL,
    purpose     text COLLATE "C" NOT NULL,
    asked_under bytea,
    at          bigint NOT NULL
);
CREATE INDEX certified_address ON certified (address);
CREATE INDEX certified_under ON certified (asked_under) WHERE asked_under IS NOT NULL;

CREATE TABLE revoked (
    sha256 bytea PRIMARY KEY,
    reason text COLLATE "C" NOT NULL,
    at     bigint NOT NULL,
    by     text COLLATE "C" NOT NULL
);

-- Public keys that this node has made.
CREATE TABLE own_key (
    sha256  bytea PRIMARY KEY,
    purpose text COLLATE "C" NOT NULL,
    made    bigint NOT NULL
);

-- Each use of a command, allowed or refused.
CREATE TABLE access (
    at      bigint NOT NULL,
    who     text COLLATE "C" NOT NULL,
    what    text COLLATE "C" NOT NULL,
    allowed boolean NOT NULL,
    place   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

-- What a document handed over waits for: 'card', the card of its recipient.
ALTER TABLE drop_pending ADD COLUMN awaits text COLLATE "C";
CREATE INDEX drop_pending_awaiting ON drop_pending (recipient) WHERE awaits IS NOT NULL;

ALTER TABLE card ALTER COLUMN object SET STORAGE EXTERNAL;
ALTER TABLE request ALTER COLUMN object SET STORAGE EXTERNAL;
ALTER TABLE request_grant ALTER COLUMN object SET STORAGE EXTERNAL;
ALTER TABLE issued ALTER COLUMN entry SET STORAGE EXTERNAL;

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'card', 'instruction', 'instruction_outcome', 'invitation', 'invitation_use', 'request',
        'request_grant', 'issued', 'issued_head', 'alarm', 'certified', 'revoked', 'own_key', 'access'
    ] LOOP
        CALL make_insert_only(name::regclass);
    END LOOP;
END
$$;
