"""Rows over real batches, as the hub's stages make them: health of a rig from its batches, risk of a book from health."""

from dataclasses import dataclass, field

from protocols.batch import evidence, statement
from protocols.batch.evidence import BatchRef, Inputs, Row
from tests.cloud.conftest import TestHub
from tests.cloud.gateway import Gateway

MODEL = b"[site]\nname = 'rig1'\n"
DEALS = b'[{"deal":"d1"}]'


def ref(data: bytes) -> BatchRef:
    parsed = statement.parse(data)
    header = parsed.header
    return BatchRef(header.gateway, header.stream, header.epoch, header.seq, parsed.entry)


def health(subject: str, batches: list[bytes], state: bytes = b"", at: int = 10) -> Row:
    contents = {"model": evidence.digest(MODEL)} | ({"state": evidence.digest(state)} if state else {})
    inputs = Inputs(contents=contents, batches=tuple(map(ref, batches)))
    return Row("health", subject, at, inputs, {"learn": 3}, 0, {"qenergyz": "test"}, {"index": 0.5})


def risk(rows: dict[str, bytes], at: int = 20, joint: float = 12.5) -> Row:
    inputs = Inputs(rows=rows, contents={"deals": evidence.digest(DEALS)})
    return Row("risk", "book main", at, inputs, {"paths": 10}, 42, {"qenergyz": "test"}, {"joint": joint})


MODEL_CONTENT = {evidence.digest(MODEL): MODEL}
DEALS_CONTENT = {evidence.digest(DEALS): DEALS}


@dataclass
class Story:
    """Two rigs with two batches each; health of both, and risk from both."""

    hub: TestHub
    rigs: dict[str, Gateway] = field(default_factory=dict)
    sent: dict[str, list[bytes]] = field(default_factory=dict)
    health: dict[str, bytes] = field(default_factory=dict)
    risk: bytes = b""

    async def tell(self) -> "Story":
        from cloud.evidence import store

        for name in ("rig1", "rig2"):
            gateway = self.rigs[name] = await self.hub.gateway(name)
            self.sent[name] = [gateway.seal(), gateway.seal()]
            await gateway.send(*self.sent[name])
        async with self.hub.hub.db.tenant(1) as connection:
            for name, batches in self.sent.items():
                self.health[name] = await store.append(connection, 1, health(name, batches), MODEL_CONTENT, 11)
            rows = {f"health {name}": digest for name, digest in self.health.items()}
            self.risk = await store.append(connection, 1, risk(rows), DEALS_CONTENT, 21)
        self.hub.hub.log.wake(1)
        return self
