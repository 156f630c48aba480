"""TLS towards a broker: what is trusted, and what is shown. Reads files; opens no connection.

The broker's certificate is always verified, its name too: there is no option to leave that out. Without `ca_file` the system's authorities are
trusted. A client certificate needs its key in a file of its own or behind the certificate in the same file.
"""

import ssl

from protocols.mqtt.plan import MqttSettings


def context(settings: MqttSettings) -> ssl.SSLContext:
    """Raises ValueError with a sentence."""
    made = ssl.create_default_context()
    if settings.ca_file is not None:
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # which checks certificate and name
        try:
            made.load_verify_locations(settings.ca_file)
        except (OSError, ValueError) as error:
            raise ValueError(f"ca_file {settings.ca_file} cannot be used ({_why(error)})") from error
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.certificate_file is not None:
        key = settings.key_file or settings.certificate_file
        try:
            made.load_cert_chain(settings.certificate_file, key, password=_no_password)
        except (OSError, ValueError) as error:
            raise ValueError(f"certificate_file {settings.certificate_file} with key {key} cannot be used ({_why(error)})") from error
    return made


def _no_password() -> str:
    raise ValueError("the key is encrypted; a gateway starts without a person, give it a key without password, readable by it alone")


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def refusal(error: ssl.SSLError) -> str | None:
    """What a person has to change for this handshake to succeed, None when it may succeed by itself later."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the broker's certificate is not accepted ({error.verify_message}); name the authority that issued it in ca_file, and the broker by the name in its certificate"
    reason = error.reason or ""
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason or "ALERT_ACCESS_DENIED" in reason:
        return f"the broker does not accept our certificate ({_why(error)}); check certificate_file and key_file"
    if "WRONG_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason or "ALERT_PROTOCOL_VERSION" in reason:
        return f"the broker does not speak TLS here ({_why(error)}); use its TLS port, or mqtt:// instead of mqtts://"
    return None
