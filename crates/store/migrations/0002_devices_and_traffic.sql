-- Devices by their address; `document` is what the inventory knows beyond the columns.
CREATE TABLE devices (
    id TEXT PRIMARY KEY,
    mac TEXT,
    name TEXT,
    vendor TEXT,
    first_seen BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    flows BIGINT NOT NULL,
    bytes_sent BIGINT NOT NULL,
    bytes_received BIGINT NOT NULL,
    document TEXT
);
CREATE INDEX devices_last_seen ON devices (last_seen);

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
