-- Version 1. Times are Unix seconds; ids, digests and addresses are raw bytes.

CREATE TABLE hosts (
    id          BLOB PRIMARY KEY,
    name        TEXT NOT NULL,
    public_key  BLOB NOT NULL,
    salt        BLOB NOT NULL,
    machine     TEXT NOT NULL,
    os          TEXT NOT NULL DEFAULT '',
    agent       TEXT NOT NULL DEFAULT '',
    enrolled_at INTEGER NOT NULL,
    enrolled_by BLOB NOT NULL,          -- digest of the token's secret
    retired_at  INTEGER
) STRICT;

-- Unbroken contact: one row per stretch, so that any past day can tell silent from active
-- although heartbeats are never rows.
CREATE TABLE contacts (
    host  BLOB NOT NULL REFERENCES hosts (id),
    first INTEGER NOT NULL,
    last  INTEGER NOT NULL,
    PRIMARY KEY (host, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE blobs (
    host        BLOB NOT NULL REFERENCES hosts (id),
    address     BLOB NOT NULL,
    received_at INTEGER NOT NULL,
    used        INTEGER NOT NULL DEFAULT 0,   -- 1 once an accepted report names it
    frame       BLOB NOT NULL,
    UNIQUE (host, address)
) STRICT;
CREATE INDEX blobs_unused ON blobs (received_at) WHERE used = 0;

CREATE TABLE reports (
    id             BLOB PRIMARY KEY,
    host           BLOB NOT NULL REFERENCES hosts (id),
    lineage        BLOB NOT NULL,
    sequence       INTEGER NOT NULL,
    kind           TEXT NOT NULL,
    scan_window    TEXT,
    state          TEXT NOT NULL,
    started        INTEGER NOT NULL,
    finished       INTEGER NOT NULL,
    received       INTEGER NOT NULL,
    effective      INTEGER NOT NULL,          -- finished, held between enrolment and receipt
    applied        INTEGER NOT NULL,          -- 1: its verdicts are in the findings
    pass           INTEGER NOT NULL,
    fail           INTEGER NOT NULL,
    unknown        INTEGER NOT NULL,
    not_applicable INTEGER NOT NULL,
    disagrees      INTEGER NOT NULL,
    envelope       BLOB NOT NULL,
    receipt        BLOB,
    UNIQUE (host, lineage, sequence)
) STRICT;
CREATE INDEX reports_finished ON reports (finished);
CREATE INDEX reports_host ON reports (host, finished);
CREATE INDEX reports_applied ON reports (host, effective) WHERE applied = 1;

-- Second digests that claimed a number already taken: clones and rolled-back machines.
CREATE TABLE forks (
    host     BLOB NOT NULL REFERENCES hosts (id),
    lineage  BLOB NOT NULL,
    sequence INTEGER NOT NULL,
    report   BLOB NOT NULL,
    seen_at  INTEGER NOT NULL,
    PRIMARY KEY (host, lineage, sequence, report)
) STRICT, WITHOUT ROWID;

CREATE TABLE findings (
    row      INTEGER PRIMARY KEY,
    host     BLOB NOT NULL REFERENCES hosts (id),
    rule     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    verdict  TEXT NOT NULL,
    severity INTEGER NOT NULL,                -- 0 info … 4 critical
    since    INTEGER NOT NULL,
    until    INTEGER,
    report   BLOB NOT NULL REFERENCES reports (id),
    body     TEXT NOT NULL
) STRICT;
CREATE INDEX findings_open ON findings (host, rule, subject) WHERE until IS NULL;
CREATE INDEX findings_history ON findings (host, rule, subject, since);
CREATE INDEX findings_span ON findings (host, since, until);

CREATE TABLE pending_leaves (
    number    INTEGER PRIMARY KEY AUTOINCREMENT,
    kind      TEXT NOT NULL,
    reference BLOB NOT NULL,
    bytes     BLOB NOT NULL
) STRICT;

CREATE TABLE leaves (
    number    INTEGER PRIMARY KEY,
    kind      TEXT NOT NULL,
    reference BLOB NOT NULL,
    bytes     BLOB NOT NULL
) STRICT;
CREATE INDEX leaves_reference ON leaves (kind, reference);

CREATE TABLE checkpoints (
    size INTEGER PRIMARY KEY,
    root BLOB NOT NULL,
    note TEXT NOT NULL
) STRICT;

CREATE TABLE users (
    id         BLOB PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    role       TEXT NOT NULL,
    password   TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE secrets (
    purpose    TEXT NOT NULL,
    digest     BLOB NOT NULL,
    subject    TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    uses_left  INTEGER,                       -- NULL: without limit
    PRIMARY KEY (purpose, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX secrets_expiry ON secrets (expires_at);
