-- Computed results with everything they came from, and the byte strings they name. Neither is ever changed.
CREATE TABLE evidence (
    tenant_id   integer NOT NULL,
    evidence_id bigint GENERATED ALWAYS AS IDENTITY,
    digest      bytea NOT NULL CHECK (length(digest) = 32),
    kind        text NOT NULL,
    subject     text NOT NULL,
    as_of_us    bigint NOT NULL,
    made_us     bigint NOT NULL,
    refs        bytea[] NOT NULL,  -- digests of the rows it names
    contents    bytea[] NOT NULL,  -- digests of the contents it names
    document    bytea NOT NULL,
    PRIMARY KEY (tenant_id, evidence_id),
    UNIQUE (tenant_id, digest)
);
CREATE INDEX evidence_newest ON evidence (tenant_id, kind, subject, as_of_us, evidence_id);
CREATE INDEX evidence_kind ON evidence (tenant_id, kind, evidence_id);

CREATE TABLE evidence_content (
    tenant_id integer NOT NULL,
    digest    bytea NOT NULL CHECK (length(digest) = 32),
    kind      text NOT NULL,  -- the name under which a row named it first
    content   bytea NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);

ALTER TABLE evidence ENABLE ROW LEVEL SECURITY;
ALTER TABLE evidence FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON evidence USING (tenant_id = current_setting('app.tenant')::integer)
    WITH CHECK (tenant_id = current_setting('app.tenant')::integer);
GRANT SELECT, INSERT ON evidence TO qenergyz_app;

ALTER TABLE evidence_content ENABLE ROW LEVEL SECURITY;
ALTER TABLE evidence_content FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON evidence_content USING (tenant_id = current_setting('app.tenant')::integer)
    WITH CHECK (tenant_id = current_setting('app.tenant')::integer);
GRANT SELECT, INSERT ON evidence_content TO qenergyz_app;
