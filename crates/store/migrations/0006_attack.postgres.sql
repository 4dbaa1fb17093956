-- The ATT&CK techniques of an alert, so that they can be counted.
ALTER TABLE alerts ADD COLUMN attack TEXT NOT NULL DEFAULT '';
UPDATE alerts SET attack = COALESCE(
    (SELECT SUBSTR(string_agg(value, ' '), 1, 200) FROM jsonb_array_elements_text(document::jsonb->'attack')), '');
