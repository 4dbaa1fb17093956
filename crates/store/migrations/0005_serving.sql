-- Entries of the audit trail get numbers, so that those of one moment have an order.
ALTER TABLE audit RENAME TO audit_before;
CREATE TABLE audit (
    number BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    action TEXT NOT NULL,
    subject TEXT NOT NULL,
    detail TEXT NOT NULL
);
INSERT INTO audit (number, at, who, action, subject, detail)
    SELECT ROW_NUMBER() OVER (ORDER BY at), at, who, action, subject, detail FROM audit_before;
DROP TABLE audit_before;
CREATE INDEX audit_at ON audit (at, number);
CREATE INDEX audit_subject ON audit (subject, at);

-- What people call devices; `words` is what is searched, in small letters.
CREATE TABLE device_names (
    device TEXT PRIMARY KEY,
    name TEXT,
    note TEXT,
    words TEXT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL
);

CREATE TABLE accounts (
    username TEXT PRIMARY KEY,
    role TEXT NOT NULL,
    password_hash TEXT NOT NULL,
    disabled BIGINT NOT NULL,
    created BIGINT NOT NULL,
    last_login BIGINT
);

-- Tokens are kept as their hashes only. A session keeps its id while its tokens are exchanged.
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    username TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    refresh_hash TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    refreshed BIGINT NOT NULL,
    token_expires BIGINT NOT NULL,
    refresh_expires BIGINT NOT NULL,
    peer TEXT NOT NULL,
    user_agent TEXT NOT NULL
);
CREATE INDEX sessions_username ON sessions (username, refreshed);
CREATE INDEX sessions_refresh_expires ON sessions (refresh_expires);

-- Refresh tokens that were exchanged: one that comes again has been stolen.
CREATE TABLE spent_refresh_tokens (
    refresh_hash TEXT PRIMARY KEY,
    session TEXT NOT NULL,
    spent BIGINT NOT NULL
);
CREATE INDEX spent_refresh_tokens_session ON spent_refresh_tokens (session);

CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    owner TEXT NOT NULL,
    role TEXT NOT NULL,
    token_hash TEXT NOT NULL UNIQUE,
    created BIGINT NOT NULL,
    expires BIGINT,
    last_used BIGINT
);
CREATE INDEX api_tokens_owner ON api_tokens (owner);

-- Captures that people handed in; what was found in them lies elsewhere.
CREATE TABLE uploads (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    bytes BIGINT NOT NULL,
    state TEXT NOT NULL,
    filter TEXT,
    model TEXT,
    uploaded_by TEXT NOT NULL,
    created BIGINT NOT NULL,
    ended BIGINT,
    expires BIGINT NOT NULL,
    error TEXT,
    summary TEXT
);
CREATE INDEX uploads_expires ON uploads (expires);
