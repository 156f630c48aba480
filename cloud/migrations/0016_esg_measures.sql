-- Numbers that people register for a period of a site: water, spills, safety, production, other figures. A later row for the same kind, site,
-- name and period replaces an earlier one for whoever asks later; rows are added and never changed. by: who handed it in, as the journal says.
CREATE TABLE esg_measure (
    tenant_id   integer NOT NULL,
    measure_id  bigint GENERATED ALWAYS AS IDENTITY,
    kind        text NOT NULL,
    site        text NOT NULL,
    name        text NOT NULL,
    first_day   date NOT NULL,
    last_day    date NOT NULL CHECK (last_day >= first_day),
    known_at_us bigint NOT NULL,
    by          text NOT NULL,
    document    text NOT NULL,
    PRIMARY KEY (tenant_id, measure_id)
);
CREATE INDEX esg_measure_newest ON esg_measure (tenant_id, kind, site, name, first_day, last_day, known_at_us);

ALTER TABLE esg_measure ENABLE ROW LEVEL SECURITY;
ALTER TABLE esg_measure FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON esg_measure USING (tenant_id = current_setting('app.tenant')::integer)
    WITH CHECK (tenant_id = current_setting('app.tenant')::integer);
GRANT SELECT, INSERT ON esg_measure TO qenergyz_app;
