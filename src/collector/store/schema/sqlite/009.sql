-- Version 9. What fails or can't be told, by its subject: for who looks for an account, an address or a path on all hosts.

CREATE INDEX findings_subject ON findings (subject, rule) WHERE until IS NULL AND verdict IN ('fail', 'unknown');
