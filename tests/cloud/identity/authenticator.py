"""An authenticator in software: an EC key that answers as WebAuthn says, or as a thief would."""

import json
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from fido2.cose import ES256
from fido2.utils import sha256, websafe_decode, websafe_encode
from fido2.webauthn import AttestationObject, AttestedCredentialData, AuthenticatorData, CollectedClientData

FLAG = AuthenticatorData.FLAG
ORIGIN = "http://hub"


@dataclass
class Authenticator:
    """count: of signatures; None for one that does not count."""

    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    id: bytes = b"credential of a test"
    count: int | None = 0

    def _counted(self) -> int:
        if self.count is None:
            return 0
        self.count += 1
        return self.count

    def create(self, options: dict[str, Any], origin: str = ORIGIN, **changes: Any) -> dict[str, Any]:
        asked = options["publicKey"]
        client = CollectedClientData.create("webauthn.create", changes.get("challenge", asked["challenge"]), origin)
        public = ES256.from_cryptography_key(self.key.public_key())
        attested = AttestedCredentialData.create(b"\0" * 16, self.id, public)
        flags = FLAG.USER_PRESENT | FLAG.USER_VERIFIED | FLAG.ATTESTED
        said = AuthenticatorData.create(sha256(changes.get("host", asked["rp"]["id"]).encode()), flags, self._counted(), bytes(attested))
        made = AttestationObject.create("none", said, {})
        return self._answer({"clientDataJSON": websafe_encode(bytes(client)), "attestationObject": websafe_encode(bytes(made))})

    def get(self, options: dict[str, Any], origin: str = ORIGIN, **changes: Any) -> dict[str, Any]:
        asked = options["publicKey"]
        assert websafe_encode(self.id) in {one["id"] for one in asked["allowCredentials"]}
        client = CollectedClientData.create(changes.get("kind", "webauthn.get"), changes.get("challenge", asked["challenge"]), origin)
        flags = changes.get("flags", FLAG.USER_PRESENT | FLAG.USER_VERIFIED)
        said = AuthenticatorData.create(sha256(changes.get("host", asked["rpId"]).encode()), flags, self._counted())
        signature = changes.get("key", self.key).sign(bytes(said) + sha256(bytes(client)), ec.ECDSA(hashes.SHA256()))
        return self._answer(
            {
                "clientDataJSON": websafe_encode(bytes(client)),
                "authenticatorData": websafe_encode(bytes(said)),
                "signature": websafe_encode(signature),
            }
        )

    def _answer(self, response: dict[str, str]) -> dict[str, Any]:
        found = {"id": websafe_encode(self.id), "rawId": websafe_encode(self.id), "type": "public-key", "response": response}
        return dict(json.loads(json.dumps({**found, "clientExtensionResults": {}})))


def challenge_of(options: dict[str, Any]) -> bytes:
    return websafe_decode(options["publicKey"]["challenge"])
