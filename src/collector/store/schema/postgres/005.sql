-- The tables of schema/sqlite, version 5.

ALTER TABLE findings ADD COLUMN began BIGINT;

CREATE TABLE tallies (
    day      BIGINT NOT NULL,
    rule     TEXT COLLATE "C" NOT NULL,
    verdict  TEXT COLLATE "C" NOT NULL,
    findings BIGINT NOT NULL,
    hosts    BIGINT NOT NULL,
    PRIMARY KEY (day, rule, verdict)
);

CREATE TABLE ages (
    day      BIGINT NOT NULL,
    verdict  TEXT COLLATE "C" NOT NULL,
    severity BIGINT NOT NULL,
    began    BIGINT NOT NULL,
    findings BIGINT NOT NULL,
    PRIMARY KEY (day, verdict, severity, began)
);

CREATE TABLE tally_log (
    number BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body   TEXT NOT NULL
);

CREATE INDEX findings_fail ON findings (rule, began, since, until) WHERE verdict = 'fail';
CREATE INDEX findings_unknown ON findings (rule, began, since, until) WHERE verdict = 'unknown';

DROP INDEX findings_open;
DROP INDEX findings_span;
CREATE INDEX findings_host ON findings (host, until, verdict, since);
