-- Derived from batches and rebuildable: what the compactor has counted of each gateway, so that no page counts every batch.
CREATE TABLE gateway_total (
    tenant_id  integer NOT NULL,
    gateway_id integer NOT NULL,
    batches    bigint NOT NULL,
    samples    bigint NOT NULL,
    bytes      bigint NOT NULL,
    PRIMARY KEY (tenant_id, gateway_id)
) WITH (fillfactor = 50);
ALTER TABLE gateway_total ENABLE ROW LEVEL SECURITY;
ALTER TABLE gateway_total FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON gateway_total USING (tenant_id = current_setting('app.tenant')::integer)
    WITH CHECK (tenant_id = current_setting('app.tenant')::integer);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway_total TO qenergyz_app;
INSERT INTO gateway_total SELECT tenant_id, gateway_id, count(*), sum(samples), sum(length(statement)) FROM batch WHERE compacted
    GROUP BY tenant_id, gateway_id;
