-- Version 6. Open findings as lists need them, what people decided by rule, saved views. The first three are derived: they are made anew from
-- verdicts and records whenever `derived` does not name the version that this program makes.

CREATE TABLE derived (
    name    TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT;

-- Every open verdict that fails or can't be told.
CREATE TABLE open_findings (
    host         BLOB NOT NULL REFERENCES hosts (id),
    rule         TEXT NOT NULL,
    subject      TEXT NOT NULL,
    verdict      TEXT NOT NULL,                  -- fail or unknown
    rank         INTEGER NOT NULL,               -- 0 critical … 4 info: lists begin with the worst
    since        INTEGER NOT NULL,               -- the verdict, in whatever words
    changed      INTEGER NOT NULL,               -- the verdict with this cause
    cause        BLOB NOT NULL,                  -- 16 bytes
    message      TEXT NOT NULL,                  -- its beginning
    owner        TEXT NOT NULL,                  -- empty: nobody
    due          INTEGER,                        -- first second too late
    waiver       BLOB,                           -- entry of the waiver that covers it longest
    waived_until INTEGER NOT NULL,               -- first second not covered; 0: never covered
    PRIMARY KEY (host, rule, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX open_findings_list ON open_findings (verdict, rank, rule, host, subject);
CREATE INDEX open_findings_rule ON open_findings (rule, verdict, rank, host, subject);
CREATE INDEX open_findings_cause ON open_findings (cause, host);
CREATE INDEX open_findings_owner ON open_findings (owner, verdict, rank) WHERE owner <> '';
CREATE INDEX open_findings_waived ON open_findings (waived_until) WHERE waived_until > 0;

-- Events of waivers and handling by the rule that they are about; of baselines under the empty rule.
CREATE TABLE decisions (
    rule   TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (rule, digest)
) STRICT, WITHOUT ROWID;

-- Filters of the list of findings that people keep.
CREATE TABLE saved_views (
    id     BLOB PRIMARY KEY,
    person BLOB NOT NULL,                        -- user
    name   TEXT NOT NULL,
    query  TEXT NOT NULL,
    shared INTEGER NOT NULL,                     -- 1: everybody sees it
    at     INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX saved_views_name ON saved_views (person, name);
