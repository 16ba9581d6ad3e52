-- Version 5. Since when a verdict holds whatever its words, and counts of verdicts by day, so that a page of a large fleet reads no finding.

-- NULL: not known yet, a recount finds it.
ALTER TABLE findings ADD COLUMN began INTEGER;

-- By how much each day changed the number of findings, and of hosts that have one, per rule and verdict; rule '' is any rule.
-- The day 9223372036854775807 holds the sums of all days.
CREATE TABLE tallies (
    day      INTEGER NOT NULL,                -- days since 1970-01-01, UTC
    rule     TEXT NOT NULL,
    verdict  TEXT NOT NULL,
    findings INTEGER NOT NULL,
    hosts    INTEGER NOT NULL,
    PRIMARY KEY (day, rule, verdict)
) STRICT, WITHOUT ROWID;

-- The same for open findings by the day on which their verdict began.
CREATE TABLE ages (
    day      INTEGER NOT NULL,
    verdict  TEXT NOT NULL,
    severity INTEGER NOT NULL,
    began    INTEGER NOT NULL,                -- day
    findings INTEGER NOT NULL,
    PRIMARY KEY (day, verdict, severity, began)
) STRICT, WITHOUT ROWID;

-- What reports changed and is not added to the tables above yet: writers never wait for each other's counts.
CREATE TABLE tally_log (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    body   TEXT NOT NULL
) STRICT;

-- The oldest findings of a rule, now and on any past day.
CREATE INDEX findings_fail ON findings (rule, began, since, until) WHERE verdict = 'fail';
CREATE INDEX findings_unknown ON findings (rule, began, since, until) WHERE verdict = 'unknown';

-- What a host says, and how much of each verdict, now and on any past day; what a host says of one subject is found by its key.
DROP INDEX findings_open;
DROP INDEX findings_span;
CREATE INDEX findings_host ON findings (host, until, verdict, since);
