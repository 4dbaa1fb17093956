CREATE TRIGGER alert_sums_insert AFTER INSERT ON alerts BEGIN
    INSERT INTO alert_sums (kind, severity, status, attack, hidden, alerts)
        VALUES (new.kind, new.severity, new.status, new.attack, new.suppressed_by IS NOT NULL, 1)
        ON CONFLICT (kind, severity, status, attack, hidden) DO UPDATE SET alerts = alerts + 1;
END;
CREATE TRIGGER alert_sums_delete AFTER DELETE ON alerts BEGIN
    UPDATE alert_sums SET alerts = alerts - 1
        WHERE kind = old.kind AND severity = old.severity AND status = old.status AND attack = old.attack
        AND hidden = (old.suppressed_by IS NOT NULL);
END;
CREATE TRIGGER alert_sums_update AFTER UPDATE OF kind, severity, status, attack, suppressed_by ON alerts
WHEN old.kind <> new.kind OR old.severity <> new.severity OR old.status <> new.status OR old.attack <> new.attack
    OR (old.suppressed_by IS NULL) <> (new.suppressed_by IS NULL)
BEGIN
    UPDATE alert_sums SET alerts = alerts - 1
        WHERE kind = old.kind AND severity = old.severity AND status = old.status AND attack = old.attack
        AND hidden = (old.suppressed_by IS NOT NULL);
    INSERT INTO alert_sums (kind, severity, status, attack, hidden, alerts)
        VALUES (new.kind, new.severity, new.status, new.attack, new.suppressed_by IS NOT NULL, 1)
        ON CONFLICT (kind, severity, status, attack, hidden) DO UPDATE SET alerts = alerts + 1;
END;
