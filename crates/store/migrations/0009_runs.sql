-- The run that raised an alert, by the time of its first packet; 0 where it is not known.
ALTER TABLE alerts ADD COLUMN run BIGINT NOT NULL DEFAULT 0;
CREATE INDEX alerts_open ON alerts (run, severity, kind, status, suppressed_by)
    WHERE status = 'open' AND suppressed_by IS NULL;
