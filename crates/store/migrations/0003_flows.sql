-- Flows, where the store is a database server and there is no folder for Parquet files. Times are microseconds; `document` has
-- every column of Zeek's conn.log that is set: document::jsonb->>'orig_bytes'.
CREATE TABLE flows (
    ended BIGINT NOT NULL,
    began BIGINT NOT NULL,
    originator TEXT NOT NULL,
    responder TEXT NOT NULL,
    port BIGINT NOT NULL,
    protocol TEXT NOT NULL,
    uid TEXT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX flows_ended ON flows (ended);
CREATE INDEX flows_originator ON flows (originator, ended);
CREATE INDEX flows_responder ON flows (responder, ended);
CREATE INDEX flows_uid ON flows (uid);
