-- Tenants, gateways and their keys, batches as they were signed, the log, and what is derived from batches.
-- Every table has tenant_id and forced row level security. The role qenergyz_app owns nothing.
-- app.tenant      the tenant of the transaction; unset is an error, 0 is nobody
-- app.credential  hex of a hash by which one row may be found before the tenant is known
-- app.job         'tenants' lets background jobs and the first start list and make tenants

CREATE TABLE tenant (
    tenant_id   integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE CHECK (name ~ '^[a-z0-9][a-z0-9-]{0,62}$'),
    origin      text NOT NULL UNIQUE,
    created_us  bigint NOT NULL
);

CREATE TABLE gateway (
    tenant_id    integer NOT NULL REFERENCES tenant,
    gateway_id   integer GENERATED ALWAYS AS IDENTITY,
    name         text NOT NULL,
    urn          text NOT NULL,
    enrolled_us  bigint NOT NULL,
    last_seen_us bigint,
    backlog      bigint NOT NULL DEFAULT 0,
    receipt_us   bigint,
    span_us      bigint NOT NULL DEFAULT 0,  -- longest t_max_us - t_min_us of its batches: bounds range queries
    PRIMARY KEY (tenant_id, gateway_id),
    UNIQUE (tenant_id, name)
) WITH (fillfactor = 50);

CREATE TABLE gateway_key (
    tenant_id     integer NOT NULL,
    gateway_id    integer NOT NULL,
    kid           bytea NOT NULL PRIMARY KEY,
    algorithm     integer NOT NULL,
    public        bytea NOT NULL,
    not_before_us bigint NOT NULL,
    revoked_us    bigint,
    FOREIGN KEY (tenant_id, gateway_id) REFERENCES gateway
);

CREATE TABLE voucher (
    tenant_id  integer NOT NULL REFERENCES tenant,
    hash       bytea NOT NULL PRIMARY KEY,
    gateway    text NOT NULL,
    created_us bigint NOT NULL,
    expires_us bigint NOT NULL,
    used_us    bigint
);

CREATE TABLE api_token (
    tenant_id  integer NOT NULL REFERENCES tenant,
    hash       bytea NOT NULL PRIMARY KEY,
    name       text NOT NULL,
    scopes     text[] NOT NULL,
    created_us bigint NOT NULL,
    expires_us bigint,
    revoked_us bigint
);

CREATE TABLE tag_table (
    tenant_id   integer NOT NULL,
    digest      bytea NOT NULL,
    gateway_id  integer NOT NULL,
    text        text NOT NULL,
    statement   bytea NOT NULL,
    received_us bigint NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, digest)
);

CREATE TABLE tag (
    tenant_id  integer NOT NULL,
    tag_id     bigint GENERATED ALWAYS AS IDENTITY,
    gateway_id integer NOT NULL,
    name       text NOT NULL,
    type       text NOT NULL,
    unit       text NOT NULL,
    scale      numeric NOT NULL,
    "offset"   numeric NOT NULL,
    asset      text NOT NULL,
    protocol   text NOT NULL,
    low        double precision,
    high       double precision,
    PRIMARY KEY (tenant_id, tag_id),
    UNIQUE (tenant_id, gateway_id, name)
);

-- The system of record: statements exactly as they were signed.
CREATE TABLE batch (
    tenant_id   integer NOT NULL,
    gateway_id  integer NOT NULL,
    stream      text NOT NULL,
    epoch       bigint NOT NULL,
    seq         bigint NOT NULL,
    entry       bytea NOT NULL,
    prev        bytea NOT NULL,
    tag_table   bytea NOT NULL,
    t_min_us    bigint,
    t_max_us    bigint,
    samples     integer NOT NULL,
    gaps        integer NOT NULL,
    received_us bigint NOT NULL,
    log_id      bigint NOT NULL,
    compacted   boolean NOT NULL DEFAULT false,
    statement   bytea NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, stream, epoch, seq)
) WITH (fillfactor = 80);
ALTER TABLE batch ALTER COLUMN statement SET STORAGE EXTERNAL;
CREATE INDEX batch_time ON batch (tenant_id, gateway_id, t_min_us);
CREATE INDEX batch_uncompacted ON batch (tenant_id, gateway_id, t_min_us) WHERE NOT compacted;

CREATE TABLE gap (
    tenant_id  integer NOT NULL,
    gateway_id integer NOT NULL,
    stream     text NOT NULL,
    epoch      bigint NOT NULL,
    seq        bigint NOT NULL,
    position   integer NOT NULL,
    low        bigint NOT NULL,
    high       bigint NOT NULL,
    reason     integer NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, stream, epoch, seq, position)
);
CREATE INDEX gap_time ON gap (tenant_id, gateway_id, low);

CREATE TABLE equivocation (
    tenant_id   integer NOT NULL,
    gateway_id  integer NOT NULL,
    stream      text NOT NULL,
    epoch       bigint NOT NULL,
    seq         bigint NOT NULL,
    entry       bytea NOT NULL,
    stored      bytea NOT NULL,  -- entry of the batch that came first
    statement   bytea NOT NULL,
    received_us bigint NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id, stream, epoch, seq, entry)
);

CREATE TABLE finding (
    tenant_id   integer NOT NULL,
    finding_id  bigint GENERATED ALWAYS AS IDENTITY,
    at_us       bigint NOT NULL,
    gateway_id  integer,
    slug        text NOT NULL,
    detail      text NOT NULL,
    stream      text,
    epoch       bigint,
    seq         bigint,
    entry       bytea,
    PRIMARY KEY (tenant_id, finding_id)
);
CREATE INDEX finding_time ON finding (tenant_id, at_us);

CREATE TABLE log_entry (
    tenant_id integer NOT NULL,
    log_id    bigint GENERATED ALWAYS AS IDENTITY,
    kind      text NOT NULL,
    entry     bytea NOT NULL,
    position  bigint,  -- leaf index; null until the sequencer has integrated it
    PRIMARY KEY (tenant_id, log_id),
    UNIQUE (tenant_id, entry),
    UNIQUE (tenant_id, position)
);
CREATE INDEX log_entry_pending ON log_entry (tenant_id, log_id) WHERE position IS NULL;

CREATE TABLE log_tile (
    tenant_id integer NOT NULL,
    level     integer NOT NULL,
    idx       bigint NOT NULL,
    hashes    bytea NOT NULL CHECK (length(hashes) % 32 = 0 AND length(hashes) BETWEEN 32 AND 8192),
    PRIMARY KEY (tenant_id, level, idx)
);
ALTER TABLE log_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

CREATE TABLE log_checkpoint (
    tenant_id integer NOT NULL,
    size      bigint NOT NULL,
    root      bytea NOT NULL,
    text      text NOT NULL,
    at_us     bigint NOT NULL,
    PRIMARY KEY (tenant_id, size)
);

-- Derived from batches and rebuildable.
CREATE TABLE series (
    tenant_id integer NOT NULL,
    tag_id    bigint NOT NULL,
    hour_us   bigint NOT NULL,
    columns   bytea NOT NULL,
    samples   integer NOT NULL,
    PRIMARY KEY (tenant_id, tag_id, hour_us)
);
ALTER TABLE series ALTER COLUMN columns SET STORAGE EXTERNAL;

CREATE TABLE rollup_minute (
    tenant_id integer NOT NULL,
    tag_id    bigint NOT NULL,
    minute_us bigint NOT NULL,
    low       double precision,
    high      double precision,
    total     double precision,
    last      double precision,
    count     integer NOT NULL,
    good      integer NOT NULL,
    PRIMARY KEY (tenant_id, tag_id, minute_us)
);

DO $$
DECLARE
    name text;
BEGIN
    BEGIN
        CREATE ROLE qenergyz_app NOLOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- roles belong to the cluster, not to the database
    END;
    IF NOT pg_has_role(current_user, 'qenergyz_app', 'SET') THEN
        EXECUTE format('GRANT qenergyz_app TO %I', current_user);
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO qenergyz_app', current_schema());
    FOREACH name IN ARRAY ARRAY['tenant', 'gateway', 'gateway_key', 'voucher', 'api_token', 'tag_table', 'tag', 'batch', 'gap',
        'equivocation', 'finding', 'log_entry', 'log_tile', 'log_checkpoint', 'series', 'rollup_minute']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;

-- What was signed, logged or found cannot be changed by the application; only derived rows may be deleted.
GRANT UPDATE (enrolled_us, last_seen_us, backlog, receipt_us, span_us) ON gateway TO qenergyz_app;
GRANT UPDATE (revoked_us) ON gateway_key, api_token TO qenergyz_app;
GRANT UPDATE (used_us) ON voucher TO qenergyz_app;
GRANT UPDATE (type, unit, scale, "offset", asset, protocol, low, high) ON tag TO qenergyz_app;
GRANT UPDATE (compacted) ON batch TO qenergyz_app;
GRANT UPDATE (position) ON log_entry TO qenergyz_app;
GRANT UPDATE (hashes) ON log_tile TO qenergyz_app;
GRANT UPDATE, DELETE ON series, rollup_minute TO qenergyz_app;

-- A table owner's checks of foreign keys bypass row security; what the application may look up by a credential is listed here, and nothing else.
CREATE POLICY by_credential ON gateway_key FOR SELECT USING (kid = decode(current_setting('app.credential', true), 'hex'));
CREATE POLICY by_credential ON voucher FOR SELECT USING (hash = decode(current_setting('app.credential', true), 'hex'));
CREATE POLICY by_credential ON api_token FOR SELECT USING (hash = decode(current_setting('app.credential', true), 'hex'));
CREATE POLICY for_jobs ON tenant USING (current_setting('app.job', true) = 'tenants') WITH CHECK (current_setting('app.job', true) = 'tenants');
