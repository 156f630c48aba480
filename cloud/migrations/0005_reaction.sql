-- The asset model and the desk's settings as they were handed in, and where the reaction stands. A text is written once under its
-- version; only the state of the reaction, which can be computed again, is overwritten.

CREATE TABLE asset_model (
    tenant_id   integer NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    received_us bigint NOT NULL,
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    text        text NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

CREATE TABLE risk_settings (
    tenant_id   integer NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    received_us bigint NOT NULL,
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    text        text NOT NULL,
    PRIMARY KEY (tenant_id, version)
);

-- evidence: digest of the newest health row of the site. log_size: entries of the log that it has seen. state: what the next one starts from.
CREATE TABLE reaction_state (
    tenant_id integer NOT NULL,
    site      text NOT NULL,
    evidence  bytea NOT NULL CHECK (length(evidence) = 32),
    log_size  bigint NOT NULL,
    model     bytea NOT NULL CHECK (length(model) = 32),
    anchored  integer NOT NULL,
    state     bytea NOT NULL,
    PRIMARY KEY (tenant_id, site)
);

-- From a position in the log to the batch that stands there.
CREATE INDEX batch_log ON batch (tenant_id, log_id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['asset_model', 'risk_settings', 'reaction_state']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;
GRANT UPDATE (evidence, log_size, model, anchored, state) ON reaction_state TO qenergyz_app;
