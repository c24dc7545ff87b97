-- What keeps the archive alive: backups that were proven, and how the disk fills.

-- Backups that were restored into a scratch server, and verified there.
CREATE TABLE backup_run (
    made     bigint NOT NULL,
    verified bigint NOT NULL CHECK (verified >= made),
    name     text COLLATE "C" NOT NULL,
    leaves   bigint NOT NULL CHECK (leaves >= 0),
    bytes    bigint NOT NULL CHECK (bytes >= 0),
    PRIMARY KEY (made, name)
);

-- The size of the database from day to day, and the room left where that is known.
CREATE TABLE disk_sample (
    at   bigint PRIMARY KEY,
    used bigint NOT NULL CHECK (used >= 0),
    free bigint CHECK (free >= 0)
);

DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['backup_run', 'disk_sample'] LOOP
        CALL make_insert_only(name::regclass);
    END LOOP;
END
$$;
