-- Version 2. Who took a host out and why, which host it replaces; what ledger entries say in words; one
-- numberer of the ledger at a time; how far retention has come.

ALTER TABLE hosts ADD COLUMN retired_by TEXT NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN retired_why TEXT NOT NULL DEFAULT '';
ALTER TABLE hosts ADD COLUMN replaces BLOB REFERENCES hosts (id);
ALTER TABLE hosts ADD COLUMN thinned_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE hosts ADD COLUMN erased_at INTEGER;

-- Families that a drift report read, divided by commas; empty: all.
ALTER TABLE reports ADD COLUMN families TEXT NOT NULL DEFAULT '';

CREATE UNIQUE INDEX findings_once ON findings (host, rule, subject, since);
DROP INDEX findings_history;

-- Texts behind ledger entries: retirements, resumptions, rotations, erasures. The entry holds the digest.
CREATE TABLE statements (
    digest BLOB PRIMARY KEY,
    kind   TEXT NOT NULL,
    at     INTEGER NOT NULL,
    body   BLOB NOT NULL
) STRICT;
CREATE INDEX statements_kind ON statements (kind, at);

CREATE TABLE leases (
    name   TEXT PRIMARY KEY,
    holder BLOB NOT NULL,
    until  INTEGER NOT NULL
) STRICT;

-- Per host, so that the quota of a sender costs no walk over all its blobs.
DROP INDEX blobs_unused;
CREATE INDEX blobs_unused ON blobs (host, received_at) WHERE used = 0;

-- Asked every other second by a collector that waits for what another process retires.
CREATE INDEX hosts_retired ON hosts (retired_at) WHERE retired_at IS NOT NULL;
