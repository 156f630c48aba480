-- People, how they prove who they are, their sessions, and the journal of what was done in the hub by whom.
-- app.credential finds one row before the tenant is known: a person by the digest of tenant and login name, a session, a challenge or a
-- refresh token by the digest of its secret.

-- login: SHA-256 of tenant name, NUL, login name. password: Argon2id in its own text form, '' = none (other identity provider).
-- totp: the secret sealed under the hub's people key, null until it is set up; totp_step: the newest step used, each is good once.
-- failures: in a row; locked_us: until then nobody gets in. issuer, subject: of the company's own identity provider.
CREATE TABLE person (
    tenant_id   integer NOT NULL REFERENCES tenant,
    person_id   bigint GENERATED ALWAYS AS IDENTITY,
    login       bytea NOT NULL UNIQUE CHECK (length(login) = 32),
    name        text NOT NULL,
    display     text NOT NULL,
    role        text NOT NULL,
    password    text NOT NULL,
    totp        bytea,
    totp_step   bigint NOT NULL DEFAULT 0,
    failures    integer NOT NULL DEFAULT 0,
    locked_us   bigint NOT NULL DEFAULT 0,
    issuer      text NOT NULL DEFAULT '',
    subject     text NOT NULL DEFAULT '',
    preferences jsonb NOT NULL DEFAULT '{}',
    version     integer NOT NULL DEFAULT 1,
    created_us  bigint NOT NULL,
    disabled_us bigint,
    erased_us   bigint,
    PRIMARY KEY (tenant_id, person_id),
    UNIQUE (tenant_id, name)
);
CREATE UNIQUE INDEX person_subject ON person (tenant_id, issuer, subject) WHERE subject <> '';

CREATE TABLE passkey (
    tenant_id     integer NOT NULL,
    person_id     bigint NOT NULL,
    credential_id bytea NOT NULL,
    credential    bytea NOT NULL,  -- attested credential data of WebAuthn: identifier and COSE public key
    sign_count    bigint NOT NULL,
    label         text NOT NULL,
    created_us    bigint NOT NULL,
    used_us       bigint,
    PRIMARY KEY (tenant_id, credential_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES person
);

CREATE TABLE recovery_code (
    tenant_id integer NOT NULL,
    person_id bigint NOT NULL,
    hash      bytea NOT NULL,
    used_us   bigint,
    PRIMARY KEY (tenant_id, person_id, hash),
    FOREIGN KEY (tenant_id, person_id) REFERENCES person
);

-- A step on the way in (or up) that waits for its answer; good once. state: what the step has to remember, such as a WebAuthn challenge.
CREATE TABLE challenge (
    tenant_id integer NOT NULL,
    hash      bytea NOT NULL PRIMARY KEY,
    person_id bigint NOT NULL,
    purpose   text NOT NULL,
    state     jsonb NOT NULL DEFAULT '{}',
    ends_us   bigint NOT NULL,
    used_us   bigint,
    FOREIGN KEY (tenant_id, person_id) REFERENCES person
);

-- strong_us: when the person last proved more than the cookie. methods: how they came in, as in RFC 8176.
CREATE TABLE session (
    tenant_id  integer NOT NULL,
    session_id bigint GENERATED ALWAYS AS IDENTITY,
    person_id  bigint NOT NULL,
    hash       bytea NOT NULL UNIQUE,
    methods    text[] NOT NULL,
    agent      text NOT NULL,
    created_us bigint NOT NULL,
    seen_us    bigint NOT NULL,
    strong_us  bigint NOT NULL,
    ends_us    bigint NOT NULL,
    ended_us   bigint,
    PRIMARY KEY (tenant_id, session_id),
    FOREIGN KEY (tenant_id, person_id) REFERENCES person
) WITH (fillfactor = 60);

-- One row per token; using one makes the next of its family, using it again ends the family.
CREATE TABLE refresh_token (
    tenant_id  integer NOT NULL,
    hash       bytea NOT NULL PRIMARY KEY,
    family     bytea NOT NULL,
    person_id  bigint NOT NULL,
    methods    text[] NOT NULL,
    strong_us  bigint NOT NULL,
    created_us bigint NOT NULL,
    ends_us    bigint NOT NULL,
    used_us    bigint,
    ended_us   bigint,
    FOREIGN KEY (tenant_id, person_id) REFERENCES person
);
CREATE INDEX refresh_token_family ON refresh_token (tenant_id, family);

-- What was done in the hub, by whom: never changed. digest: SHA-256 of the canonical document, which is an entry of the tenant's log.
CREATE TABLE action (
    tenant_id integer NOT NULL REFERENCES tenant,
    action_id bigint GENERATED ALWAYS AS IDENTITY,
    at_us     bigint NOT NULL,
    by        text NOT NULL,
    name      text NOT NULL,
    subject   text NOT NULL,
    document  text NOT NULL,
    digest    bytea NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (tenant_id, action_id)
);
CREATE INDEX action_time ON action (tenant_id, at_us);

-- Something that a second person has to agree to before it is done. body: the request as it was asked.
CREATE TABLE approval (
    tenant_id   integer NOT NULL REFERENCES tenant,
    approval_id bigint GENERATED ALWAYS AS IDENTITY,
    action      text NOT NULL,
    subject     text NOT NULL,
    body        jsonb NOT NULL,
    asked_by    bigint NOT NULL,
    asked_us    bigint NOT NULL,
    ends_us     bigint NOT NULL,
    decided_by  bigint,
    decided_us  bigint,
    agreed      boolean,
    reason      text NOT NULL DEFAULT '',
    PRIMARY KEY (tenant_id, approval_id)
);

-- One row per tenant that has settings of its own: jurisdiction, time zone, quotas, retention, how people come in.
CREATE TABLE tenant_setting (
    tenant_id  integer NOT NULL REFERENCES tenant PRIMARY KEY,
    version    integer NOT NULL,
    document   jsonb NOT NULL,
    changed_us bigint NOT NULL
);

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['person', 'passkey', 'recovery_code', 'challenge', 'session', 'refresh_token', 'action', 'approval', 'tenant_setting']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', name);
        EXECUTE format('CREATE POLICY own ON %I USING (tenant_id = current_setting(''app.tenant'')::integer) '
            'WITH CHECK (tenant_id = current_setting(''app.tenant'')::integer)', name);
        EXECUTE format('GRANT SELECT, INSERT ON %I TO qenergyz_app', name);
    END LOOP;
END $$;

GRANT UPDATE (login, name, display, role, password, totp, totp_step, failures, locked_us, issuer, subject, preferences, version, disabled_us, erased_us)
    ON person TO qenergyz_app;
GRANT UPDATE (sign_count, label, used_us), DELETE ON passkey TO qenergyz_app;
GRANT UPDATE (used_us), DELETE ON recovery_code TO qenergyz_app;
GRANT UPDATE (used_us, state), DELETE ON challenge TO qenergyz_app;
GRANT UPDATE (seen_us, strong_us, ended_us, methods), DELETE ON session TO qenergyz_app;
GRANT UPDATE (used_us, ended_us), DELETE ON refresh_token TO qenergyz_app;
GRANT UPDATE (decided_by, decided_us, agreed, reason) ON approval TO qenergyz_app;
GRANT UPDATE (version, document, changed_us) ON tenant_setting TO qenergyz_app;

CREATE POLICY by_credential ON person FOR SELECT USING (login = decode(current_setting('app.credential', true), 'hex'));
CREATE POLICY by_credential ON challenge FOR SELECT USING (hash = decode(current_setting('app.credential', true), 'hex'));
CREATE POLICY by_credential ON session FOR SELECT USING (hash = decode(current_setting('app.credential', true), 'hex'));
CREATE POLICY by_credential ON refresh_token FOR SELECT USING (hash = decode(current_setting('app.credential', true), 'hex'));
