-- Times are microseconds since the Unix epoch, UTC. What an alert says is its JSON document; the columns are what is searched
-- for, and what people set. `severity` counts from 0, informational, to 4, critical.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    revision BIGINT NOT NULL,
    kind TEXT NOT NULL,
    severity BIGINT NOT NULL,
    device TEXT NOT NULL,
    peers TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    status TEXT NOT NULL,
    status_by TEXT,
    status_at BIGINT,
    suppressed_by TEXT,
    words TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX alerts_last_seen ON alerts (last_seen);
CREATE INDEX alerts_first_seen ON alerts (first_seen, severity);
CREATE INDEX alerts_device ON alerts (device, last_seen);
CREATE INDEX alerts_suppressed_by ON alerts (suppressed_by, last_seen) WHERE suppressed_by IS NOT NULL;

CREATE TABLE suppressions (
    id TEXT PRIMARY KEY,
    created BIGINT NOT NULL,
    document TEXT NOT NULL
);

-- Who changed what, when.
CREATE TABLE audit (
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
CREATE INDEX audit_at ON audit (at);
