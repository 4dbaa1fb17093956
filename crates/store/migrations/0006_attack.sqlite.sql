-- The ATT&CK techniques of an alert, so that they can be counted.
ALTER TABLE alerts ADD COLUMN attack TEXT NOT NULL DEFAULT '';
UPDATE alerts SET attack = COALESCE(
    (SELECT SUBSTR(group_concat(value, ' '), 1, 200) FROM json_each(alerts.document, '$.attack')), '');
