-- The compliance profile and the inventory of emission sources as they were handed in: a text is written once under its version.

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['compliance_profile', 'esg_inventory']
    LOOP
        EXECUTE format('CREATE TABLE %I (tenant_id integer NOT NULL, version integer NOT NULL CHECK (version > 0), received_us bigint NOT NULL, '
            'sha256 bytea NOT NULL CHECK (length(sha256) = 32), text text NOT NULL, PRIMARY KEY (tenant_id, version))', name);
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;
