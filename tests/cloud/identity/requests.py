"""Random requests made from the description of the API: any operation, any parameter, any body, with names of somebody else mixed in. Seeded."""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

_METHODS: Final = ("get", "put", "post", "patch", "delete")
_MOST: Final = (1 << 62) - 1


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    operation: str
    query: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()

    @property
    def text(self) -> str:
        """Everything that was said in it."""
        return f"{self.path} {self.query} {self.headers} {(self.body or b'').decode('utf-8', 'replace')}"


@dataclass
class Maker:
    """words, numbers: what is put where a text or a number is asked for. documents: good bodies by operation, of which some values are exchanged."""

    document: dict[str, Any]
    words: Sequence[str]
    numbers: Sequence[int]
    rng: random.Random
    documents: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.operations = [
            (method, path, found)
            for path, methods in self.document["paths"].items()
            for method, found in methods.items()
            if method in _METHODS
        ]

    def make(self) -> Asked:
        method, path, found = self.rng.choice(self.operations)
        name = f"{method.upper()} {path}"
        query: list[tuple[str, str]] = []
        headers: list[tuple[str, str]] = []
        for parameter in found.get("parameters", ()):
            value = self._plain(self._value(parameter["schema"]))
            if parameter["in"] == "query" and (parameter.get("required") or self.rng.random() < 0.5):
                query.append((parameter["name"], value))
            if parameter["in"] == "header" and self.rng.random() < 0.8:
                headers.append((parameter["name"], f'"{self.rng.randint(0, 3)}"'))
        filled = re.sub(r"\{(\w+)\}", lambda match: self._place(match[1], found), path)
        body = self._body(name, found) if "requestBody" in found else None
        return Asked(method.upper(), filled, name, tuple(query), body, tuple(headers))

    def _place(self, name: str, found: dict[str, Any]) -> str:
        schema: dict[str, Any] = next((one["schema"] for one in found.get("parameters", ()) if one["name"] == name), {})
        return re.sub(r"[^A-Za-z0-9._/-]", "-", self._plain(self._value(schema))) or "x"

    def _plain(self, value: Any) -> str:
        return str(value).replace("\0", "")

    def _body(self, name: str, found: dict[str, Any]) -> bytes:
        content = found["requestBody"]["content"]
        if name in self.documents and self.rng.random() < 0.7:
            made = self.documents[name]
            return made.encode() if isinstance(made, str) else orjson.dumps(self._exchanged(made))
        if "application/json" not in content:
            return self._plain(self.rng.choice(self.words)).encode()
        schema = self._resolved(content["application/json"]["schema"])
        examples = schema.get("examples")
        value = self._exchanged(self.rng.choice(examples)) if examples and self.rng.random() < 0.5 else self._value(schema)
        return orjson.dumps(value, default=str)

    def _resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        while "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        return schema

    def _value(self, schema: dict[str, Any], depth: int = 0) -> Any:
        schema = self._resolved(schema)
        if choices := schema.get("anyOf") or schema.get("oneOf"):
            return self._value(self.rng.choice(choices), depth)
        if "enum" in schema:
            return self.rng.choice(schema["enum"])
        if "const" in schema:
            return schema["const"]
        match schema.get("type"):
            case "object":
                properties = schema.get("properties", {})
                needed = schema.get("required", ())
                return {key: self._value(one, depth + 1) for key, one in properties.items() if key in needed or self.rng.random() < 0.5}
            case "array":
                return [self._value(schema.get("items", {}), depth + 1) for _ in range(self.rng.randint(0, 2) if depth < 4 else 0)]
            case "integer" | "number":
                number = self.rng.choice((*self.numbers, 0, 1, 1_000_000, _MOST))
                low, high = schema.get("minimum", number), schema.get("maximum", number)
                return min(max(number, low), high) if self.rng.random() < 0.9 else number
            case "boolean":
                return self.rng.random() < 0.5
            case "null":
                return None
        return self.rng.choice(self.words)

    def _exchanged(self, value: Any) -> Any:
        """The same document with some of its values exchanged for words and numbers."""
        if isinstance(value, dict):
            return {key: self._exchanged(one) for key, one in value.items()}
        if isinstance(value, list):
            return [self._exchanged(one) for one in value]
        if isinstance(value, bool) or self.rng.random() < 0.8:
            return value
        if isinstance(value, str):
            return self.rng.choice(self.words)
        return self.rng.choice(self.numbers) if isinstance(value, int) else value
