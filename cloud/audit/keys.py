"""The keys that sign the tenants' logs: one Ed25519 key file per tenant, made on first use, readable by the hub alone.

The file is the identity of the log. Losing it means a new log (a new origin epoch), so it belongs into every backup.
"""

from pathlib import Path

from protocols.signing import Ed25519Signer


class LogKeys:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loaded: dict[int, Ed25519Signer] = {}

    def signer(self, tenant_id: int) -> Ed25519Signer:
        if tenant_id not in self._loaded:
            self._loaded[tenant_id] = self._load_or_make(self._folder / f"log-{tenant_id}.pem")
        return self._loaded[tenant_id]

    def _load_or_make(self, path: Path) -> Ed25519Signer:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            made = Ed25519Signer.generate()
            try:
                made.save(path)
            except FileExistsError:  # another hub process made it in the same moment
                return Ed25519Signer.load(path)
            return made
        return Ed25519Signer.load(path)
