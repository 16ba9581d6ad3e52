-- The tables of schema/sqlite, version 6.

CREATE TABLE derived (
    name    TEXT PRIMARY KEY,
    version BIGINT NOT NULL
);

CREATE TABLE open_findings (
    host         BYTEA NOT NULL REFERENCES hosts (id),
    rule         TEXT COLLATE "C" NOT NULL,
    subject      TEXT COLLATE "C" NOT NULL,
    verdict      TEXT COLLATE "C" NOT NULL,
    rank         BIGINT NOT NULL,
    since        BIGINT NOT NULL,
    changed      BIGINT NOT NULL,
    cause        BYTEA NOT NULL,
    message      TEXT NOT NULL,
    owner        TEXT COLLATE "C" NOT NULL,
    due          BIGINT,
    waiver       BYTEA,
    waived_until BIGINT NOT NULL,
    PRIMARY KEY (host, rule, subject)
);
CREATE INDEX open_findings_list ON open_findings (verdict, rank, rule, host, subject);
CREATE INDEX open_findings_rule ON open_findings (rule, verdict, rank, host, subject);
CREATE INDEX open_findings_cause ON open_findings (cause, host);
CREATE INDEX open_findings_owner ON open_findings (owner, verdict, rank) WHERE owner <> '';
CREATE INDEX open_findings_waived ON open_findings (waived_until) WHERE waived_until > 0;

CREATE TABLE decisions (
    rule   TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (rule, digest)
);

CREATE TABLE saved_views (
    id      BYTEA PRIMARY KEY,
    person  BYTEA NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    query   TEXT NOT NULL,
    shared  BIGINT NOT NULL,
    at      BIGINT NOT NULL
);
CREATE UNIQUE INDEX saved_views_name ON saved_views (person, name);
