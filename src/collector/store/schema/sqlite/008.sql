-- Version 8. Who may do what within which bounds, second factors, API tokens, the log of acts, settings, and what is sent to the outside.

-- The secret of a second factor is sealed with a key that is not in the database. Confirmed: asked for at each sign-in. The step last used never serves again.
ALTER TABLE users ADD COLUMN totp BLOB;
ALTER TABLE users ADD COLUMN totp_at INTEGER;
ALTER TABLE users ADD COLUMN totp_step INTEGER;
-- Of sessions: when it began, and from where.
ALTER TABLE secrets ADD COLUMN began INTEGER;
ALTER TABLE secrets ADD COLUMN label TEXT;
CREATE INDEX secrets_subject ON secrets (subject, purpose);

CREATE TABLE recovery_codes (
    person  BLOB NOT NULL REFERENCES users (id),
    digest  BLOB NOT NULL,
    used_at INTEGER,
    PRIMARY KEY (person, digest)
) STRICT, WITHOUT ROWID;

-- Within what an auditor may look, canonical JSON; no row: without bounds.
CREATE TABLE grants (
    person BLOB PRIMARY KEY REFERENCES users (id),
    body   TEXT NOT NULL
) STRICT;

CREATE TABLE tokens (
    id         BLOB PRIMARY KEY,
    digest     BLOB NOT NULL UNIQUE,
    person     BLOB NOT NULL REFERENCES users (id),
    name       TEXT NOT NULL,
    role       TEXT NOT NULL,
    read_only  INTEGER NOT NULL,
    areas      TEXT NOT NULL,                 -- divided by spaces; empty: all
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    used_at    INTEGER,
    revoked_at INTEGER
) STRICT;
CREATE INDEX tokens_person ON tokens (person);

-- What people did that no ledger entry tells.
CREATE TABLE acts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at     INTEGER NOT NULL,
    kind   TEXT NOT NULL,
    person TEXT NOT NULL,                     -- random id of a user, or the operating-system user
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX acts_at ON acts (at, number);
CREATE INDEX acts_kind ON acts (kind, at, number);
CREATE INDEX acts_person ON acts (person, at, number);

ALTER TABLE leaves ADD COLUMN at INTEGER;
UPDATE leaves SET at = json_extract(CAST(bytes AS TEXT), '$.at');
CREATE INDEX leaves_at ON leaves (at, number);
CREATE INDEX leaves_kind_at ON leaves (kind, at, number);

CREATE TABLE settings (
    name  TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT;

CREATE TABLE alert_targets (
    id         BLOB PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    kind       TEXT NOT NULL,                 -- webhook, mail, syslog
    body       TEXT NOT NULL,                 -- what is sent there and how, JSON
    secret     BLOB,                          -- sealed
    created_at INTEGER NOT NULL
) STRICT;

-- Failures that began and of which nobody has been told; written with the verdict, gone with the message.
CREATE TABLE fresh_failures (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    host     BLOB NOT NULL,
    rule     TEXT NOT NULL,
    subject  TEXT NOT NULL,
    severity INTEGER NOT NULL,
    since    INTEGER NOT NULL,
    at       INTEGER NOT NULL
) STRICT;

-- What people have been told and is still so.
CREATE TABLE alerted (
    topic TEXT PRIMARY KEY,
    at    INTEGER NOT NULL
) STRICT;

CREATE TABLE outbox (
    number   INTEGER PRIMARY KEY AUTOINCREMENT,
    id       BLOB NOT NULL,                   -- the same in every attempt
    target   BLOB NOT NULL REFERENCES alert_targets (id) ON DELETE CASCADE,
    at       INTEGER NOT NULL,
    title    TEXT NOT NULL,
    body     TEXT NOT NULL,                   -- empty once delivered
    state    TEXT NOT NULL,                   -- waiting, delivered, dead
    attempts INTEGER NOT NULL,
    next_at  INTEGER NOT NULL,
    problem  TEXT NOT NULL
) STRICT;
CREATE INDEX outbox_due ON outbox (state, next_at);
