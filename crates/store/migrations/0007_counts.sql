-- What a list filters by is in its index, so that rows are read for what is shown only.
DROP INDEX alerts_last_seen;
DROP INDEX alerts_first_seen;
DROP INDEX alerts_device;
CREATE INDEX alerts_last_seen
    ON alerts (last_seen DESC, id, severity, kind, status, suppressed_by, first_seen, status_by, attack);
CREATE INDEX alerts_device ON alerts (device, last_seen, severity, status, suppressed_by, first_seen);

-- In the order of the hours, of 3,600,000,000 microseconds, in which alerts are counted. SQLite takes an index alone where the column that
-- its condition names is in it too.
CREATE INDEX alerts_hour ON alerts ((first_seen / 3600000000), severity, suppressed_by, first_seen)
    WHERE suppressed_by IS NULL;

-- How many alerts are alike; triggers keep it. `hidden` is 1 for those that a suppression hides.
CREATE TABLE alert_sums (
    kind TEXT NOT NULL,
    severity BIGINT NOT NULL,
    status TEXT NOT NULL,
    attack TEXT NOT NULL,
    hidden BIGINT NOT NULL,
    alerts BIGINT NOT NULL,
    PRIMARY KEY (kind, severity, status, attack, hidden)
) WITHOUT ROWID;
INSERT INTO alert_sums (kind, severity, status, attack, hidden, alerts)
    SELECT kind, severity, status, attack, CASE WHEN suppressed_by IS NULL THEN 0 ELSE 1 END, COUNT(*)
    FROM alerts GROUP BY 1, 2, 3, 4, 5;
