-- What the market quoted and what was agreed: written once, never changed. A document is the canonical JSON of the value and sha256 is
-- of its UTF-8 bytes; the other columns repeat what is searched for. change_id grows with every committed change of a tenant, since writers
-- of one tenant wait for each other.

-- Everything that was ever quoted, so that the newest quote of each is found without reading the older ones.
CREATE TABLE quoted (
    tenant_id integer NOT NULL,
    product   text NOT NULL,
    place     text NOT NULL,
    start_us  bigint NOT NULL,
    end_us    bigint NOT NULL CHECK (end_us > start_us),
    profile   text NOT NULL,
    PRIMARY KEY (tenant_id, product, place, start_us, end_us, profile)
);

CREATE TABLE quote (
    tenant_id   integer NOT NULL,
    product     text NOT NULL,
    place       text NOT NULL,
    start_us    bigint NOT NULL,
    end_us      bigint NOT NULL,
    profile     text NOT NULL,
    as_of_us    bigint NOT NULL,
    received_us bigint NOT NULL,
    price       numeric NOT NULL CHECK (price NOT IN ('NaN', 'Infinity', '-Infinity')),
    currency    text NOT NULL,
    unit        text NOT NULL,
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    document    text NOT NULL,
    change_id   bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, product, place, start_us, end_us, profile, as_of_us)
);
CREATE INDEX quote_change ON quote (tenant_id, change_id);

-- Daily prices of the past. A correction is a later row of the same day.
CREATE TABLE price_history (
    tenant_id   integer NOT NULL,
    product     text NOT NULL,
    place       text NOT NULL,
    day         date NOT NULL,
    received_us bigint NOT NULL,
    price       numeric NOT NULL CHECK (price NOT IN ('NaN', 'Infinity', '-Infinity')),
    currency    text NOT NULL,
    unit        text NOT NULL,
    source      text NOT NULL,
    change_id   bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, product, place, day, received_us)
);
CREATE INDEX price_history_change ON price_history (tenant_id, change_id);

CREATE TABLE delivery_calendar (
    tenant_id   integer NOT NULL,
    product     text NOT NULL,
    place       text NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    received_us bigint NOT NULL,
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    document    text NOT NULL,
    change_id   bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, product, place, version)
);
CREATE INDEX delivery_calendar_change ON delivery_calendar (tenant_id, change_id);

CREATE TABLE deal_version (
    tenant_id   integer NOT NULL,
    deal_id     text NOT NULL,
    version     integer NOT NULL CHECK (version > 0),
    known_us    bigint NOT NULL,
    received_us bigint NOT NULL,
    book        text NOT NULL,
    cancelled   boolean NOT NULL,
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    document    text NOT NULL,
    change_id   bigint GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (tenant_id, deal_id, version)
);
CREATE INDEX deal_version_change ON deal_version (tenant_id, change_id);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['quoted', 'quote', 'price_history', 'delivery_calendar', 'deal_version']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;
