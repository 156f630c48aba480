"""The page of auditors: the browser says of every file what the program says, without a network; and the log leads where it says."""

import base64
import hashlib
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils
from playwright.sync_api import FilePayload, expect

from protocols.batch import bundle, checkpoint, merkle, pedigree, receipt, statement
from protocols.batch.bundle import Bundle, Window
from protocols.batch.columns import Group
from protocols.batch.proofs import ProvenBatch
from protocols.batch.statement import Header, Payload
from protocols.devicemap import TagTable
from protocols.signing import Ed25519Signer, enrolled_verifier
from tests.cloud.web.axe import grave
from tests.cloud.web.browser import Site, Tab
from tests.protocols.batch import pedigrees, test_bundle, test_pedigree

CASES: Final = json.loads((Path(__file__).parents[2] / "cases" / "trust.json").read_text())
CHECK: Final = """async ([files, key]) => {
  const { verify } = await import("/proof/walk.mjs");
  const told = [];
  for (const file of files) told.push((await verify(Uint8Array.from(atob(file), (char) => char.charCodeAt(0)), key)).steps.map((step) => [step.name, step.ok]));
  return told;
}"""
VECTORS: Final = """async (cases) => {
  const [cbor, cose, merkle] = await Promise.all(["cbor", "cose", "merkle"].map((name) => import(`/proof/${name}.mjs`)));
  const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
  const paths = (given) => given.map(bytes);
  const must = (holds) => { if (!holds) throw new Error("does not hold"); };
  const run = {
    "td-inclusion": async (i) => must(cbor.same(await merkle.rootFromInclusion(bytes(i.leaf_hash_hex), i.leaf_index, i.tree_size, paths(i.proof_hex)), bytes(i.root_hex))),
    "td-consistency": (i) => merkle.verifyConsistency(i.size1, i.size2, bytes(i.root1_hex), bytes(i.root2_hex), paths(i.proof_hex)),
    "cbor-": (i) => cbor.decode(bytes(i.cbor_hex)),
    "c2sp-checkpoint": (i) => cose.parseCheckpoint(i.text),
    "ed25519-malleable": async (i) => (await cose.verifierOf(-19, bytes(i.public_hex))).verify(bytes(i.msg_hex), bytes(i.signature_hex)),
    "qz1-golden": async (i) => {
      const parsed = await cose.parseStatement(bytes(i.statement_hex));
      await cose.checkSignature(parsed.sign1, await cose.verifierOf(-19, bytes(i.gateway_public_hex)), parsed.frame);
      await cose.verifyReceipt(parsed.entry, cose.parseReceipt(bytes(i.receipt_hex)), await cose.verifierOf(-19, bytes(i.hub_public_hex)), i.origin);
    },
    "qz1-neg": async (i) => {
      const parsed = await cose.parseStatement(bytes(i.statement_hex));
      await cose.checkSignature(parsed.sign1, await cose.verifierOf(-19, bytes(i.gateway_public_hex)), parsed.frame);
    },
    "qz1-receipt": async (i) => {
      const entry = await merkle.sha256(bytes(i.statement_hex));
      await cose.verifyReceipt(entry, cose.parseReceipt(bytes(i.receipt_hex)), await cose.verifierOf(-19, bytes(i.hub_public_hex)), i.origin);
    },
  };
  const told = {};
  for (const one of cases) {
    const kind = Object.keys(run).find((name) => one.id.startsWith(name));
    try { await run[kind](one.inputs); told[one.id] = true; } catch (error) { told[one.id] = false; }
  }
  return told;
}"""
KINDS: Final = ("td-inclusion", "td-consistency", "cbor-", "c2sp-checkpoint", "ed25519-malleable", "qz1-golden", "qz1-neg", "qz1-receipt")


def forged(test: Any) -> dict[str, Any]:
    """The forgeries that the tests of the program know, by their names."""
    (mark,) = [mark for mark in test.pytestmark if mark.name == "parametrize"]
    return {str(case.id): case.values[0] for case in mark.args[1]}


SAMPLES: Final = forged(test_bundle.test_a_forged_bundle_with_a_good_digest_fails_at_its_step)
EVIDENCE: Final = forged(test_pedigree.test_a_forged_file_with_a_good_digest_fails_at_its_step_and_names_what_differs)


def by_program(data: bytes, key: str | None = None) -> list[list[Any]]:
    module = pedigree if pedigree.is_pedigree(data) else bundle
    return [[step.name, step.ok] for step in module.verify(data, key).steps]


def by_browser(tab: Tab, files: list[bytes], key: str | None = None) -> list[list[list[Any]]]:
    told: list[list[list[Any]]] = tab.page.evaluate(CHECK, [[base64.b64encode(data).decode() for data in files], key])
    return told


def give(tab: Tab, data: bytes, name: str = "proof.qzb") -> None:
    tab.page.locator("input[type=file]").set_input_files(FilePayload(name=name, mimeType="application/octet-stream", buffer=data))


@pytest.fixture
def auditor(tab: Tab) -> Tab:
    tab.sign_in("auditor")
    tab.open("/verify")
    return tab


@pytest.mark.parametrize(
    ("good", "write", "forgeries"),
    [(test_bundle.GOOD, bundle.write, SAMPLES), (pedigrees.GOOD, pedigree.write, EVIDENCE)],
    ids=["samples", "evidence"],
)
def test_every_forgery_fails_at_the_same_step_as_in_the_program(
    auditor: Tab, good: Any, write: Callable[[Any], bytes], forgeries: dict[str, Any]
) -> None:
    files = [write(one) for one in (good, *forgeries.values())]
    told = by_browser(auditor, files)
    assert all(ok for _, ok in told[0])
    assert dict(zip(("good", *forgeries), told, strict=True)) == dict(zip(("good", *forgeries), map(by_program, files), strict=True))
    assert len(forgeries) >= 19


@pytest.mark.parametrize("data", [bundle.write(test_bundle.GOOD), pedigree.write(pedigrees.GOOD)], ids=["samples", "evidence"])
def test_a_changed_byte_is_found_also_when_the_digest_was_made_anew(auditor: Tab, data: bytes) -> None:
    rng = random.Random(6)
    files = []
    for position in rng.sample(range(len(data) - 32), 120):
        body = data[:position] + bytes((data[position] ^ (1 << rng.randrange(8)),)) + data[position + 1 : -32]
        files.append(body + hashlib.sha256(body).digest())
    told = by_browser(auditor, files)
    found = [[step for step, ok in one if not ok][:1] for one in told]
    expected = [[step for step, ok in by_program(one) if not ok][:1] for one in files]
    assert [at for at, (one, other) in enumerate(zip(found, expected, strict=True)) if one != other] == []


def test_truncated_lengthened_and_empty_files_are_refused(auditor: Tab) -> None:
    data = bundle.write(test_bundle.GOOD)
    told = by_browser(auditor, [data[:-1], data + b"\x00", data[:100], b"", b"\xa0", data[:-32] + bytes(32)])
    assert [next(step for step, ok in one if not ok) for one in told] == ["container"] * 5 + ["digest"]


def test_published_and_own_vectors_are_judged_as_they_say(auditor: Tab) -> None:
    chosen = [case for case in CASES if case["id"].startswith(KINDS)]
    told = auditor.page.evaluate(VECTORS, chosen)
    assert len(chosen) > 90
    assert {name for name, holds in told.items() if holds} == {case["id"] for case in chosen if case["expected"].get("valid", True)}


TYPES: Final = {"int8": "<i4", "uint32": "<i4", "int64": "<i8", "uint64": "<i8", "float32": "<f4", "float64": "<f8", "bool": "<i4"}
TAGS: Final = (*TYPES, "float64", "float64")


def column(rng: np.random.Generator, at: int, rows: int) -> Any:
    """Values of tag `at`: smooth, noisy, or decimals."""
    dtype = np.dtype(TYPES[TAGS[at]])
    walk = np.cumsum(rng.integers(-9, 10, rows))
    if at == len(TAGS) - 1:
        return np.round(walk / 100, 2)
    if at % 3 == 1:
        return rng.normal(0, 1e3, rows).astype(dtype)
    return walk.astype(dtype) if dtype.kind == "i" else (walk / 8).astype(dtype)


def signed_batches(table: TagTable) -> list[bytes]:
    """One chain of batches that hold tags of every type, on a grid and off it, short and long, with qualities."""
    rng = np.random.default_rng(17)
    signed: list[bytes] = []
    for number, rows in enumerate((1, 2, 3, 40, 700, 1500)):
        start = number * 2_000_000_000
        groups = []
        for at in range(len(TAGS)):
            times = start + 1000 * np.arange(rows) if at % 2 else np.sort(start + rng.integers(0, 10**9, rows))
            quality = rng.choice(np.array([0, 0, 0x40000000, 0x80000000], np.uint32), (rows, 1)) if at % 3 == 0 else None
            values = column(rng, at, rows).reshape(-1, 1)
            groups.append(Group(np.array([at], np.uint32), times.astype(np.int64), values, quality))
        prev = statement.entry_hash(signed[-1]) if signed else statement.START
        header = Header(test_bundle.URN, "live", 1, number + 1, prev)
        signed.append(statement.seal(header, Payload(table.digest, tuple(groups)), test_bundle.GATEWAY))
    return signed


def files_of_every_type() -> list[Bundle]:
    """The same batches as proof of each of their tags."""
    rows = [test_bundle.row(at, f"t{at}", kind, ("1", "0.01", "0.125", "3.7")[at % 4]) for at, kind in enumerate(TAGS)]
    table = TagTable.parse(json.dumps({"gateway": "rig7", "tags": rows}, sort_keys=True, separators=(",", ":"), ensure_ascii=False))
    signed, tree = signed_batches(table), merkle.Tree()
    for data in signed:
        tree.append(merkle.leaf_hash(statement.entry_hash(data)))
    root = receipt.sign_root(tree.size, tree.root(), test_bundle.ORIGIN, 1_717_200_100, test_bundle.LOG)
    proofs = [receipt.issue(root, at, merkle.inclusion_proof(at, tree.size, tree.node)) for at in range(tree.size)]
    batches = tuple(ProvenBatch(data, proof, table.digest) for data, proof in zip(signed, proofs, strict=True))
    head = checkpoint.Checkpoint(test_bundle.ORIGIN, tree.size, tree.root()).sign(test_bundle.LOG)
    held = replace(test_bundle.GOOD, checkpoint=head, batches=batches, tables=(table.text,))
    payloads = [statement.parse(data).open() for data in signed]
    windows = [Window(test_bundle.URN, f"well1.t{at}", 1_000_000_000, 11_000_000_000) for at in range(len(TAGS))]
    return [replace(held, window=window, samples=bundle.recompute(payloads, {table.digest: table}, window)) for window in windows]


def test_samples_of_every_type_are_recomputed_to_the_bit(auditor: Tab) -> None:
    good = files_of_every_type()
    for one, told in zip(good, by_browser(auditor, [bundle.write(one) for one in good]), strict=True):
        assert len(one.samples.values) > 1000
        assert [step for step, ok in told if not ok] == [], one.window.tag
    changed = []
    for one in good:
        values = one.samples.values.copy()
        values[700] = np.nextafter(values[700], np.inf)
        changed.append(bundle.write(replace(one, samples=replace(one.samples, values=values))))
    assert {tuple(step for step, ok in told if not ok) for told in by_browser(auditor, changed)} == {("samples",)}


def test_signatures_of_p256_keys_are_checked(auditor: Tab) -> None:
    private = ec.generate_private_key(ec.SECP256R1())
    point = private.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    message = b"what a key in hardware has signed"
    r, s = utils.decode_dss_signature(private.sign(message, ec.ECDSA(hashes.SHA256())))
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big")
    script = """async ([key, message, signature]) => {
      const bytes = (hex) => Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
      const { verifierOf } = await import("/proof/cose.mjs");
      const verifier = await verifierOf(-9, bytes(key));
      return [...verifier.keyId, ...(await verifier.verify(bytes(message), bytes(signature)).then(() => [true], () => [false]))];
    }"""
    verifier = enrolled_verifier(-9, point)
    told = auditor.page.evaluate(script, [point.hex(), message.hex(), signature.hex()])
    assert told == [*verifier.key_id, True]
    assert auditor.page.evaluate(script, [point.hex(), b"x".hex() + message.hex(), signature.hex()])[-1] is False


def test_a_good_file_is_proven_without_a_network(auditor: Tab) -> None:
    while not any(url.endswith("/proof/zstd.mjs") for url in auditor.requests):  # the page asks by itself; the deepest module comes last
        auditor.page.wait_for_event("request")
    auditor.page.evaluate("import('/proof/walk.mjs').then(() => true)")  # until it has come
    auditor.context.set_offline(True)
    before = len(auditor.requests)
    give(auditor, bundle.write(test_bundle.GOOD), "rig7.qzb")
    expect(auditor.page.get_by_role("status").filter(has_text="The proof holds")).to_contain_text("rig7.qzb")
    steps = auditor.page.get_by_role("list", name="Steps of the check").get_by_role("listitem")
    expect(steps).to_have_count(10)
    expect(auditor.page.get_by_role("region", name="Samples in the file").get_by_role("row")).to_have_count(9)
    assert [url for url in auditor.requests[before:] if "/proof/" in url or "/pages/" in url] == []
    auditor.faults.clear()  # the stream that was cut


@pytest.mark.parametrize("name", ["embellished values", "batches out of order", "another key", "receipt of another batch"])
def test_a_forged_file_is_refused_with_the_step_and_the_cause(auditor: Tab, name: str) -> None:
    data = bundle.write(SAMPLES[name])
    give(auditor, data)
    report = bundle.verify(data)
    alert = auditor.page.get_by_role("alert")
    expect(alert).to_contain_text(f"fails at the step “{report.failed}”")
    expect(auditor.page.locator("ol.proof li.failed")).to_have_count(1)
    expect(auditor.page.locator("main")).not_to_contain_text("The proof holds")


def test_the_key_of_the_log_that_is_expected_is_asked_of_the_file(auditor: Tab) -> None:
    auditor.page.get_by_label("Key of the log").fill(checkpoint.verifier_key(test_bundle.ORIGIN, Ed25519Signer.generate().public))
    give(auditor, bundle.write(test_bundle.GOOD))
    expect(auditor.page.get_by_role("alert")).to_contain_text("checkpoint signature")
    auditor.page.get_by_label("Key of the log").fill(test_bundle.KEY)
    auditor.page.get_by_role("button", name="Check again").click()
    expect(auditor.page.get_by_role("status").filter(has_text="The proof holds")).to_be_visible()
    expect(auditor.page.locator("ol.proof")).to_contain_text("signed with the key you gave")


def test_what_is_no_proof_is_refused_as_such(auditor: Tab) -> None:
    give(auditor, b"%PDF-1.7 not a proof", "report.qzb")
    expect(auditor.page.get_by_role("alert")).to_contain_text("fails at the step “container”")


def test_the_proof_of_a_result_is_fetched_by_its_address_and_holds(site: Site, tab: Tab) -> None:
    risk: Any = site.until(lambda: next((one for one in site.get("/v1/results") if one["kind"] == "risk"), None), "a VaR")
    tab.sign_in("auditor")
    tab.open(f"/verify?evidence={risk['id']}")
    expect(tab.page.get_by_role("status").filter(has_text="The proof holds")).to_be_visible(timeout=30_000)
    expect(tab.page.locator("main")).to_contain_text(risk["id"])
    row = site.get(f"/v1/evidence/{risk['id']}")
    tab.page.get_by_label("Entry at position").fill(str(row["position"]))
    tab.page.get_by_role("button", name="Show").click()
    expect(tab.page.get_by_text(re.compile(rf"Position {row['position']}: its way of \d+ hash(es)? leads to the root"))).to_be_visible()
    leaf = hashlib.sha256(b"\x00" + bytes.fromhex(risk["id"])).hexdigest()
    expect(tab.page.locator("main")).to_contain_text(leaf)
    assert f"position={row['position']}" in tab.page.url


def test_the_samples_of_a_tag_are_proven_from_the_drill_down(site: Site, tab: Tab) -> None:
    tag = next(one for one in site.get("/v1/tags") if one["name"] == "plc1.t0")
    tab.sign_in("auditor")
    tab.open(f"/risk?asset=A&tag={tag['gateway']}/plc1.t0")
    tab.page.get_by_role("link", name="Prove these samples").click()
    expect(tab.page.get_by_role("status").filter(has_text="The proof holds")).to_be_visible(timeout=30_000)
    expect(tab.page.get_by_role("list", name="Steps of the check")).to_contain_text("each as the batches give it")
    assert f"tag={tag['id']}" in tab.page.url


@pytest.mark.parametrize("position", ["999999999", "-1", "first"])
def test_a_position_that_the_log_does_not_have_is_told(tab: Tab, position: str) -> None:
    tab.sign_in("auditor")
    tab.open(f"/verify?position={position}")
    expect(tab.page.get_by_role("alert")).to_contain_text("the log has the positions 0 to")


@pytest.mark.parametrize(("width", "look"), [(360, "ar"), (768, "en"), (1440, "ar")])
def test_a_checked_file_fits_the_window_and_is_for_everybody(tab: Tab, width: int, look: str) -> None:
    tab.look(look, "dark")
    tab.page.set_viewport_size({"width": width, "height": 800})
    tab.sign_in("auditor")
    tab.open("/verify")
    give(tab, bundle.write(test_bundle.GOOD))
    expect(tab.page.locator("ol.proof li")).to_have_count(10)
    expect(tab.page.locator("[aria-busy=true], .skeleton")).to_have_count(0)
    tab.fits()
    assert grave(tab) == []
