-- Surveillance of conduct: order events as they were handed in, alerts, and what people did about them. Rows are added, never changed: an
-- alert cannot be taken back by anybody.

-- evidence: the row whose content is the bytes handed in. A source numbers its events without a hole.
CREATE TABLE order_events (
    tenant_id      integer NOT NULL REFERENCES tenant,
    source         text NOT NULL CHECK (source <> ''),
    first_sequence bigint NOT NULL CHECK (first_sequence > 0),
    last_sequence  bigint NOT NULL,
    first_us       bigint NOT NULL,
    last_us        bigint NOT NULL,
    received_us    bigint NOT NULL,
    by             text NOT NULL,
    evidence       bytea NOT NULL CHECK (length(evidence) = 32),
    PRIMARY KEY (tenant_id, source, first_sequence),
    CHECK (last_sequence >= first_sequence AND last_us >= first_us)
);
CREATE INDEX order_events_time ON order_events (tenant_id, last_us);

-- key: what makes it the same alert when it is found again.
CREATE TABLE conduct_alert (
    tenant_id integer NOT NULL REFERENCES tenant,
    alert_id  bigint GENERATED ALWAYS AS IDENTITY,
    key       bytea NOT NULL CHECK (length(key) = 32),
    pattern   text NOT NULL,
    grade     text NOT NULL,
    guard     text NOT NULL,
    owner     text NOT NULL,
    first_us  bigint NOT NULL,
    last_us   bigint NOT NULL,
    made_us   bigint NOT NULL,
    evidence  bytea NOT NULL CHECK (length(evidence) = 32),
    PRIMARY KEY (tenant_id, alert_id),
    UNIQUE (tenant_id, key)
);

-- detail: person for assign, text for note, decision and reasons for decide.
CREATE TABLE conduct_step (
    tenant_id integer NOT NULL REFERENCES tenant,
    step_id   bigint GENERATED ALWAYS AS IDENTITY,
    alert_id  bigint NOT NULL,
    at_us     bigint NOT NULL,
    by        text NOT NULL,
    step      text NOT NULL CHECK (step IN ('assign', 'note', 'decide')),
    detail    jsonb NOT NULL,
    PRIMARY KEY (tenant_id, step_id),
    FOREIGN KEY (tenant_id, alert_id) REFERENCES conduct_alert
);
CREATE INDEX conduct_step_alert ON conduct_step (tenant_id, alert_id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['order_events', 'conduct_alert', 'conduct_step']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;
