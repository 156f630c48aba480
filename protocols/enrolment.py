"""What gateway and hub agree on when a gateway introduces itself: its URN, and what its new key signs."""

from typing import Final

URN: Final = "urn:qz:gw:"
_DOMAIN: Final = b"qenergyz enrolment v1\n"


def gateway_urn(name: str) -> str:
    return URN + name


def enrolment_proof(voucher: str, gateway: str, public: bytes) -> bytes:
    """What the new key signs to show that its owner holds it and means this gateway. public: the key as it is enrolled."""
    return _DOMAIN + voucher.encode() + b"\n" + gateway.encode() + b"\n" + public
