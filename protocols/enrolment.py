"""What gateway and hub agree on when a gateway introduces itself or changes its key: its URN, and what its keys sign."""

from typing import Final

URN: Final = "urn:qz:gw:"
TENANT_URN: Final = "urn:qz:tenant:"  # in certificates that a hub issues
CERTIFICATE_REQUEST: Final = "certificate-request"  # kind of the signed document
_DOMAIN: Final = b"qenergyz enrolment v1\n"
_ROTATION: Final = b"qenergyz key rotation v1\n"


def gateway_urn(name: str) -> str:
    return URN + name


def enrolment_proof(voucher: str, gateway: str, public: bytes) -> bytes:
    """What the new key signs to show that its owner holds it and means this gateway. public: the key as it is enrolled."""
    return _DOMAIN + voucher.encode() + b"\n" + gateway.encode() + b"\n" + public


def rotation_text(gateway: str, old_key_id: bytes, public: bytes, overlap_s: int) -> bytes:
    """What both keys sign when a gateway replaces its key: the old one to hand over, the new one to show that its owner holds it.

    overlap_s: how long the hub takes the old key beside the new one.
    """
    return _ROTATION + gateway.encode() + b"\n" + old_key_id + public + overlap_s.to_bytes(8, "big")
