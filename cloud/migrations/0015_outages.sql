-- Outages of units from the first sign to the published message, what the detector remembers, and which books may not be dealt in meanwhile.

-- The present state of an event; how it came about stands in outage_step. found_us: the hub's clock when it was first known.
CREATE TABLE outage (
    tenant_id integer NOT NULL,
    outage_id bigint GENERATED ALWAYS AS IDENTITY,
    event     text NOT NULL,
    number    integer NOT NULL,
    unit      text NOT NULL,
    asset     text NOT NULL,
    found_us  bigint NOT NULL,
    step      integer NOT NULL,
    state     text NOT NULL,
    PRIMARY KEY (tenant_id, event)
);
CREATE UNIQUE INDEX outage_listed ON outage (tenant_id, outage_id);
CREATE INDEX outage_state ON outage (tenant_id, state);

-- by: as the journal names who did it; role: what they are. document: the event after the step. evidence: digest of the row that says so.
CREATE TABLE outage_step (
    tenant_id integer NOT NULL,
    event     text NOT NULL,
    step      integer NOT NULL CHECK (step > 0),
    at_us     bigint NOT NULL,
    deed      text NOT NULL,
    by        text NOT NULL,
    role      text NOT NULL,
    state     text NOT NULL,
    document  text NOT NULL,
    action    text NOT NULL,
    evidence  bytea NOT NULL CHECK (length(evidence) = 32),
    PRIMARY KEY (tenant_id, event, step)
);

CREATE INDEX outage_step_time ON outage_step (tenant_id, at_us);

-- Where the detector stands. since_us: data time at which the condition changed; row: the health row that showed it, empty before any.
-- above_us: data time since when a declared unavailability is contradicted by what is measured, 0 when it is not.
CREATE TABLE outage_watch (
    tenant_id integer NOT NULL,
    unit      text NOT NULL,
    asset     text NOT NULL,
    phase     text NOT NULL,
    since_us  bigint NOT NULL,
    row       bytea NOT NULL CHECK (length(row) IN (0, 32)),
    above_us  bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, unit, asset)
);

-- message: version of the message that is not published yet. until_us: published or withdrawn.
CREATE TABLE order_block (
    tenant_id integer NOT NULL,
    event     text NOT NULL,
    message   integer NOT NULL,
    unit      text NOT NULL,
    books     text[] NOT NULL,
    since_us  bigint NOT NULL,
    until_us  bigint,
    PRIMARY KEY (tenant_id, event, message, since_us)
);
CREATE INDEX order_block_open ON order_block (tenant_id) WHERE until_us IS NULL;

CREATE TABLE order_refusal (
    tenant_id  integer NOT NULL,
    refusal_id bigint GENERATED ALWAYS AS IDENTITY,
    event      text NOT NULL,
    book       text NOT NULL,
    at_us      bigint NOT NULL,
    by         text NOT NULL,
    deals      integer NOT NULL,
    PRIMARY KEY (tenant_id, refusal_id)
);
CREATE INDEX order_refusal_event ON order_refusal (tenant_id, event, at_us);

-- Trades that cover the volume lost, after a second person agreed. notified_us: when the authorities were told of them.
CREATE TABLE cover_trade (
    tenant_id   integer NOT NULL,
    event       text NOT NULL,
    approval    bigint NOT NULL,
    side        text NOT NULL,
    limit_mwh   numeric NOT NULL,
    agreed_us   bigint NOT NULL,
    notified_us bigint,
    reference   text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, event)
);

CREATE TABLE cover_deal (
    tenant_id integer NOT NULL,
    event     text NOT NULL,
    deal_id   text NOT NULL,
    version   integer NOT NULL,
    mwh       numeric NOT NULL,
    at_us     bigint NOT NULL,
    PRIMARY KEY (tenant_id, event, deal_id, version)
);

-- Every published message. file: digest of its feed file, which is a content of evidence.
CREATE TABLE umm_message (
    tenant_id    integer NOT NULL,
    umm_id       bigint GENERATED ALWAYS AS IDENTITY,
    message      text NOT NULL,
    event        text NOT NULL,
    version      integer NOT NULL,
    published_us bigint NOT NULL,
    file         bytea NOT NULL CHECK (length(file) = 32),
    document     text NOT NULL,
    PRIMARY KEY (tenant_id, message)
);
CREATE UNIQUE INDEX umm_message_order ON umm_message (tenant_id, umm_id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['outage', 'outage_step', 'outage_watch', 'order_block', 'order_refusal', 'cover_trade', 'cover_deal', 'umm_message']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;
GRANT UPDATE (step, state) ON outage TO qenergyz_app;
GRANT UPDATE (phase, since_us, row, above_us) ON outage_watch TO qenergyz_app;
GRANT UPDATE (until_us) ON order_block TO qenergyz_app;
GRANT UPDATE (notified_us, reference) ON cover_trade TO qenergyz_app;
