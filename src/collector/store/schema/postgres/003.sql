-- Version 3. Files of records, by the SHA-256 of their bytes.

CREATE TABLE record_files (
    digest BYTEA PRIMARY KEY,
    at     BIGINT NOT NULL,
    bytes  BYTEA NOT NULL
);
-- Most are compressed already.
ALTER TABLE record_files ALTER COLUMN bytes SET STORAGE EXTERNAL;
