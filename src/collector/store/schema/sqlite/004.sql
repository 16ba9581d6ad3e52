-- Version 4. Lists that people keep, version by version; what verdicts were given by; what brought a verdict when no report did; who may
-- sign in no longer.

CREATE TABLE lists (
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,                 -- from 1, without holes
    digest  BLOB NOT NULL,                    -- SHA-256 of the bytes as they were given
    entries INTEGER NOT NULL,
    at      INTEGER NOT NULL,                 -- in force from then on
    giver   TEXT NOT NULL,
    body    BLOB,                             -- zstd frame; NULL: erased, or never kept
    PRIMARY KEY (name, version)
) STRICT;

-- What is judged by, as canonical JSON of digests.
CREATE TABLE bases (
    digest BLOB PRIMARY KEY,
    body   BLOB NOT NULL
) STRICT;

-- By what, and as of when, the open verdicts of a host were given.
CREATE TABLE judged (
    host  BLOB PRIMARY KEY REFERENCES hosts (id),
    basis BLOB NOT NULL,
    at    INTEGER NOT NULL
) STRICT;

-- NULL: the report brought the verdict; else why its facts were judged again.
ALTER TABLE findings ADD COLUMN origin TEXT;
ALTER TABLE users ADD COLUMN removed_at INTEGER;
