-- Settings that a new site starts with; a missing row means the default in src/platform/settings.
INSERT INTO settings (key, value) VALUES
    ('site.name', '"BetterNews"'),
    ('site.tagline', '"Links worth your time, and talk worth reading"'),
    ('signup.mode', '"open"')
ON CONFLICT DO NOTHING;
