-- What lists of API tokens and vouchers need, legal holds on people, and the states of sign-ins at other identity providers.

ALTER TABLE api_token ADD COLUMN token_id bigint GENERATED ALWAYS AS IDENTITY;
ALTER TABLE api_token ADD COLUMN made_by bigint;  -- the person, null where the command line made it
CREATE UNIQUE INDEX api_token_id ON api_token (tenant_id, token_id);

ALTER TABLE voucher ADD COLUMN voucher_id bigint GENERATED ALWAYS AS IDENTITY;
ALTER TABLE voucher ADD COLUMN made_by bigint;
ALTER TABLE voucher ADD COLUMN ended_us bigint;  -- withdrawn before it was used
CREATE UNIQUE INDEX voucher_id ON voucher (tenant_id, voucher_id);
GRANT UPDATE (ended_us) ON voucher TO qenergyz_app;

-- held_us: since then nobody may erase the person's data, because of held_reason.
ALTER TABLE person ADD COLUMN held_us bigint;
ALTER TABLE person ADD COLUMN held_reason text NOT NULL DEFAULT '';
GRANT UPDATE (held_us, held_reason) ON person TO qenergyz_app;

-- A state that came back from another identity provider; it is good once. ends_us: after that its cookie is worth nothing anyway.
CREATE TABLE oidc_state (
    tenant_id integer NOT NULL REFERENCES tenant,
    hash      bytea NOT NULL CHECK (length(hash) = 32),
    ends_us   bigint NOT NULL,
    PRIMARY KEY (tenant_id, hash)
);
ALTER TABLE oidc_state ENABLE ROW LEVEL SECURITY;
ALTER TABLE oidc_state FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON oidc_state USING (tenant_id = current_setting('app.tenant')::integer)
    WITH CHECK (tenant_id = current_setting('app.tenant')::integer);
GRANT SELECT, INSERT, DELETE ON oidc_state TO qenergyz_app;
