"""`qenergyz hub` as a process: start, signals, kill -9 of the hub and of its database, commands beside it."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from cloud.cli import main
from cloud.data_folder import lock
from cloud.postgres import Cluster
from edge.cli import main as edge_main
from tests.cloud.gateway import Gateway, Reply
from tests.protocols.opcua.certificates import certificate, pem_key

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Process:
    """A hub of its own in a folder of its own."""

    data: Path
    running: subprocess.Popen[str] | None = None
    url: str = ""

    def start(self) -> None:
        self.launch()
        self.wait_ready()

    def launch(self, *more: str) -> None:
        command = [sys.executable, "-c", "import sys; from cloud.cli import main; sys.exit(main(sys.argv[1:]))"]
        self.running = subprocess.Popen(
            [*command, "serve", "--data", str(self.data), "--listen", "127.0.0.1:0", "--name", "hub.test", *more],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip

    def wait_ready(self, scheme: str = "http") -> None:
        assert self.running
        assert self.running.stdout
        line = self.running.stdout.readline()
        assert line.startswith(f"qenergyz hub listens on {scheme}://127.0.0.1:"), line
        self.url = line.split()[-1]

    def end(self, kind: signal.Signals = signal.SIGTERM) -> int:
        assert self.running
        self.running.send_signal(kind)
        code = self.running.wait(10)
        assert self.running.stdout
        self.running.stdout.close()
        self.running = None
        return code

    @property
    def cluster(self) -> Cluster:
        return Cluster(self.data / "pg")


@pytest.fixture
def process() -> Iterator[Process]:
    folder = Path(tempfile.mkdtemp(prefix="qz-hub-"))
    made = Process(folder / "data")
    yield made
    if made.running:
        made.end(signal.SIGKILL)
    made.cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


def _print(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out.strip()


async def test_a_hub_survives_kill_9_of_itself_and_of_its_database(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    process.start()
    state = json.loads((process.data / "hub.json").read_text())
    assert (state["url"], (process.data / "hub.json").stat().st_mode & 0o777) == (process.url, 0o600)
    voucher = await asyncio.to_thread(_print, capsys, "voucher", "--data", str(process.data), "--gateway", "rig1")
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        gateway = Gateway(client, "rig1")
        assert (await gateway.enrol(voucher)).status_code == 201
        assert gateway.enrolment["origin"] == "hub.test/default"
        await gateway.put_table()
        await gateway.send(gateway.seal())

    before = process.cluster.pid()
    process.end(signal.SIGKILL)
    assert process.cluster.pid() == before
    process.start()  # adopts the running cluster
    assert process.cluster.pid() == before
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        gateway.client = client
        await gateway.send(gateway.seal())

    process.end(signal.SIGKILL)
    assert before
    os.kill(before, signal.SIGKILL)
    process.start()  # the cluster repairs itself
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        gateway.client = client
        sealed = gateway.seal()
        assert (await gateway.send(sealed, size=3)).size == 4  # the voucher is an entry too
        after = process.cluster.pid()
        assert after
        os.kill(after, signal.SIGKILL)  # the hub starts it again
        deadline = time.monotonic() + 20
        while (reply := await gateway.post(sealed)).status_code == 503 and time.monotonic() < deadline:
            assert reply.headers["retry-after"]
        gateway.check(Reply.read(reply.content), (sealed,))

    started = time.monotonic()
    assert process.end() == 0
    assert time.monotonic() - started < 5
    assert process.cluster.pid() is None
    assert not (process.data / "hub.json").exists()


def test_commands_work_while_the_hub_runs_and_while_it_does_not(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    process.start()
    data = str(process.data)
    token = _print(capsys, "token", "--data", data, "--name", "test")
    assert httpx.get(f"{process.url}/v1/gateways", headers={"authorization": f"Bearer {token}"}).json() == []
    assert '"state":"up"' in _print(capsys, "status", "--data", data)
    assert process.end() == 0
    assert _print(capsys, "voucher", "--data", data, "--gateway", "rig1").startswith("qzv_")
    assert _print(capsys, "tenant", "--data", data, "--name", "other") == "hub.test/other"
    assert _print(capsys, "token", "--data", data, "--name", "x", "--tenant", "other").startswith("qzt_")
    assert process.cluster.pid() is None
    assert main(["status", "--data", data]) == 1
    assert main(["revoke", "--data", data, "--gateway", "rig1"]) == 1
    assert main(["voucher", "--data", data, "--gateway", "RIG 1"]) == 1
    assert main(["token", "--data", data, "--name", "x", "--tenant", "nobody"]) == 1
    assert main(["voucher", "--data", data + "-none", "--gateway", "rig1"]) == 1


def test_two_hubs_do_not_share_a_data_folder(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    process.start()
    assert main(["serve", "--data", str(process.data), "--listen", "127.0.0.1:0"]) == 1
    assert "another hub" in capsys.readouterr().err
    assert httpx.get(f"{process.url}/health").status_code == 200


def test_a_half_made_cluster_is_made_again(tmp_path: Path) -> None:
    folder = Path(tempfile.mkdtemp(prefix="qz-half-"))
    cluster = Cluster(folder / "pg", {"fsync": "off"})
    (folder / "pg.making").mkdir()
    (folder / "pg.making" / "PG_VERSION").write_text("18")
    try:
        cluster.start()
        assert cluster.pid()
    finally:
        cluster.stop()
        with contextlib.suppress(OSError):
            shutil.rmtree(folder)


def test_a_cluster_in_a_folder_with_a_long_name_has_its_socket_elsewhere() -> None:
    folder = Path(tempfile.mkdtemp(prefix="qz-long-"))
    long = folder / ("a" * 60) / ("b" * 60)
    long.mkdir(parents=True)
    cluster = Cluster(long / "pg", {"fsync": "off"})
    try:
        assert len(cluster.start()) < 120
    finally:
        cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_a_command_given_while_the_hub_starts_waits_for_it(process: Process) -> None:
    process.data.mkdir()
    printed: list[int] = []
    with lock(process.data) as ours:  # as the hub does before it makes its database
        assert ours
        thread = threading.Thread(target=lambda: printed.append(main(["token", "--data", str(process.data), "--name", "x"])))
        thread.start()
        process.launch()
    process.wait_ready()
    thread.join(30)
    assert len(printed) == 1  # either the hub or the command was first; neither disturbed the other


def test_a_file_left_by_a_killed_hub_is_not_taken_for_a_running_one(tmp_path: Path) -> None:
    (tmp_path / "hub.json").write_text(json.dumps({"url": "http://127.0.0.1:1", "pid": os.getpid(), "database_url": "x"}))
    assert main(["status", "--data", str(tmp_path)]) == 1


async def test_completeness_names_the_tags_that_miss_something(process: Process, capsys: pytest.CaptureFixture[str]) -> None:
    process.start()
    data = str(process.data)
    ask = ["completeness", "--data", data, "--gateway", "rig1", "--hours", "0.01", "--to", "1970-01-01T00:00:34Z"]
    voucher = await asyncio.to_thread(_print, capsys, "voucher", "--data", data, "--gateway", "rig1")
    async with httpx.AsyncClient(base_url=process.url, timeout=30) as client:
        gateway = Gateway(client, "rig1", tags=2)
        assert (await gateway.enrol(voucher)).status_code == 201
        await gateway.put_table()
        sealed = [gateway.seal() for _ in range(4)]
        await gateway.send(sealed[0], sealed[3])
        assert await asyncio.to_thread(main, ask) == 1
        text = capsys.readouterr().out
        assert "2 of 2 tags not all present" in text
        assert "1970-01-01T00:00:03.000Z to 1970-01-01T00:00:31.000Z, 28.000 s: not received (live batches 2-3 of epoch 1)" in text
        await gateway.send(*sealed[1:3])
    found = json.loads(await asyncio.to_thread(_print, capsys, *ask, "--json"))
    assert (found["complete"], [one["tag"] for one in found["tags"]]) == (True, ["plc1.t0", "plc1.t1"])
    assert "all present (1 tags)" in await asyncio.to_thread(_print, capsys, *ask, "--tag", "plc1.t1")
    for wrong, said in (
        ("--gateway=rig2", 'did you mean "rig1"'),
        ("--tag=plc1.t9", "did you mean"),
        ("--to=noon", "expected a time such as"),
    ):
        assert await asyncio.to_thread(main, [*ask, wrong]) == 1
        assert said in capsys.readouterr().err


def test_a_database_that_comes_up_after_the_hub_is_waited_for(process: Process) -> None:
    other = Cluster(process.data.parent / "other")
    url = other.start()
    other.stop()
    command = [sys.executable, "-c", "import sys; from cloud.cli import main; sys.exit(main(sys.argv[1:]))", "serve"]
    where = ["--data", str(process.data), "--listen", "127.0.0.1:0", "--database-url", url]
    with subprocess.Popen([*command, *where], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as hub:
        assert hub.stdout
        assert hub.stderr
        try:
            assert "database_awaited" in hub.stderr.readline()
            other.start()
            assert hub.stdout.readline().startswith("qenergyz hub listens on ")
            hub.terminate()
            assert hub.wait(10) == 0
        finally:
            hub.kill()
            other.stop()


def test_gateway_lives_with_a_hub_that_asks_for_certificates_by_commands_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Serve with TLS, enrol, rotate, list, revoke: as an operator and a field engineer type it."""
    folder = Path(tempfile.mkdtemp(prefix="qz-hub-"))
    (folder / "hub.pem").write_bytes(certificate("hub", ca=True).public_bytes(Encoding.PEM))
    (folder / "hub.key").write_bytes(pem_key("hub"))
    (folder / "hub.key").chmod(0o600)
    process = Process(folder / "data")
    try:
        process.launch("--tls-cert", str(folder / "hub.pem"), "--tls-key", str(folder / "hub.key"), "--client-ca", "own")
        process.wait_ready("https")
        data = ("--data", str(process.data))
        assert '"state":"up"' in _print(capsys, "status", *data)
        voucher = _print(capsys, "voucher", *data, "--gateway", "rig1")
        gateway = tmp_path / "gateway.toml"
        gateway.write_text(
            f'[gateway]\nname = "rig1"\nhub = "{process.url}"\n[hub]\nca = "{folder / "hub.pem"}"\n'
            '[[device]]\nname = "well1"\nmap = "qenergyz_well_modbus"\naddress = "192.0.2.1:502"\n'
        )
        assert edge_main(["enrol", str(gateway), "--voucher", voucher]) == 0
        certificate_file = tmp_path / "rig1-data" / "hub-client.pem"
        issued = certificate_file.read_bytes()
        assert edge_main(["rotate", str(gateway)]) == 0
        assert certificate_file.read_bytes() != issued
        capsys.readouterr()
        (found,) = json.loads(_print(capsys, "gateways", *data, "--json"))
        assert (found["gateway"], [key["state"] for key in found["keys"]]) == ("rig1", ["good until", "good"])
        assert "rig1  last seen never" in _print(capsys, "gateways", *data)
        assert "2 key(s) of rig1 revoked" in _print(capsys, "revoke", "rig1", *data)
        assert edge_main(["rotate", str(gateway)]) == 1
        assert "revoked-key" in capsys.readouterr().err
        again = _print(capsys, "voucher", *data, "--gateway", "rig1")
        assert edge_main(["enrol", str(gateway), "--voucher", again, "--new-key"]) == 0
        printed = capsys.readouterr().out
        (found,) = json.loads(_print(capsys, "gateways", *data, "--json"))
        assert [key["state"] for key in found["keys"]] == ["ended", "ended", "good"]
        assert found["keys"][-1]["kid"][:32] in printed.replace(" ", "")
    finally:
        if process.running:
            process.end()
        process.cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--client-ca", "own"), "needs --tls-cert"),
        (("--tls-cert", "hub.pem"), "go together"),
        (("--tls-cert", "absent.pem", "--tls-key", "absent.key"), "absent.pem cannot be read"),
        (("--tls-cert", "hub.pem", "--tls-key", "open.key"), "others can read the key"),
    ],
    ids=["no TLS", "no key", "absent", "open key"],
)
def test_serve_says_what_is_wrong_with_its_tls_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("hub.pem", "open.key"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o644)
    assert main(["serve", "--data", str(tmp_path / "data"), *arguments]) == 1
    assert words in capsys.readouterr().err
    assert not (tmp_path / "data").exists()
