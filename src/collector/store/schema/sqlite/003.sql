-- Version 3. Files of records, by the SHA-256 of their bytes.

CREATE TABLE record_files (
    digest BLOB PRIMARY KEY,
    at     INTEGER NOT NULL,                  -- first given
    bytes  BLOB NOT NULL
) STRICT;
