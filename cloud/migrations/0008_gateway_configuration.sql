-- Configurations that were pushed to gateways, as they were signed; how each gateway stands to its newest; and by what word of the present key
-- batches of an ended one were taken.

CREATE TABLE gateway_configuration (
    tenant_id  integer NOT NULL,
    gateway_id integer NOT NULL,
    version    bigint NOT NULL CHECK (version >= 1),
    text       text NOT NULL,
    statement  bytea NOT NULL,
    pushed_by  text NOT NULL,
    pushed_us  bigint NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, version),
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES gateway
);

CREATE TABLE gateway_configuration_report (
    tenant_id   integer NOT NULL,
    gateway_id  integer NOT NULL,
    version     bigint NOT NULL,
    state       text NOT NULL CHECK (state IN ('IN_SYNC', 'PENDING', 'FAILED')),
    reason      text NOT NULL,
    number      bigint NOT NULL,
    since_us    bigint NOT NULL,  -- of this version, state and reason
    asked_us    bigint NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id),
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES gateway
);

CREATE TABLE vouched (
    tenant_id   integer NOT NULL,
    gateway_id  integer NOT NULL,
    digest      bytea NOT NULL,  -- SHA-256 of the statement: its entry in the log
    statement   bytea NOT NULL,
    received_us bigint NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, digest),
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES gateway
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['gateway_configuration', 'gateway_configuration_report', 'vouched']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;

GRANT UPDATE (version, state, reason, number, since_us, asked_us) ON gateway_configuration_report TO qenergyz_app;
