"""What outages are judged by: the tenant's compliance profile and asset model, read when they have changed, and what is wrong between them."""

from dataclasses import dataclass

from cloud import texts
from cloud.assets.model import Asset, Model, parse_model
from cloud.compliance import profile as profiles
from cloud.compliance.profile import Profile, parse_profile
from cloud.db import Connection
from cloud.disclosure.capacity import thresholds
from cloud.texts import Text


@dataclass(frozen=True, slots=True)
class Setup:
    """The profile with the bytes that rows name; the model where there is one. absent: parts that the model does not have, in words."""

    profile: Profile
    profile_text: bytes
    profile_digest: bytes
    model: Model | None
    model_text: bytes
    model_digest: bytes | None
    failing: dict[str, float]
    absent: tuple[str, ...]

    @property
    def contents(self) -> dict[str, bytes]:
        return {"profile": self.profile_text, "model": self.model_text} if self.model else {"profile": self.profile_text}

    def asset(self, name: str) -> Asset | None:
        return next((asset for asset in self.model.assets if asset.name == name), None) if self.model else None

    @property
    def sites(self) -> tuple[str, ...]:
        """Those of the parts."""
        parts = {part.asset for unit in self.profile.units for part in unit.parts}
        return tuple(sorted({asset.site for asset in self.model.assets if asset.name in parts})) if self.model else ()


async def read_setup(connection: Connection, tenant_id: int, known: Setup | None = None) -> Setup | None:
    """None as long as there is no profile."""
    digests = tuple([await texts.newest_digest(connection, tenant_id, kind) for kind in (Text.PROFILE, Text.MODEL)])
    if digests[0] is None:
        return None
    if known is not None and digests == (known.profile_digest, known.model_digest):
        return known
    stored = await texts.newest(connection, tenant_id, Text.PROFILE)
    assert stored is not None
    profile, model_text = parse_profile(stored.text), await texts.newest(connection, tenant_id, Text.MODEL)
    if model_text is None:
        absent = profiles.absent(profile, ())
        return Setup(profile, stored.text.encode(), stored.digest, None, b"", None, {}, absent)
    model = parse_model(model_text.text)
    absent = profiles.absent(profile, {asset.name for asset in model.assets})
    given = (profile, stored.text.encode(), stored.digest)
    return Setup(*given, model, model_text.text.encode(), model_text.digest, thresholds(model), absent)
