-- Which of a gateway's epochs is the one that sends. An agent has one epoch at a time; two that send at once are two agents with one key.

-- held_epoch: of the newest accepted batch, 0 before the first; held_us: when that came; rival_us: when a batch of another epoch was last
-- turned away, 0 when none was since the newest batch.
ALTER TABLE gateway
    ADD COLUMN held_epoch bigint NOT NULL DEFAULT 0,
    ADD COLUMN held_us bigint NOT NULL DEFAULT 0,
    ADD COLUMN rival_us bigint NOT NULL DEFAULT 0;
GRANT UPDATE (held_epoch, held_us, rival_us) ON gateway TO qenergyz_app;
