"""Sends sealed batches, the same bytes until a receipt verifies; live stream first, backfill beside it in the same request.

One request is under way at a time, so that each reply's checkpoint is checked against the one before it: signature, consistency, then
every receipt's inclusion of exactly the bytes that were sent. Anything less frees nothing. A log that went back (the hub was restored from
a backup) is trusted again as far as our own receipts prove it (`edge.rewind`), and is fed the rest from the ring.
Failures wait with jittered backoff; a probe of the hub's port ends the wait as soon as the hub is back. 429 and 503 wait as told.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from edge import hubtls, rewind
from edge.buffer import BACKFILL, EVENT, LIVE, Backlog, Sealed
from edge.control import NoFork
from edge.enrolment import Enrolment
from edge.intake import Intake
from protocols.batch import cbor, checkpoint, merkle, receipt, statement
from protocols.batch.errors import BatchError
from protocols.clock import Clock
from protocols.tracing import HEADER, OFF, Tracing

log = logging.getLogger("qenergyz.edge")
MAX_BATCHES: Final = 64
MAX_REQUEST_BYTES: Final = 4_000_000
LEAST_REQUEST_BYTES: Final = 10_000  # what a timeout may shrink requests to, so that a slow link still carries them one by one
TIMEOUT: Final = httpx.Timeout(
    10.0, connect=5.0
)  # the hub answers within 2 s; what a slow link cannot carry in time is sent in smaller parts
FIRST_BACKOFF_S: Final = 0.5
LONGEST_BACKOFF_S: Final = 30.0
PROBE_EVERY_S: Final = 1.0
IDENTITY_RETRY_S: Final = 30.0
LOOK_BACK_BATCHES: Final = 5
IDLE_S: Final = 10.0  # `wake` ends it as soon as there is a batch
# Problems that condemn the one batch; every other problem is about us, the hub or the moment, and keeps the batch.
CONDEMNED: Final = frozenset({"malformed-batch", "bomb", "too-large", "chain-broken", "equivocation"})
# Answers to bytes that may not be the ones we signed: a bit fell over in the file.
DAMAGED: Final = frozenset(
    {"malformed-batch", "bad-signature", "wrong-algorithm", "unknown-key", "bomb", "too-large", "wrong-gateway", "chain-broken"}
)


Explain = Callable[[Exception], Awaitable[str]]


async def in_words(error: Exception) -> str:
    return hubtls.plain(error)


class ForwardError(Exception):
    """Nothing was freed. `retry_after_s`: what the hub asked for, or None for our own backoff; `probe`: end the wait when the port answers."""

    def __init__(self, message: str, *, retry_after_s: float | None = None, probe: bool = False) -> None:
        super().__init__(message)
        self.retry_after_s, self.probe = retry_after_s, probe


class HubDishonest(ForwardError):
    """The hub's log contradicts what it signed before, or a receipt does not prove what it should. A person has to look."""


class LogForked(HubDishonest):
    """The log is at least as long as the trusted one and has another history. Only a person can say that this is meant."""

    def __init__(self, message: str, seen: checkpoint.Checkpoint, text: str) -> None:
        super().__init__(message)
        self.seen, self.text = seen, text


class LogWentBack(HubDishonest):
    """The log no longer continues the one that was trusted. text: the checkpoint it shows instead, whose signature is good."""

    def __init__(self, message: str, seen: checkpoint.Checkpoint, text: str) -> None:
        super().__init__(message)
        self.seen, self.text = seen, text


@dataclass(slots=True)
class ForwarderState:
    connected: bool = False
    cause: str = "nothing sent yet"
    down_since_us: int = 0
    failures: int = 0
    receipts_verified: int = 0
    refused: int = 0
    last_receipt_us: int = 0
    receipt_lag_us: int = 0
    alarm: str = ""
    log_went_back_us: int = 0  # when the hub's log was last found shorter than it had been; batches of the ring were then fed again


class Forwarder:
    """`run` until cancelled; `wake` when there is something to send."""

    def __init__(
        self,
        intake: Intake,
        hub: str,
        enrolment: Enrolment,
        clock: Clock,
        client: httpx.AsyncClient,
        tracing: Tracing = OFF,
        explain: Explain = in_words,
        full_in_s: Callable[[Backlog], float | None] = lambda _: None,
    ) -> None:
        self._tracing = tracing
        self._intake, self._hub, self._enrolment, self._clock, self._client = intake, hub, enrolment, clock, client
        self._log_key = checkpoint.LogKey.parse(enrolment.log_key)
        self._log = self._log_key.verifier()
        self._explain, self._full_in_s = explain, full_in_s
        self._wake = asyncio.Event()
        self._trusted: checkpoint.Checkpoint | None = None
        self._fork: LogForked | None = None
        self._accepted: dict[str, str] = {}  # who answers for going on with the fork, and why
        self._in_doubt = True  # after a start or a failure: the hub may not be the one it was
        self._request_bytes = MAX_REQUEST_BYTES
        self.state = ForwarderState()

    def wake(self) -> None:
        self._wake.set()

    def accept_fork(self, who: str, why: str) -> str:
        """Go on with the other history that the hub was last seen with. Raises NoFork."""
        if self._fork is None:
            raise NoFork(f"the hub's log is the one that is trusted; {self.state.alarm or 'there is nothing to accept'}")
        if not why.strip():
            raise NoFork("say why: it is recorded")
        self._accepted = {"accepted_by": who, "accepted_because": why}
        return "accepted; within half a minute the agent trusts the log from what it still proves, and sends the rest again"

    async def run(self) -> None:
        text = await self._intake.call(self._intake.buffer.checkpoint)
        try:
            self._trusted = checkpoint.verify(text, self._log_key) if text else None
        except BatchError as error:  # the file was damaged there; what the receipts of the ring prove is asked for as ever
            log.error("checkpoint_damaged cause=%s", error)
        while True:
            self._wake.clear()
            try:
                if self._accepted and self._fork:
                    await self._go_on_after_fork(self._fork)
                if self._in_doubt:
                    await self._look_back()
                idle = await self.send_once() == 0
                self._note_up()
            except (ForwardError, httpx.HTTPError) as error:
                self._in_doubt = True
                await self._wait_after(error)
                continue
            if idle:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_S):
                        await self._wake.wait()

    async def send_once(self) -> int:
        """One request with the oldest waiting batches; returns how many were sent (0 = nothing waits). Raises ForwardError, httpx.HTTPError."""
        batches, fresh = await self._intake.call(self._pick)
        if not batches:
            self._intake.live_acknowledged(0)
            return 0
        await self._offer_tag_tables(batches)
        waiting = self._waiting(await self._intake.backlog(), len(batches))
        try:
            reply = await self._post(batches, self._trusted, waiting)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            await self._intake.call(lambda: self._intake.buffer.not_offered(fresh))
            raise
        except httpx.TimeoutException:
            self._request_bytes = max(LEAST_REQUEST_BYTES, self._request_bytes // 4)  # too much for this link, perhaps
            raise
        if reply.status_code != 200:
            await self._understand_problem(reply, batches)
            return len(batches)
        self._request_bytes = min(MAX_REQUEST_BYTES, self._request_bytes * 2)
        await self._clear(reply.content, batches)
        return len(batches)

    def _waiting(self, found: Backlog, sent: int) -> dict[str, int]:
        """What still waits when these were sent, as the hub shows it to people."""
        full_in_s = self._full_in_s(found)
        told = {"backlog": found.sealed_batches - sent, "oldest_us": found.oldest_sealed_us}
        return told if full_in_s is None else told | {"full_in_s": int(full_in_s)}

    async def _post(self, batches: Sequence[Sealed], trusted: checkpoint.Checkpoint | None, waiting: dict[str, int]) -> httpx.Response:
        headers = {"content-type": "application/cbor-seq"} | await self._vouched([batch.statement for batch in batches])
        content = b"".join(batch.statement for batch in batches)
        with self._tracing.span("forward", batches=len(batches), bytes=len(content)) as parent:
            return await self._client.post(
                f"{self._hub}/v1/batches",
                params={"size": trusted.size if trusted else 0, **waiting},
                content=content,
                headers=headers | ({HEADER: parent} if parent else {}),
            )

    async def _vouched(self, statements: Sequence[bytes]) -> dict[str, str]:
        """What a former key has signed is taken on the word of the present one."""
        word = await self._intake.call(self._intake.vouch, statements) if self._intake.former else ""
        return {"vouched": word} if word else {}

    def _pick(self) -> tuple[list[Sealed], list[int]]:
        """The next to send, and which of them go for the first time: they are marked before a byte of them leaves."""
        buffer = self._intake.buffer
        found = buffer.waiting(LIVE, max_batches=MAX_BATCHES, max_bytes=self._request_bytes)
        self._intake.live_acknowledged(len(found))
        for older in (partial(buffer.waiting, EVENT), partial(buffer.waiting, BACKFILL), buffer.waiting_again):
            room = MAX_BATCHES - len(found)
            spare = self._request_bytes - sum(len(batch.statement) for batch in found)
            if room and (spare > 0 or not found):
                found += [batch for batch in older(max_batches=room, max_bytes=max(0, spare)) if not found or len(batch.statement) <= spare]
        return found, buffer.offer(found)

    async def _look_back(self) -> None:
        """Show the hub a batch it has already receipted before anything new: a log that went back must not hide behind new entries."""
        batch = None
        for number, _ in await self._intake.call(self._intake.buffer.receipts, 1 << 62, LOOK_BACK_BATCHES):
            batch = await self._intake.call(self._intake.buffer.acknowledged, number)
            if batch is not None and self._intake.is_ours(batch.statement):  # as it was signed: files get damaged
                break
            batch = None
        if batch is not None:
            reply = await self._post([batch], self._trusted, {"backlog": 0})
            if reply.status_code == 200:
                await self._clear(reply.content, [batch])
            elif reply.status_code != 424:  # a tag table that the restored hub lacks is sent with the batches
                raise _problem_error(reply)
        self._in_doubt = False

    async def _offer_tag_tables(self, batches: Sequence[Sealed]) -> None:
        digests = {batch.table_digest for batch in batches}
        for digest, signed in await self._intake.call(lambda: self._intake.buffer.tag_tables(digests)):
            headers = {"content-type": "application/cose"} | await self._vouched([signed])
            reply = await self._client.put(f"{self._hub}/v1/tag-tables/{digest.hex()}", content=signed, headers=headers)
            if reply.status_code not in (200, 201):
                raise _problem_error(reply)
            await self._intake.call(lambda digest=digest: self._intake.buffer.table_accepted(digest))

    async def _clear(self, content: bytes, batches: Sequence[Sealed]) -> None:
        """Verify the reply against what we trust; then, and only then, let the batches go."""
        began_ns = self._tracing.now_ns()
        try:
            seen, receipts, text = self._verify(content, batches)
        except LogWentBack as error:
            await self._believe_again(error)
            return
        await self._intake.call(lambda: self._intake.buffer.acknowledge(receipts, text))
        self._tracing.past("receipt", began_ns, batches=len(batches), receipts=len(receipts))
        self._trusted = seen
        state, now_us = self.state, self._clock.now_us()
        if receipts:
            state.receipts_verified += len(receipts)
            state.last_receipt_us = now_us
            newest = max(batch.sealed_us for batch in batches)
            state.receipt_lag_us = now_us - newest
        if len(receipts) < len(batches):
            await self._clock.sleep_us(200_000)  # stored but not yet in the log: ask again a little later

    def _verify(self, content: bytes, batches: Sequence[Sealed]) -> tuple[checkpoint.Checkpoint, list[tuple[int, bytes]], str]:
        """What the reply proves. Raises HubDishonest, after raising the alarm."""
        try:
            return self._check(content, batches, self._trusted)
        except LogWentBack as error:
            self._alarm(str(error))
            raise
        except HubDishonest as error:
            if isinstance(error, LogForked):
                self._fork = error
            raise self._alarm(str(error)) from error

    def _check(
        self, content: bytes, batches: Sequence[Sealed], trusted: checkpoint.Checkpoint | None
    ) -> tuple[checkpoint.Checkpoint, list[tuple[int, bytes]], str]:
        try:
            version, text, proof, receipts = _read_reply(content)
            if version != 1 or len(receipts) != len(batches):
                raise HubDishonest(f"reply version {version} with {len(receipts)} receipts for {len(batches)} batches")
            seen = checkpoint.verify(text, self._log_key)
            if seen.origin != self._enrolment.origin:
                raise HubDishonest(f"checkpoint of {seen.origin}, expected {self._enrolment.origin}")
            if trusted is not None and seen.size < trusted.size:
                message = f"log went back from size {trusted.size} to {seen.size}: the hub was restored or rewound"
                raise LogWentBack(message, seen, text)
            if trusted is not None and trusted.size:
                _check_history(trusted, seen, proof, text)
            verified = []
            for batch, issued in zip(batches, receipts, strict=True):
                if issued is not None:
                    found = receipt.verify(issued, statement.entry_hash(batch.statement), self._log, self._enrolment.origin)
                    if (found.size, found.root) != (seen.size, seen.root):
                        raise HubDishonest(f"receipt of tree size {found.size}, checkpoint of {seen.size}: not one tree")
                    verified.append((batch.id, issued))
        except BatchError as error:
            raise HubDishonest(f"reply does not verify: {error}") from error
        return seen, verified, text

    async def _go_on_after_fork(self, fork: LogForked) -> None:
        accepted, self._accepted = self._accepted, {}
        log.error("fork_accepted by='%s' because='%s'", accepted["accepted_by"], accepted["accepted_because"])
        await self._believe_again(LogWentBack(str(fork), fork.seen, fork.text), accepted)
        self._fork = None

    async def _believe_again(self, back: LogWentBack, accepted: dict[str, str] | None = None) -> None:
        """Find the newest of our receipts that the log still proves, trust it from there, and feed it everything receipted later.

        Raises HubDishonest when it proves none of those it should still have: that is another log, not an older one.
        """
        by_size = await rewind.read(self._intake)
        anchor_size, text = 0, back.text
        candidates = list(rewind.candidates(by_size, back.seen.size))
        for size in candidates:
            found = await self._continues(by_size[size][0])
            if found is not None:
                anchor_size, (self._trusted, text) = size, found
                break
        else:
            if candidates and not accepted:
                self._fork = LogForked(str(back), back.seen, back.text)
                raise self._alarm(f"{back}; and it proves none of the receipts it had given before: it is another log")
            self._trusted = back.seen
        again = rewind.later(by_size, anchor_size)
        event = rewind.event(
            str(back), anchor_size, len(again), await self._intake.call(self._intake.buffer.checkpoint), self._clock.now_us(), accepted
        )
        await self._intake.call(self._intake.buffer.feed_again, again, text, event)
        log.error("log_went_back %s proven_to=%d feeding_again=%d", back, anchor_size, len(again))
        self.state.log_went_back_us = event.gateway_us
        self._in_doubt = False

    async def _continues(self, batch_id: int) -> tuple[checkpoint.Checkpoint, str] | None:
        """The log's present checkpoint and its text, if it continues the tree of that batch's receipt."""
        batch = await self._intake.call(self._intake.buffer.acknowledged, batch_id)
        issued = await self._intake.call(self._intake.buffer.receipts, batch_id + 1, 1)
        if batch is None or not issued or issued[0][0] != batch_id or not self._intake.is_ours(batch.statement):
            return None
        try:
            held = receipt.verify(issued[0][1], statement.entry_hash(batch.statement), self._log, self._enrolment.origin)
        except BatchError:
            return None
        anchor = checkpoint.Checkpoint(self._enrolment.origin, held.size, held.root)
        reply = await self._post([batch], anchor, {"backlog": 0})
        if reply.status_code != 200:
            if reply.status_code == 424:
                return None
            raise _problem_error(reply)
        try:
            seen, _, text = self._check(reply.content, [batch], anchor)
        except HubDishonest:
            return None
        return seen, text

    def _alarm(self, message: str) -> HubDishonest:
        if self.state.alarm != message:
            log.error("hub_dishonest %s", message)
        self.state.alarm = message
        return HubDishonest(message, retry_after_s=IDENTITY_RETRY_S)

    async def _understand_problem(self, reply: httpx.Response, batches: Sequence[Sealed]) -> None:
        problem = _problem(reply)
        slug = str(problem.get("type", "")).rpartition(":")[2]
        index = problem.get("index")
        culprit = batches[index] if isinstance(index, int) and 0 <= index < len(batches) else None
        if slug == "unknown-tag-table" and culprit is not None:
            await self._intake.call(lambda: self._intake.buffer.table_accepted(culprit.table_digest, False))
            return
        if slug in DAMAGED and culprit is not None and not self._intake.is_ours(culprit.statement):
            log.error("batch_damaged stream=%s epoch=%d seq=%d", culprit.stream, culprit.epoch, culprit.seq)
            await self._intake.call(self._intake.buffer.set_damaged_aside, culprit)
            return
        if slug in CONDEMNED and culprit is not None:
            cause = f"{slug}: {problem.get('detail', '')}"
            log.error("batch_refused stream=%s epoch=%d seq=%d cause=%s", culprit.stream, culprit.epoch, culprit.seq, cause)
            self.state.refused += 1
            await self._intake.call(lambda: self._intake.buffer.refuse(culprit.id, cause))
            return
        raise _problem_error(reply)

    def _note_up(self) -> None:
        state = self.state
        if not state.connected:
            down_s = (self._clock.now_us() - state.down_since_us) / 1e6 if state.down_since_us else 0.0
            log.info("hub_up url=%s down_s=%.1f", self._hub, down_s)
        state.connected, state.cause, state.failures, state.down_since_us, state.alarm = True, "", 0, 0, ""

    async def _wait_after(self, error: ForwardError | httpx.HTTPError) -> None:
        state = self.state
        cause = await self._explain(error)
        if state.connected or not state.down_since_us:
            log.warning("hub_down url=%s cause=%s", self._hub, cause)
            state.down_since_us = self._clock.now_us()
        state.connected, state.cause = False, cause
        state.failures += 1
        asked = error.retry_after_s if isinstance(error, ForwardError) else None
        backoff_s = asked if asked is not None else min(LONGEST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** min(state.failures - 1, 10))
        backoff_s *= 0.75 + 0.5 * random.random()  # noqa: S311
        if isinstance(error, httpx.TransportError) or (isinstance(error, ForwardError) and error.probe):
            await self._wait_for_port(backoff_s)
        else:
            await self._clock.sleep_us(int(backoff_s * 1e6))

    async def _wait_for_port(self, longest_s: float) -> None:
        """Until the backoff is over or the hub's port takes connections again, whichever is first."""
        parts = urlsplit(self._hub)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        until_us = self._clock.monotonic_us() + int(longest_s * 1e6)
        while (left_us := until_us - self._clock.monotonic_us()) > 0:
            await self._clock.sleep_us(min(left_us, int(PROBE_EVERY_S * 1e6)))
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(PROBE_EVERY_S):
                    _, writer = await asyncio.open_connection(parts.hostname, port)
                writer.close()
                return


def _check_history(trusted: checkpoint.Checkpoint, seen: checkpoint.Checkpoint, proof: list[bytes], text: str) -> None:
    try:
        merkle.verify_consistency(trusted.size, seen.size, trusted.root, seen.root, proof)
    except BatchError as error:
        message = f"log of size {seen.size} does not continue the one of size {trusted.size} that was trusted: {error}"
        raise LogForked(message, seen, text) from error


def _read_reply(content: bytes) -> tuple[int, str, list[bytes], list[bytes | None]]:
    reply = cbor.decode_strict(content)
    if not isinstance(reply, dict) or set(reply) != {0, 1, 2, 3}:
        raise HubDishonest("reply is not the map that the protocol asks for")
    return reply[0], reply[1], reply[2], reply[3]


def _problem(reply: httpx.Response) -> dict[str, Any]:
    try:
        body = reply.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _problem_error(reply: httpx.Response) -> ForwardError:
    problem = _problem(reply)
    text = f"hub answered {reply.status_code} {problem.get('type', '')} {problem.get('detail', reply.reason_phrase)}"
    if reply.status_code in (429, 503) or "retry-after" in reply.headers:
        try:
            wait_s = float(reply.headers.get("retry-after", "1"))
        except ValueError:
            wait_s = 1.0
        return ForwardError(text, retry_after_s=wait_s)
    if 400 <= reply.status_code < 500:
        return ForwardError(text, retry_after_s=IDENTITY_RETRY_S)
    return ForwardError(text)
