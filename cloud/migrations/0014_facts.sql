-- Facts that the hub cannot derive, as they were handed in: a hand-in is written once under its version. known_us: the hub's clock when
-- it was known. by_whom: as the journal names them, never by a person's name.

CREATE TABLE registered_fact (
    tenant_id integer NOT NULL,
    kind      text NOT NULL CHECK (length(kind) BETWEEN 1 AND 100),
    subject   text NOT NULL CHECK (length(subject) BETWEEN 1 AND 200),
    version   integer NOT NULL CHECK (version > 0),
    known_us  bigint NOT NULL,
    by_whom   text NOT NULL,
    sha256    bytea NOT NULL CHECK (length(sha256) = 32),
    document  text NOT NULL,
    PRIMARY KEY (tenant_id, kind, subject, version)
);

ALTER TABLE registered_fact ENABLE ROW LEVEL SECURITY;
ALTER TABLE registered_fact FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON registered_fact USING (tenant_id = current_setting('app.tenant')::integer)
    WITH CHECK (tenant_id = current_setting('app.tenant')::integer);
GRANT SELECT, INSERT ON registered_fact TO qenergyz_app;
