-- Reports to authorities: drafts, the versions that were filed, and what the authority answered. Nothing here is ever changed; whether a
-- draft was agreed to stands in its approval. The files themselves are contents of evidence, except those of drafts.

CREATE TABLE filing (
    tenant_id integer NOT NULL REFERENCES tenant,
    filing_id bigint GENERATED ALWAYS AS IDENTITY,
    kind      text NOT NULL CHECK (kind <> ''),
    subject   text NOT NULL CHECK (subject <> ''),
    PRIMARY KEY (tenant_id, filing_id),
    UNIQUE (tenant_id, kind, subject)
);

-- source: canonical document of everything the file says. rows: how many records it has. due_term, event: which term counts from which day.
-- below: evidence rows it names, hexadecimal by name.
CREATE TABLE filing_draft (
    tenant_id integer NOT NULL REFERENCES tenant,
    draft_id  bigint GENERATED ALWAYS AS IDENTITY,
    kind      text NOT NULL CHECK (kind <> ''),
    subject   text NOT NULL CHECK (subject <> ''),
    cancels   boolean NOT NULL,
    made_us   bigint NOT NULL,
    by        text NOT NULL,
    as_of_us  bigint NOT NULL,
    source    text NOT NULL,
    file      bytea NOT NULL,
    rows      integer NOT NULL CHECK (rows >= 0),
    due_term  text NOT NULL,
    event     date,
    below     text NOT NULL,
    PRIMARY KEY (tenant_id, draft_id)
);

-- sha256, manifest: digests of contents of evidence. evidence: the row that tells the version. due_day: null where no day is known.
CREATE TABLE filing_version (
    tenant_id  integer NOT NULL REFERENCES tenant,
    filing_id  bigint NOT NULL,
    number     integer NOT NULL CHECK (number > 0),
    action     text NOT NULL CHECK (action IN ('new', 'amendment', 'cancellation')),
    sha256     bytea NOT NULL CHECK (length(sha256) = 32),
    manifest   bytea NOT NULL CHECK (length(manifest) = 32),
    rows       integer NOT NULL CHECK (rows >= 0),
    made_us    bigint NOT NULL,
    by         text NOT NULL,
    evidence   bytea NOT NULL CHECK (length(evidence) = 32),
    outcome    text NOT NULL,
    due_day    date,
    due_status text NOT NULL,
    draft_id   bigint,
    PRIMARY KEY (tenant_id, filing_id, number),
    FOREIGN KEY (tenant_id, filing_id) REFERENCES filing
);
CREATE UNIQUE INDEX filing_version_draft ON filing_version (tenant_id, draft_id);

-- reasons: a list of {code, place, message}; none: accepted.
CREATE TABLE filing_answer (
    tenant_id   integer NOT NULL REFERENCES tenant,
    filing_id   bigint NOT NULL,
    number      integer NOT NULL,
    received_us bigint NOT NULL,
    by          text NOT NULL,
    reference   text NOT NULL,
    reasons     jsonb NOT NULL,
    PRIMARY KEY (tenant_id, filing_id, number),
    FOREIGN KEY (tenant_id, filing_id, number) REFERENCES filing_version
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['filing', 'filing_draft', 'filing_version', 'filing_answer']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;
