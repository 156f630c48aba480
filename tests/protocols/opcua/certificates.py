"""Keys and certificates for tests, made when asked for."""

import functools
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@functools.cache
def key(name):
    """The same key for the same name, in one run of the tests."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def name_of(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    name, *, issuer="", uri="urn:qenergyz:simulated:server", host="127.0.0.1", days=(-1, 30), ca=False, serial=None, usage=None
):
    """Signed by `issuer`, or by itself; `name` and `issuer` are names of keys."""
    names = [x509.UniformResourceIdentifier(uri), x509.IPAddress(ip_address(host)) if host[0].isdigit() else x509.DNSName(host)]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name_of(name))
        .issuer_name(name_of(issuer or name))
        .public_key(key(name).public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(NOW + days[0] * DAY)
        .not_valid_after(NOW + days[1] * DAY)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    )
    if usage is not None:
        builder = builder.add_extension(usage, critical=True)
    return builder.sign(key(issuer or name), hashes.SHA256())


def revocations(issuer, *serials):
    builder = x509.CertificateRevocationListBuilder().issuer_name(name_of(issuer)).last_update(NOW - DAY).next_update(NOW + DAY)
    for serial in serials:
        builder = builder.add_revoked_certificate(x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW - DAY).build())
    return builder.sign(key(issuer), hashes.SHA256())


def trust_folder(folder, *, certificates=(), issuers=(), crls=()):
    for place, things in (("certificates", certificates), ("issuers", issuers), ("crls", crls)):
        (folder / place).mkdir(parents=True, exist_ok=True)
        for number, thing in enumerate(things):
            (folder / place / f"{number}.der").write_bytes(thing.public_bytes(Encoding.DER))
    return folder


def pem_key(name):
    return key(name).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
