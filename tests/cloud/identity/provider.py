"""A company's identity provider on loopback: discovery, keys, authorization and token endpoint, honest unless it is told to lie."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import ECKey

CLIENT, SECRET = "qenergyz", "a secret of two parties"
Claims = dict[str, Any]


@dataclass
class IdentityProvider:
    """claims: of who signs in. lie: changes the claims of the ID token; sign: makes the token of them."""

    claims: Claims
    key: ECKey = field(default_factory=lambda: ECKey.generate_key("P-256", {"kid": "one", "use": "sig", "alg": "ES256"}))
    lie: Callable[[Claims], Claims] = lambda claims: claims
    sign: Callable[[Claims], str] | None = None
    name: str | None = None
    asked: dict[str, dict[str, str]] = field(default_factory=dict)
    issuer: str = ""

    def start(self) -> ThreadingHTTPServer:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.answer({"/.well-known/openid-configuration": provider.discovery, "/keys": provider.keys}.get(self.path))

            def do_POST(self) -> None:
                form = {key: values[0] for key, values in parse_qs(self.rfile.read(int(self.headers["content-length"])).decode()).items()}
                self.answer(lambda: provider.token(form, self.headers.get("authorization", "")))

            def answer(self, make: Callable[[], Any] | None) -> None:
                found = make() if make else None
                body = json.dumps(found).encode()
                self.send_response(200 if found else 400)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def discovery(self) -> Claims:
        addresses = {name: f"{self.issuer}/{path}" for name, path in (("authorization_endpoint", "in"), ("token_endpoint", "token"))}
        return {"issuer": self.name or self.issuer, "jwks_uri": f"{self.issuer}/keys", **addresses}

    def keys(self) -> Claims:
        return {"keys": [self.key.as_dict(private=False)]}

    def approve(self, address: str) -> tuple[str, str]:
        """What a browser does there: code and state to come back with."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(address).query).items()}
        assert query["code_challenge_method"] == "S256"
        code = f"code {len(self.asked)}"
        self.asked[code] = query
        return code, query["state"]

    def token(self, form: dict[str, str], authorization: str) -> Claims | None:
        asked = self.asked.pop(form["code"], None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        right = "Basic " + base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
        if asked is None or challenge != asked["code_challenge"] or form["redirect_uri"] != asked["redirect_uri"] or authorization != right:
            return None
        now_s = int(time.time())
        plain = {"iss": self.issuer, "aud": CLIENT, "iat": now_s, "exp": now_s + 300, "nonce": asked["nonce"], **self.claims}
        claims = self.lie(plain)
        made = self.sign(claims) if self.sign else jwt.encode({"alg": "ES256", "kid": self.key.kid}, claims, self.key, algorithms=["ES256"])
        return {"access_token": "x", "token_type": "Bearer", "id_token": made}
