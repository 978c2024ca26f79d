import inspect
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import huggingface_hub
import pytest
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> str:
    memory = fsspec.filesystem("memory")
    monkeypatch.setattr(memory, "store", {})
    return "memory://bucket/store"


class Hub:
    """A folder in the place of the Hugging Face Hub, with the number of files of each commit."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.commits = folder, list[int]()

    def make(self, name: str) -> Path:
        """Create a repository or a bucket: `datasets/me/acts`, `buckets/me/b`."""
        (self.folder / name).mkdir(parents=True)
        return self.folder / name


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    stand_in = Hub(tmp_path / "hub")

    class Place:
        def __init__(self, path: str) -> None:
            kind, user, name, *inside = path.split("/")
            name, _, revision = name.partition("@")
            self.repo_type, self.repo_id = kind.removesuffix("s"), f"{user}/{name}"
            self.revision, self.path_in_repo = revision or None, "/".join(inside)

    class HubFiles(DirFileSystem):
        protocol, cachable, sep = "hf", False, "/"
        endpoint, token = "https://hub.example", None

        def __init__(self, **_: Any) -> None:
            super().__init__(path=str(stand_in.folder), fs=LocalFileSystem())

        def resolve_path(self, path: str) -> Place:
            if not stand_in.folder.joinpath(*path.partition("@")[0].split("/")[:3]).is_dir():
                raise FileNotFoundError(path)
            return Place(path)

        def _join(self, path: Any) -> Any:
            return super()._join(path.replace("@main", "") if isinstance(path, str) else path)

        def makedirs(self, path: str, exist_ok: bool = False) -> None:
            self.resolve_path(path)
            super().makedirs(path, exist_ok=exist_ok)

    real = inspect.signature(huggingface_hub.HfApi.create_commit)

    def create_commit(self: huggingface_hub.HfApi, **given: Any) -> None:
        real.bind(self, **given)
        assert self.endpoint == HubFiles.endpoint
        assert given["revision"] in (None, "main")
        root = stand_in.folder / f"{given['repo_type']}s" / given["repo_id"]
        for operation in given["operations"]:
            (root / operation.path_in_repo).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(operation.path_or_fileobj, root / operation.path_in_repo)
        stand_in.commits.append(len(given["operations"]))

    monkeypatch.setattr(huggingface_hub.HfApi, "create_commit", create_commit)
    fsspec.register_implementation("hf", HubFiles, clobber=True)
    yield stand_in
    fsspec.register_implementation("hf", huggingface_hub.HfFileSystem, clobber=True)
