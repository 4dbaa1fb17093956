-- Runs that watched live, by the time of their first packet; a later one goes on with the latest.
CREATE TABLE live_runs (run BIGINT PRIMARY KEY);

-- What such a run knew of a device.
ALTER TABLE device_runs ADD COLUMN memory TEXT;
