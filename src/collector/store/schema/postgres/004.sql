-- The tables of schema/sqlite, version 4.

CREATE TABLE lists (
    name    TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    digest  BYTEA NOT NULL,
    entries BIGINT NOT NULL,
    at      BIGINT NOT NULL,
    giver   TEXT COLLATE "C" NOT NULL,
    body    BYTEA,
    PRIMARY KEY (name, version)
);
-- Bodies are zstd already.
ALTER TABLE lists ALTER COLUMN body SET STORAGE EXTERNAL;

CREATE TABLE bases (
    digest BYTEA PRIMARY KEY,
    body   BYTEA NOT NULL
);

CREATE TABLE judged (
    host  BYTEA PRIMARY KEY REFERENCES hosts (id),
    basis BYTEA NOT NULL,
    at    BIGINT NOT NULL
);

ALTER TABLE findings ADD COLUMN origin TEXT;
ALTER TABLE users ADD COLUMN removed_at BIGINT;
