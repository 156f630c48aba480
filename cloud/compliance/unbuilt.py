"""Rules that do not run, each with its reason, and patterns that surveillance looks for instead of a rule.

A rule is missing for one of three reasons: the hub does not know the fact it asks for, another part answers it, or it is not written yet.
The reason says which. Ids are those of the project's tables of rules.
"""

from typing import Final

from cloud.compliance.surveillance.columns import Pattern

NO_FACT: Final = "the hub does not know the fact: "
ELSEWHERE: Final = "answered elsewhere: "
NOT_YET: Final = "not written yet: "

WATCHED: Final[dict[str, Pattern]] = {
    "A-01": Pattern.WASH_TRADE,
    "A-02": Pattern.ROUND_TRIP,
    "A-03": Pattern.LAYERING,
    "A-04": Pattern.MARKING_THE_CLOSE,
    "A-05": Pattern.MOMENTUM_IGNITION,
    "A-06": Pattern.INSIDE_INFORMATION,
    "A-07": Pattern.INSIDE_INFORMATION,
}

UNBUILT: Final[dict[str, str]] = {
    "MF-05": NOT_YET + "hour and form of the daily position report are not confirmed",
    "A-08": NO_FACT + "what was submitted to price reporting agencies",
    "A-11": ELSEWHERE + "draft report of a conduct case",
    "R-08": NOT_YET + "reporting of small producers on request, figures not confirmed",
    "R-10": NO_FACT + "when suspicion arose in a person",
    "R-12": ELSEWHERE + "the schema layer of cloud/reports",
    "R-13": NO_FACT + "LNG market data submitted to ACER",
    "ME-07": NO_FACT + "the inventory of inactive wells",
    "ME-09": ELSEWHERE + "sets of warming potentials in cloud/esg",
    "ME-10": NO_FACT + "the leak register",
    "C-03": ELSEWHERE + "figures of cloud/esg",
    "C-T09": NOT_YET + "block sizes and delays of public reports are not confirmed",
    "C-T11": ELSEWHERE + "surveillance, A-01 to A-07",
    "C-T12": NO_FACT + "recordings of calls and how readily they are found",
    "C-T13": NO_FACT + "the duties of a registered swap dealer; C-T10 says whether one has to register",
    "F-02": ELSEWHERE + "surveillance; intent is judged by people",
    "F-03": NO_FACT + "communications with market operators",
    "F-05": NO_FACT + "what was submitted to price indices",
    "F-08": NO_FACT + "asset categories of the bulk electric system",
    "F-09": ELSEWHERE + "a conduct alert names every authority it concerns",
    "S-02": NO_FACT + "what is material to an issuer: judged by people",
    "S-03": NO_FACT + "reserves",
    "S-04": NO_FACT + "disclosures of a public issuer",
    "S-05": NO_FACT + "controls over financial reporting",
    "P-03": ELSEWHERE + "methods of cloud/esg",
    "P-04": ELSEWHERE + "methods of cloud/esg",
    "U-06": ELSEWHERE + "draft report of a conduct case",
    "U-07": ELSEWHERE + "R-02 to R-05, which UK REMIT follows",
    "U-09": NO_FACT + "message ids of the system operator",
    "U-10": NO_FACT + "bids and offers in the balancing mechanism",
    "U-11": ELSEWHERE + "figures of cloud/esg; scope not confirmed",
    "G-03": NO_FACT + "the master plan",
    "G-06": NO_FACT + "workshops held",
    "G-07": NO_FACT + "tenders and bids",
    "G-08": NO_FACT + "waivers of the Minister",
    "G-10": ELSEWHERE + "fines follow from a finding and are judged by a court",
    "SH-07": NO_FACT + "a board's review of hedges",
}
