-- Version 7. What pages of the fleet show of the facts of all hosts, over spans of time; labels of hosts, by name.

CREATE TABLE kept (
    host  BLOB NOT NULL REFERENCES hosts (id),
    kind  TEXT NOT NULL,                      -- certificate, tls, way, privilege, advisory; seen-KIND: how well it could be seen
    label TEXT NOT NULL,                      -- what it is grouped by: fingerprint, version, person, advisory
    item  TEXT NOT NULL,                      -- where on the host
    since INTEGER NOT NULL,
    until INTEGER,
    body  TEXT NOT NULL,                      -- JSON, by kind
    PRIMARY KEY (host, kind, label, item, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_label ON kept (kind, label, until, since);

-- What is said once of each label, whichever hosts have it.
CREATE TABLE kept_labels (
    kind  TEXT NOT NULL,
    label TEXT NOT NULL,
    rank  INTEGER NOT NULL,                   -- end of a certificate or employment, severity, version
    about TEXT NOT NULL,                      -- JSON, by kind
    PRIMARY KEY (kind, label)
) STRICT, WITHOUT ROWID;
CREATE INDEX kept_rank ON kept_labels (kind, rank, label);

-- On what the newest rows of a host rest: a report that brings the same is not looked at again.
CREATE TABLE kept_state (
    host   BLOB NOT NULL REFERENCES hosts (id),
    kind   TEXT NOT NULL,
    source BLOB NOT NULL,
    at     INTEGER NOT NULL,
    PRIMARY KEY (host, kind)
) STRICT, WITHOUT ROWID;

CREATE TABLE labels (
    name  TEXT NOT NULL,                      -- of the host, lower case
    field TEXT NOT NULL,                      -- owner, purpose, criticality, region, label
    value TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (name, field, value, since)
) STRICT, WITHOUT ROWID;
CREATE INDEX labels_value ON labels (field, value, until, since);

CREATE INDEX hosts_name ON hosts (name, id);
CREATE INDEX hosts_lower ON hosts (lower(name));
CREATE INDEX hosts_replaces ON hosts (replaces) WHERE replaces IS NOT NULL;

-- Every host is judged again, which keeps its newest facts.
DELETE FROM judged;
