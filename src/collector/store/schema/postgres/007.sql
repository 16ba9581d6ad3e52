-- The tables of schema/sqlite, version 7.

CREATE TABLE kept (
    host  BYTEA NOT NULL REFERENCES hosts (id),
    kind  TEXT COLLATE "C" NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    item  TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT,
    body  TEXT NOT NULL,
    PRIMARY KEY (host, kind, label, item, since)
);
CREATE INDEX kept_label ON kept (kind, label, until, since);

CREATE TABLE kept_labels (
    kind  TEXT COLLATE "C" NOT NULL,
    label TEXT COLLATE "C" NOT NULL,
    rank  BIGINT NOT NULL,
    about TEXT NOT NULL,
    PRIMARY KEY (kind, label)
);
CREATE INDEX kept_rank ON kept_labels (kind, rank, label);

CREATE TABLE kept_state (
    host   BYTEA NOT NULL REFERENCES hosts (id),
    kind   TEXT COLLATE "C" NOT NULL,
    source BYTEA NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (host, kind)
);

CREATE TABLE labels (
    name  TEXT COLLATE "C" NOT NULL,
    field TEXT COLLATE "C" NOT NULL,
    value TEXT COLLATE "C" NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT,
    PRIMARY KEY (name, field, value, since)
);
CREATE INDEX labels_value ON labels (field, value, until, since);

CREATE INDEX hosts_name ON hosts (name, id);
CREATE INDEX hosts_lower ON hosts (lower(name));
CREATE INDEX hosts_replaces ON hosts (replaces) WHERE replaces IS NOT NULL;

-- Every host is judged again, which keeps its newest facts.
DELETE FROM judged;
