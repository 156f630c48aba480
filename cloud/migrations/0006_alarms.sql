-- The journal of alarms: a row for each transition, with how the alarm stands after it, so that the newest row of an alarm is its
-- present state. Rows are added and never changed.

-- event: what happened; by: "hub" or the principal's name; reason: given by whom it was done. state, active, since_us (of the state),
-- active_us (since when the condition holds, 0 when it does not), until_us and once (of a shelving), priority, cause (of the condition, in
-- words), evidence (digest of the health row it was seen in): after the transition.
CREATE TABLE alarm_transition (
    tenant_id     integer NOT NULL,
    transition_id bigint GENERATED ALWAYS AS IDENTITY,
    at_us         bigint NOT NULL,
    asset         text NOT NULL,
    alarm         text NOT NULL,
    event         text NOT NULL,
    by            text NOT NULL,
    reason        text NOT NULL,
    state         text NOT NULL,
    active        boolean NOT NULL,
    since_us      bigint NOT NULL,
    active_us     bigint NOT NULL,
    until_us      bigint NOT NULL,
    once          boolean NOT NULL,
    priority      text NOT NULL,
    cause         text NOT NULL,
    evidence      bytea NOT NULL CHECK (length(evidence) IN (0, 32)),
    PRIMARY KEY (tenant_id, transition_id)
);
CREATE INDEX alarm_transition_newest ON alarm_transition (tenant_id, asset, alarm, transition_id);
CREATE INDEX alarm_transition_time ON alarm_transition (tenant_id, at_us);

ALTER TABLE alarm_transition ENABLE ROW LEVEL SECURITY;
ALTER TABLE alarm_transition FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON alarm_transition USING (tenant_id = current_setting('app.tenant')::integer)
    WITH CHECK (tenant_id = current_setting('app.tenant')::integer);
GRANT SELECT, INSERT ON alarm_transition TO qenergyz_app;
