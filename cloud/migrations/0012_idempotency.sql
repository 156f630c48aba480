-- Writes that came with an Idempotency-Key, and how they were answered, for a day. status null: not answered yet.
CREATE TABLE idempotency (
    tenant_id    integer NOT NULL REFERENCES tenant,
    who          text NOT NULL,
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    digest       bytea NOT NULL CHECK (length(digest) = 32),
    begun_us     bigint NOT NULL,
    status       smallint,
    content_type text,
    etag         text,
    body         bytea,
    PRIMARY KEY (tenant_id, who, key)
);
CREATE INDEX idempotency_begun ON idempotency (tenant_id, begun_us);
ALTER TABLE idempotency ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON idempotency USING (tenant_id = current_setting('app.tenant')::integer)
    WITH CHECK (tenant_id = current_setting('app.tenant')::integer);
GRANT SELECT, INSERT, UPDATE, DELETE ON idempotency TO qenergyz_app;
