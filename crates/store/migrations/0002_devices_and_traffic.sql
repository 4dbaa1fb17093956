-- Devices as the inventory knows them: `document` is its latest record, the columns are what is searched for.
CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    words TEXT NOT NULL,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    document TEXT NOT NULL
);
CREATE INDEX devices_last_seen ON devices (last_seen);

-- What each run of the program counted of a device. A run is named by the time of its first packet, so that a capture that is
-- read twice counts once.
CREATE TABLE device_runs (
    device TEXT NOT NULL,
    run BIGINT NOT NULL,
    flows BIGINT NOT NULL,
    bytes_sent BIGINT NOT NULL,
    bytes_received BIGINT NOT NULL,
    PRIMARY KEY (device, run)
);

-- What flowed in each minute; a flow's bytes are spread evenly over the minutes it lasted. `minute` counts minutes since the epoch.
CREATE TABLE traffic_minutes (
    minute BIGINT PRIMARY KEY,
    flows BIGINT NOT NULL,
    packets BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL
);

-- What each host sent and received, per hour and per day of the flow's end. Hosts beyond the cap share the host ''.
CREATE TABLE talker_hours (
    hour BIGINT NOT NULL,
    host TEXT NOT NULL,
    flows BIGINT NOT NULL,
    bytes_sent BIGINT NOT NULL,
    bytes_received BIGINT NOT NULL,
    PRIMARY KEY (hour, host)
) WITHOUT ROWID;
CREATE TABLE talker_days (
    day BIGINT NOT NULL,
    host TEXT NOT NULL,
    flows BIGINT NOT NULL,
    bytes_sent BIGINT NOT NULL,
    bytes_received BIGINT NOT NULL,
    PRIMARY KEY (day, host)
) WITHOUT ROWID;

-- How many rows of a journal of flows are in the roll-ups, so that after a kill the others are added, and only they.
CREATE TABLE flow_marks (
    stem TEXT PRIMARY KEY,
    row_count BIGINT NOT NULL
);
