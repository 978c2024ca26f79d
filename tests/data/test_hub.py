"""Files of a split by name; and the real hub clients against a fake hub on this machine.

`huggingface_hub` reads endpoint and offline mode when it is imported, so the clients are two
processes, online and offline. All tests of the module share them; each test has its own cache.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.hub_rows import REPOS, write_mirror
from w2sprobe.data import hub
from w2sprobe.data.hub import (
    RECORD,
    SAMPLED_GROUPS,
    HubFiles,
    HubSource,
    availability,
    locate,
    select_files,
)
from w2sprobe.data.registry import HUB_TASKS
from w2sprobe.errors import InputError

ANLI = [
    f"plain_text/{split}_r{n}-00000-of-00001.parquet"
    for n in "123"
    for split in ("train", "dev", "test")
]
HH = [
    f"{config}/{split}.jsonl.gz"
    for config in ("helpful-base", "harmless-base")
    for split in ("test", "train")
]
SHARDS = [f"amazon/train-{n:05d}-of-00004.parquet" for n in range(4)]
CONVERTED = [f"default/{part}.parquet" for part in ("test/0000", "test/0001", "validation/0000")]
SIQA = "data/train-00000-of-00001-da17dfc1120ed1ee.parquet"
ETHICS = [
    f"data/{config}/{split}.csv"
    for config in ("justice", "virtue")
    for split in ("test", "test_hard", "train")
]


@pytest.mark.parametrize(
    ("files", "config", "split", "chosen"),
    [
        (ANLI, "plain_text", "train_r2", [ANLI[3]]),
        (ANLI, "plain_text", "test_r2", [ANLI[5]]),
        (ANLI, "", "train_r2", [ANLI[3]]),
        (ANLI, "plain_text", "train", []),
        (ANLI, "other", "train_r2", []),
        (ETHICS, "virtue", "train", ["data/virtue/train.csv"]),
        (ETHICS, "virtue", "test", ["data/virtue/test.csv"]),
        (ETHICS, "virtue", "test_hard", ["data/virtue/test_hard.csv"]),
        (ETHICS, "data", "train", ["data/justice/train.csv", "data/virtue/train.csv"]),
        ([*HH, "red-team/red_team_attempts.jsonl.gz"], "", "train", [HH[3], HH[1]]),
        (["piqa_train.parquet", "piqa_test.parquet"], "", "test", ["piqa_test.parquet"]),
        (CONVERTED, "default", "test", CONVERTED[:2]),
        (CONVERTED, "", "validation", CONVERTED[2:]),
        ([SIQA], "", "train", [SIQA]),
        (SHARDS[::-1], "amazon", "train", SHARDS),
        (SHARDS[:3], "amazon", "train", []),
        (SHARDS[1:], "amazon", "train", []),
        (["train/0000.parquet"], "train", "train", ["train/0000.parquet"]),
        (["train.json", "train.txt", "train.py", "train"], "", "train", ["train.json"]),
        (["train.parquet.tmp", "train.parquet.incomplete"], "", "train", []),
        (["README.md", ".gitattributes", "dataset_infos.json"], "", "train", []),
        (["retrain.csv", "train2.csv", "train-x.csv"], "", "train", []),
        ([], "", "train", []),
    ],
)  # fmt: skip
def test_select_files(files: list[str], config: str, split: str, chosen: list[str]) -> None:
    assert select_files(files, config, split) == chosen
    assert select_files(files[::-1], config, split) == chosen


@pytest.mark.parametrize("task", HUB_TASKS)
def test_files_of_every_task_exclude_its_neighbours(task: str) -> None:
    """Each split has files, no file is of two, and none is of another config."""
    source = HUB_TASKS[task].source
    files = list(REPOS[source.repo])
    chosen = [select_files(files, source.config, split) for split in source.splits]
    assert all(chosen)
    flat = [file for part in chosen for file in part]
    assert len(flat) == len(set(flat))
    for file in flat:
        columns = {
            name
            for name, part in REPOS[source.repo].items()
            if part.schema == REPOS[source.repo][file].schema
        }
        assert set(flat) <= columns
    assert all(f"/{source.config}/" in f"/{file}" for file in flat if source.config)


def test_mirror_comes_first_and_nothing_else_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = HUB_TASKS["boolq"].source
    monkeypatch.setenv(hub.MIRROR, str(tmp_path))
    monkeypatch.setattr(hub, "_cached", None)
    monkeypatch.setattr(hub, "_hub_files", None)
    assert availability(source) == ""
    with pytest.raises(InputError):
        locate(source)
    write_mirror(tmp_path, source.repo)
    assert availability(source) == "mirror"
    files = ["data/train-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"]
    found = locate(source)
    assert (found.base, found.commit) == (str(tmp_path / source.repo), "")
    assert set(files) <= set(found.files)


def test_hidden_folders_of_a_mirror_hold_no_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hub.MIRROR, str(tmp_path))
    write_mirror(tmp_path, "google/boolq")
    place = tmp_path / "google/boolq"
    (place / "data").rename(place / ".data")
    assert availability(HUB_TASKS["boolq"].source) == ""


def test_mirror_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(hub.MIRROR, "~/hub")
    write_mirror(tmp_path / "hub", "google/boolq")
    assert availability(HUB_TASKS["boolq"].source) == "mirror"


def test_some_files_of_a_split_are_not_all() -> None:
    source = HubSource("o/n", ("train",), ("test",), parts=2)
    assert hub._missing(HH, source) == []
    assert hub._missing(HH[1:], source) == ["test"]
    assert hub._missing(HH[1:], HubSource("o/n", ("train",), ("test",))) == []


# A fake hub.


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    sent: int  # bytes of the body
    status: int


@dataclass
class FakeHub:
    """Serves the repositories in a folder; a revision is known by its commit, or by a branch."""

    root: Path
    commits: dict[str, str] = field(default_factory=dict)  # revision -> commit
    lost: str = "no file"  # part of the name of a file that is listed, but not there
    requests: list[Request] = field(default_factory=list)
    url: str = ""

    def sent(self) -> int:
        return sum(request.sent for request in self.requests)

    def paths(self, part: str = "") -> list[str]:
        return [request.path for request in self.requests if part in request.path]

    def files(self) -> set[str]:
        """Data files of which bytes were sent."""
        resolved = [
            r.path.split("/resolve/")[1] for r in self.requests if "/resolve/" in r.path and r.sent
        ]
        return {path.partition("/")[2] for path in resolved}

    def answer(self, path: str, body: bytes) -> "tuple[Path, str] | tuple[Any, str] | None":
        """A file or something to be sent as JSON, and the commit; None: there is nothing."""
        api = re.fullmatch(
            r"/api/datasets/([^/]+/[^/]+)/(revision|tree|paths-info)/(refs/convert/parquet|[^/]+)(/.*)?",
            path,
        )
        file = re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        match = api or file
        if match is None:
            return None
        revision = match[3] if api else match[2]
        folder, commit = self.root / match[1], self.commits.get(revision, "")
        if not folder.is_dir() or not commit:
            return None
        names = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        if file:
            there = file[3] in names and self.lost not in file[3]
            return (folder / file[3], commit) if there else None
        assert api
        if api[2] == "revision":
            siblings = [{"rfilename": name} for name in names]
            return {"id": match[1], "sha": commit, "siblings": siblings}, commit
        if api[2] == "paths-info":
            try:
                asked = json.loads(body)["paths"]
            except ValueError:
                asked = parse_qs(body.decode())["paths"]
            names = [name for name in names if name in asked]
        return [self.entry(folder, name) for name in names], commit

    def entry(self, folder: Path, name: str) -> dict[str, Any]:
        return {
            "type": "file",
            "path": name,
            "size": (folder / name).stat().st_size,
            "oid": sha1(name.encode(), usedforsecurity=False).hexdigest(),
        }


def handler(fake: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *parts: object) -> None:
            """Say nothing."""

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            found = fake.answer(path, self.rfile.read(int(self.headers["Content-Length"] or 0)))
            headers = {"Content-Type": "application/json"}
            if found is None:
                missing = "RevisionNotFound" if "gone" in path else "RepoNotFound"
                self.reply(path, 404, b"{}", {**headers, "X-Error-Code": missing})
                return
            thing, commit = found
            if not isinstance(thing, Path):
                self.reply(path, 200, json.dumps(thing).encode(), headers)
                return
            data = thing.read_bytes()
            headers = {
                "ETag": f'"{sha1(path.encode(), usedforsecurity=False).hexdigest()}"',
                "X-Repo-Commit": commit,
                "X-Linked-Size": str(len(data)),
                "Accept-Ranges": "bytes",
            }
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers["Range"] or "")
            if wanted is None:
                self.reply(path, 200, data, headers)
                return
            first, last = int(wanted[1]), min(int(wanted[2] or len(data)), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            self.reply(path, 206, data[first : last + 1], headers)

        do_HEAD = do_POST = do_GET

        def reply(self, path: str, status: int, data: bytes, headers: dict[str, str]) -> None:
            sent = 0 if self.command == "HEAD" else len(data)
            fake.requests.append(Request(self.command, path, sent, status))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            if sent:
                self.wfile.write(data)

    return Handler


BRANCH = "refs/convert/parquet"
CLIENT = """
import json, os, sys
from pathlib import Path
import huggingface_hub.constants
from huggingface_hub import HfFileSystem
from w2sprobe.data import hub
from w2sprobe.data.registry import HUB_TASKS
from w2sprobe.errors import InputError

for line in sys.stdin:
    asked = json.loads(line)
    source = eval(asked["source"], {"HubSource": hub.HubSource, "HUB_TASKS": HUB_TASKS})
    os.environ[hub.MIRROR] = asked["mirror"]
    huggingface_hub.constants.HF_HUB_CACHE = asked["cache"]
    HfFileSystem.clear_instance_cache()  # it remembers the files of repositories
    try:
        said = {"before": hub.availability(source)}
        if asked["fill"]:
            said["bytes"] = hub.mirror(source, Path(asked["fill"]))
        else:
            found = hub.locate(source)
            rows = [[split, dict(row)] for split, _, row in hub.read_rows(source, found)]
            said |= {"base": found.base, "commit": found.commit, "rows": rows}
        said["after"] = hub.availability(source)
    except InputError as error:
        said = {"error": str(error)}
    print(json.dumps(said), flush=True)
"""


@dataclass
class Client:
    """Asks processes, one of them offline, for the rows of a source."""

    home: Path
    hub: FakeHub
    processes: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def __call__(
        self,
        source: HubSource | str,
        *,
        mirror: Path | str = "",
        fill: Path | str = "",
        offline: str = "0",
    ) -> dict[str, Any]:
        """Rows of a source, or its bytes if a mirror is filled with it; or the error's text."""
        if offline not in self.processes:
            self.processes[offline] = self.start(offline)
        process = self.processes[offline]
        assert process.stdin
        assert process.stdout
        asked = {"source": str(source), "mirror": str(mirror), "fill": str(fill)}
        process.stdin.write(f"{json.dumps({**asked, 'cache': str(self.home / 'hub')})}\n")
        process.stdin.flush()
        answer = json.loads(process.stdout.readline())
        assert isinstance(answer, dict)
        return answer

    def start(self, offline: str) -> subprocess.Popen[str]:
        env = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        env |= {
            "HF_ENDPOINT": self.hub.url,
            "HF_HOME": str(self.home),
            "HF_HUB_OFFLINE": offline,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "NO_PROXY": "127.0.0.1",
            "USE_TORCH": "0",  # `datasets` would import it, which takes longer than all the rest
        }
        return subprocess.Popen(
            [sys.executable, "-c", CLIENT],
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def close(self) -> None:
        for process in self.processes.values():
            process.communicate()
            assert process.returncode == 0


@pytest.fixture(scope="module")
def server() -> Iterator[FakeHub]:
    """One server for the module; `fake` gives it the content of one test."""
    served = FakeHub(Path())
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(served))
    served.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield served
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def processes(
    server: FakeHub, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, subprocess.Popen[str]]]:
    shared = Client(tmp_path_factory.mktemp("hf"), server)
    yield shared.processes
    shared.close()


@pytest.fixture
def fake(server: FakeHub, tmp_path: Path) -> FakeHub:
    server.root = tmp_path / "served"
    server.root.mkdir()
    server.lost = "no file"
    server.requests.clear()
    server.commits = {BRANCH: "b" * 40, "b" * 40: "b" * 40, "main": "a" * 40, "a" * 40: "a" * 40}
    for task in HUB_TASKS.values():
        revision = task.source.revision
        if re.fullmatch("[0-9a-f]{40}", revision):
            server.commits[revision] = revision
    return server


@pytest.fixture
def client(tmp_path: Path, fake: FakeHub, processes: dict[str, subprocess.Popen[str]]) -> Client:
    # a hidden folder, as people have it
    return Client(tmp_path / ".cache" / "hf", fake, processes)


def task(name: str) -> str:
    return f"HUB_TASKS[{name!r}].source"


def offline(client: Client, source: HubSource | str) -> dict[str, Any]:
    before = len(client.hub.requests)
    said = client(source, offline="1")
    assert len(client.hub.requests) == before
    return said


def test_downloaded_once_and_then_offline(client: Client, fake: FakeHub) -> None:
    write_mirror(fake.root, "nyu-mll/glue")
    source = HUB_TASKS["cola"].source
    first = client(task("cola"))
    assert (first["before"], first["after"]) == ("", "cache")
    assert first["commit"] == source.revision
    wanted = {f"cola/{split}-00000-of-00001.parquet" for split in ("train", "validation")}
    assert fake.files() == wanted
    raw = [
        [split, row]
        for split in ("train", "validation")
        for row in REPOS["nyu-mll/glue"][f"cola/{split}-00000-of-00001.parquet"].rows
    ]
    assert first["rows"] == raw
    asked = fake.paths("/datasets/nyu-mll/glue")
    assert asked
    assert all(source.revision in path for path in asked)

    again = offline(client, task("cola"))
    assert again["before"] == "cache"
    assert again["rows"] == first["rows"]
    assert again["commit"] == source.revision

    sent = fake.sent()
    online = client(task("cola"))
    assert online["rows"] == first["rows"]
    assert fake.sent() - sent < 100  # no file, no listing

    # another config of the repository is not there, though the repository is
    other = HubSource("nyu-mll/glue", ("train",), (), "sst2", source.revision)
    said = offline(client, other)
    assert "cannot get nyu-mll/glue" in said["error"]
    assert client(other)["after"] == "cache"
    assert offline(client, task("cola"))["rows"] == first["rows"]


@pytest.mark.parametrize("name", ["mc_taco", "ethics-justice", "anthropic_hh"])
def test_branches_and_other_formats(client: Client, fake: FakeHub, name: str) -> None:
    source = HUB_TASKS[name].source
    write_mirror(fake.root, source.repo)
    said = client(task(name))
    files = [select_files(list(REPOS[source.repo]), source.config, s) for s in source.splits]
    flat = [file for part in files for file in part]
    assert fake.files() == set(flat)
    read = [[str(cell) for cell in row.values()] for _, row in said["rows"]]
    raw = [[str(c) for c in row.values()] for file in flat for row in REPOS[source.repo][file].rows]
    assert read == raw
    assert said["commit"] == ("b" * 40 if source.revision == BRANCH else source.revision)
    assert offline(client, task(name))["rows"] == said["rows"]


def test_interrupted_download_is_not_taken_for_all(client: Client, fake: FakeHub) -> None:
    name = "anthropic_hh"
    repo = HUB_TASKS[name].source.repo
    write_mirror(fake.root, repo)
    rows = client(task(name))["rows"]
    assert offline(client, task(name))["rows"] == rows
    [lost] = client.home.rglob("snapshots/*/helpful-online/train.jsonl.gz")
    lost.unlink()
    assert "cannot get Anthropic/hh-rlhf" in offline(client, task(name))["error"]
    assert client(task(name))["rows"] == rows
    assert offline(client, task(name))["rows"] == rows


GROUPS, GROUP, SHOWN = 200, 100, 1000
STREAM = HubSource("o/many", ("train",), (), "big", stream={"train": SHOWN})


def sorted_by_label(fake: FakeHub, *, shards: int = 2) -> int:
    """Write a repository of incompressible texts, those of label 0 first; its size in bytes."""
    place = fake.root / STREAM.repo / STREAM.config
    place.mkdir(parents=True)
    n = GROUPS * GROUP // shards
    for shard in range(shards):
        numbers = range(shard * n, (shard + 1) * n)
        table = pa.table(
            {
                "label": [int(number >= GROUPS * GROUP // 2) for number in numbers],
                "text": [f"{number} {os.urandom(500).hex()}" for number in numbers],
            }
        )
        path = place / f"train-{shard:05d}-of-{shards:05d}.parquet"
        pq.write_table(table, path, row_group_size=GROUP, write_statistics=["label"])
    return sum(path.stat().st_size for path in place.iterdir())


def test_stream_reads_some_row_groups_from_all_over(
    client: Client, fake: FakeHub, tmp_path: Path
) -> None:
    size = sorted_by_label(fake)
    said = client(STREAM)
    assert said["base"] == f"hf://datasets/o/many@{'a' * 40}"
    assert said["commit"] == "a" * 40
    assert said["after"] == ""
    assert 0 < fake.sent() < size / 2
    assert fake.files() == {f"big/train-0000{n}-of-00002.parquet" for n in (0, 1)}
    assert all("a" * 40 in path for path in fake.paths("/resolve/"))

    rows = [row for _, row in said["rows"]]
    numbers = [int(row["text"].split()[0]) for row in rows]
    assert len(numbers) == len(set(numbers)) == SHOWN
    assert len({number // GROUP for number in numbers}) == SAMPLED_GROUPS
    ones = sum(row["label"] for row in rows)
    assert ones == sum(number >= GROUPS * GROUP // 2 for number in numbers)
    assert 0 < ones < SHOWN

    # the same rows from a mirror, which has all of the files
    copied = client(STREAM, fill=tmp_path / "mirror")
    assert copied["bytes"] == size
    before = len(fake.requests)
    mirrored = client(STREAM, mirror=tmp_path / "mirror")
    assert len(fake.requests) == before
    assert mirrored["rows"] == said["rows"]
    assert mirrored["before"] == "mirror"

    # and without: there is nothing in the cache to be read offline
    assert "W2SPROBE_HUB_MIRROR" in offline(client, STREAM)["error"]


@pytest.mark.parametrize("name", ["dream", "ethics-virtue", "amazon_polarity"])
def test_mirror_is_filled_with_what_a_task_reads(
    client: Client, fake: FakeHub, tmp_path: Path, name: str
) -> None:
    source = HUB_TASKS[name].source
    write_mirror(fake.root, source.repo)
    folder = tmp_path / "mirror"
    said = client(task(name), fill=folder)
    place = folder / source.repo
    copied = {
        path.relative_to(place).as_posix(): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.parts[len(place.parts)].startswith(".")
    }
    commit = json.loads((place / RECORD).read_text())["commit"]
    assert commit == source.revision, "a mirror says what it was filled with"
    assert set(copied) == fake.files()
    assert said["bytes"] == sum(map(len, copied.values()))
    for file, data in copied.items():
        assert data == (fake.root / source.repo / file).read_bytes()

    before = len(fake.requests)
    mirrored = client(task(name), mirror=folder)
    assert len(fake.requests) == before
    assert mirrored["commit"] == commit
    assert mirrored["rows"] == client(task(name))["rows"]

    # filled again, nothing is sent again
    fake.requests.clear()
    assert client(task(name), fill=folder)["bytes"] == said["bytes"]
    assert fake.files() == set()


def test_mirror_is_filled_though_one_is_in_use(
    client: Client, fake: FakeHub, tmp_path: Path
) -> None:
    """The variable says where to read from, also while its own folder is being filled."""
    write_mirror(fake.root, "google/boolq")
    said = client(task("boolq"), fill=tmp_path / "m", mirror=tmp_path / "m")
    assert (said["before"], said["after"]) == ("", "mirror")


@pytest.mark.parametrize("fill", ["", "mirror"])
def test_nothing_to_be_had(client: Client, fake: FakeHub, tmp_path: Path, fill: str) -> None:
    place = fill and tmp_path / fill
    for revision, fact in [
        (HUB_TASKS["boolq"].source.revision, "404 Client Error. Repository Not Found for url"),
        ("gone", "404 Client Error. Revision Not Found for url"),
    ]:
        said = client(HubSource("google/boolq", ("train",), (), revision=revision), fill=place)
        assert f"cannot get google/boolq from the Hugging Face hub: {fact}" in said["error"]
        advice = "a machine that reaches it" if fill else "set W2SPROBE_HUB_MIRROR to a folder"
        assert advice in said["error"]

    write_mirror(fake.root, "google/boolq")
    said = client(HubSource("google/boolq", ("train",), ("test",)), fill=place)
    assert "no data files for split test in google/boolq at revision main" in said["error"]
    assert fake.files() == set()
    assert not (tmp_path / "mirror").exists()


def test_file_that_is_listed_but_not_there(client: Client, fake: FakeHub, tmp_path: Path) -> None:
    write_mirror(fake.root, "dataset-org/dream")
    sorted_by_label(fake)
    fake.lost = "train"
    expected: list[tuple[HubSource | str, str]] = [
        (STREAM, "cannot read: 404 Client Error"),
        (task("dream"), "cannot get dataset-org/dream from the Hugging Face hub: 404 Client Error"),
    ]
    for source, message in expected:
        said = client(source)
        assert message in said["error"]
        assert "set W2SPROBE_HUB_MIRROR to a folder" in said["error"]
    assert client.home.is_dir()
    assert "cannot get" in offline(client, task("dream"))["error"]
    fake.lost = "no file"
    assert client(task("dream"))["after"] == "cache"


def test_server_that_is_gone(tmp_path: Path) -> None:
    client = Client(tmp_path, FakeHub(tmp_path, url="http://127.0.0.1:9"))  # nobody listens
    said = client(task("boolq"))
    client.close()
    assert "cannot get google/boolq from the Hugging Face hub" in said["error"]
    assert "w2sprobe tasks mirror" in said["error"]


def test_file_that_went_away_while_reading(tmp_path: Path) -> None:
    found = HubFiles(str(tmp_path), ["train.parquet"], "")
    with pytest.raises(InputError, match=r"cannot read.*train\.parquet"):
        next(hub.read_rows(HubSource("o/n", ("train",), ()), found))
