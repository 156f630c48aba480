"""What a demonstration plays: the sites with their scenarios, and for the desk's stories the assets, the book and the event to watch for."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulators.book import Market

HUB: Final = Path(__file__).resolve().parents[1] / "cloud"
EXAMPLES: Final = HUB / "assets" / "examples"


@dataclass(frozen=True, slots=True)
class DeskStory:
    """asset: the one that fails, shown by `device`; labels: how the recording or the plant calls the event; nameplate: of the stream per day."""

    model: Path
    market: Market
    nameplate: float
    asset: str
    device: str
    gateway: str
    labels: tuple[int, ...]
    conduct: "ConductStory | None" = None


@dataclass(frozen=True, slots=True)
class ConductStory:
    """What others have to be told of the event: the profile of who takes part in the market, and the inventory of sources of emissions."""

    profile: Path
    inventory: Path


@dataclass(frozen=True, slots=True)
class Story:
    """sites: gateway -> scenario; tag: whose samples are exported as a bundle; seal_every: how long a gateway gathers a batch."""

    sites: Mapping[str, str]
    tag: str
    seal_every: str = "1s"
    desk: DeskStory | None = None


STORIES: Final[Mapping[str, Story]] = {
    "wells": Story({"rig1": "demo_rig", "substation1": "demo_substation"}, "well1.p_tpt"),
    "dhsv": Story(
        {"rig1": "dhsv_rig1", "rig2": "dhsv_rig2"},
        "well1.p_tpt",
        "200ms",
        DeskStory(
            EXAMPLES / "dhsv.toml",
            Market("WTI", "Cushing", "bbl", "wti", 75.33, -0.35),
            72_000.0,
            "WELL-A",
            "well1",
            "rig1",
            (102, 2),
            ConductStory(HUB / "compliance" / "examples" / "dhsv.toml", HUB / "esg" / "examples" / "dhsv.toml"),
        ),
    ),
    "fouling": Story(
        {"platform1": "fouling_platform"},
        "compressor1.discharge_c",
        "200ms",
        DeskStory(
            EXAMPLES / "fouling.toml",
            Market("natural gas", "Henry Hub", "MMBtu", "henry_hub", 3.82, 0.05),
            12_400.0,
            "COMPRESSOR-1",
            "compressor1",
            "platform1",
            (1,),
        ),
    ),
}
