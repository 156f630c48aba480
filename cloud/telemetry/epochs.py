"""Two agents with one key: found by their epochs. Pure.

An agent numbers its batches in one epoch until it loses its buffer; then it opens another one and never comes back to the first. So as long as
batches of one epoch keep coming, new batches of another are not taken: whoever sends them keeps them and is told to come again. When the first
epoch falls silent (a lost buffer, a twin that was found and stopped), the other may follow. It is told that there are two agents as soon as
the first epoch sends again after the second did.
Copies that share an epoch are found by their numbers: see `ingest.judge_chain`, equivocation.
"""

from dataclasses import dataclass, replace
from typing import Final

SILENT_US: Final = 5_000_000  # an agent that collects seals and sends more often than that


@dataclass(frozen=True, slots=True)
class Held:
    """epoch: that of the newest batch, 0 = none yet; at_us: when it came; rival_us: when another was turned away since, or 0."""

    epoch: int
    at_us: int
    rival_us: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """held: as it is from now on. wait_us: 0 when the batch may be stored. two_agents: it is certain, and has not been told yet."""

    held: Held
    wait_us: int = 0
    two_agents: bool = False


def judge(held: Held, epoch: int, at_us: int, *, seen_before: bool) -> Judgement:
    """A new batch of `epoch`. seen_before: batches of that epoch are already stored."""
    if held.epoch in (0, epoch):
        return Judgement(Held(epoch, at_us, 0), two_agents=held.rival_us > 0)
    silent_us = at_us - held.at_us
    if 0 <= silent_us < SILENT_US:
        return Judgement(replace(held, rival_us=at_us), wait_us=SILENT_US - silent_us)
    return Judgement(Held(epoch, at_us, 0), two_agents=seen_before)
