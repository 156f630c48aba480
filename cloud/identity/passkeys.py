"""Passkeys: what an authenticator is asked to sign, and whether it did (WebAuthn, level 3). Pure but for the random challenge; no SQL, no HTTP.

A passkey is a second factor here, after the password, and a proof for a step-up. Attestation is not asked for. The relying party is the host the
person's page came from; an answer for another origin, another host, another challenge or by another key is refused.
"""

import hashlib
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    AuthenticationResponse,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    UserVerificationRequirement,
)

from cloud.identity.passkey_store import Passkey
from cloud.identity.people_store import Person

_FAULTS: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    IndexError,
    AssertionError,
    NotImplementedError,
    struct.error,
    UnsupportedAlgorithm,
)
T = TypeVar("T")


class PasskeyError(ValueError):
    """Why an answer counts for nothing, in a sentence."""


@dataclass(frozen=True, slots=True)
class Answered:
    """credential: attested data, to be kept. sign_count: as the authenticator said it."""

    id: bytes
    credential: bytes
    sign_count: int


class Party:
    """The relying party: host is its identifier, origin where answers have to come from."""

    def __init__(self, host: str, origin: str) -> None:
        self.host, self.origin = host, origin
        self._server = Fido2Server(PublicKeyCredentialRpEntity(id=host, name="Qenergyz"), verify_origin=lambda said: said == origin)

    def ask_new(self, person: Person, known: Sequence[Passkey]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Options for navigator.credentials.create, and what to remember until the answer."""
        user = PublicKeyCredentialUserEntity(
            id=hashlib.sha256(person.place.encode()).digest(), name=person.name, display_name=person.display
        )
        options, state = self._server.register_begin(
            user, [AttestedCredentialData(one.credential) for one in known], user_verification=UserVerificationRequirement.PREFERRED
        )
        return _plain(options), dict(state)

    def read_new(self, state: Mapping[str, Any], answer: Mapping[str, Any]) -> Answered:
        """Raises PasskeyError."""

        def read() -> Answered:
            found = self._server.register_complete(state, RegistrationResponse.from_dict(answer))
            assert found.credential_data is not None
            return Answered(found.credential_data.credential_id, bytes(found.credential_data), found.counter)

        return _checked(read)

    def ask(self, known: Sequence[Passkey]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Options for navigator.credentials.get, and what to remember until the answer."""
        credentials = [AttestedCredentialData(one.credential) for one in known]
        options, state = self._server.authenticate_begin(credentials, user_verification=UserVerificationRequirement.PREFERRED)
        return _plain(options), dict(state)

    def read(self, state: Mapping[str, Any], known: Sequence[Passkey], answer: Mapping[str, Any]) -> Answered:
        """Raises PasskeyError."""

        def read() -> Answered:
            parsed = AuthenticationResponse.from_dict(answer)
            credentials = [AttestedCredentialData(one.credential) for one in known]
            found = self._server.authenticate_complete(state, credentials, parsed)
            return Answered(found.credential_id, bytes(found), parsed.response.authenticator_data.counter)

        return _checked(read)


def _checked(read: Callable[[], T]) -> T:
    try:
        return read()
    except _FAULTS as error:
        raise PasskeyError(str(error) or type(error).__name__) from error


def _plain(value: Any) -> Any:
    """Values of JSON all the way down."""
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in value}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value
