"""Certificates for Modbus inside TLS (MODBUS/TCP Security v21): both sides show one, and ours may carry a role that the device goes by.

A device that shows no certificate of our authority, or another name than it is reached by, is not spoken to.
"""

import ssl
from pathlib import Path
from typing import Final

from cryptography import x509

from protocols.modbus.settings import Credentials

ROLE: Final = x509.ObjectIdentifier("1.3.6.1.4.1.50316.802.1")
_UTF8_STRING: Final = 0x0C


class BadCredentials(Exception):
    """A file is missing or is not what it should be; the message says which and what to do."""


def client_context(credentials: Credentials) -> ssl.SSLContext:
    """Raises BadCredentials."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, credentials.ca_file, credentials.certificate_file, credentials.key_file)
    if credentials.role and (found := role_of(credentials.certificate_file.read_bytes())) != credentials.role:
        raise BadCredentials(
            f'certificate_file {credentials.certificate_file} carries {f"the role {found!r}" if found else "no role"}, expected "{credentials.role}"; '
            "have a certificate with that role issued, or change role"
        )
    return context


def server_context(ca_file: Path, certificate_file: Path, key_file: Path) -> ssl.SSLContext:
    """For a simulated device: asks every client for a certificate. Raises BadCredentials."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    _load(context, ca_file, certificate_file, key_file)
    return context


def _load(context: ssl.SSLContext, ca_file: Path, certificate_file: Path, key_file: Path) -> None:
    for key, path in (("ca_file", ca_file), ("certificate_file", certificate_file), ("key_file", key_file)):
        if not path.is_file():
            raise BadCredentials(f"{key} {path} does not exist; put the PEM file there or change {key}")
    try:
        context.load_verify_locations(ca_file)
    except (ssl.SSLError, OSError) as error:
        raise BadCredentials(f"ca_file {ca_file} holds no certificate in PEM form ({error})") from error
    try:
        context.load_cert_chain(certificate_file, key_file)
    except (ssl.SSLError, OSError) as error:
        raise BadCredentials(
            f"certificate_file {certificate_file} and key_file {key_file} are no certificate with its own key ({error})"
        ) from error


def role_of(certificate: bytes) -> str:
    """The role in a certificate (PEM or DER), "" when it has none. Raises BadCredentials for a role that is no text."""
    try:
        parsed = (
            x509.load_pem_x509_certificate(certificate)
            if certificate.lstrip().startswith(b"-----")
            else x509.load_der_x509_certificate(certificate)
        )
        value = parsed.extensions.get_extension_for_oid(ROLE).value
    except x509.ExtensionNotFound:
        return ""
    except ValueError as error:
        raise BadCredentials(f"not a certificate: {error}") from error
    text = value.value if isinstance(value, x509.UnrecognizedExtension) else b""
    if len(text) < 2 or text[0] != _UTF8_STRING or text[1] != len(text) - 2:
        raise BadCredentials(f"the role extension is no UTF8String of up to 127 bytes: {text[:16].hex(' ')}")
    return text[2:].decode()
