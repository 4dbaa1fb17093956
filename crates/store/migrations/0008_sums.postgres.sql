CREATE FUNCTION sum_alerts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        UPDATE alert_sums SET alerts = alerts - 1
            WHERE kind = OLD.kind AND severity = OLD.severity AND status = OLD.status AND attack = OLD.attack
            AND hidden = (OLD.suppressed_by IS NOT NULL)::int;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO alert_sums (kind, severity, status, attack, hidden, alerts)
            VALUES (NEW.kind, NEW.severity, NEW.status, NEW.attack, (NEW.suppressed_by IS NOT NULL)::int, 1)
            ON CONFLICT (kind, severity, status, attack, hidden) DO UPDATE SET alerts = alert_sums.alerts + 1;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER alert_sums_change AFTER INSERT OR DELETE OR UPDATE OF kind, severity, status, attack, suppressed_by ON alerts
    FOR EACH ROW EXECUTE FUNCTION sum_alerts();
