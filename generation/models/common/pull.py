"""Download weights from the hub, for pictures or music: safetensors only, resumable, checks disk space."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Protocol

from generation.errors import DiskFull, GenerationError, HubUnreachable, ModelBroken, ModelGated, ModelMissing
from generation.models.common.weights import find_folder, is_incomplete, is_local

OnBytes = Callable[[int, int], None]
"""Called with (done, total) bytes."""
PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pt", ".pth"})
TEXT_FILE_PATTERNS = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken")
RESERVED_BYTES = 1_000_000_000
"""Disk space in bytes that a pull leaves free."""


class HasWeights(Protocol):
    """A preset of a picture model or a music maker, made of repositories or folders."""

    @property
    def name(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def revision(self) -> str | None: ...
    @property
    def options(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class HubFile:
    source: str
    revision: str | None
    name: str
    size: int


def sources(preset: HasWeights) -> tuple[str, ...]:
    """Every repository or folder that the preset needs."""
    tables = [preset.options.get(name, {}) for name in ("styles", "cameras")]
    extra_sources = [source for table in tables for source in table.values()]
    extra_sources += [preset.options["upscaler"]] if "upscaler" in preset.options else []
    return tuple(dict.fromkeys([preset.source, *extra_sources]))


def pull(
    preset: HasWeights, on_bytes: OnBytes, *, token: str | None = None, endpoint: str | None = None
) -> dict[str, str]:
    """Download missing files; returns the commit of each repository. Can be repeated after any failure."""
    with _translate_hub_errors(preset):
        listings = [
            _list_files(preset, source, token, endpoint) for source in sources(preset) if not is_local(source)
        ]
        files = [file for found, _ in listings for file in found]
        missing_files = [file for file in files if not _is_file_downloaded(file)]
        _check_disk_space(missing_files)
        total = sum(file.size for file in files)
        done = total - sum(file.size for file in missing_files)
        on_bytes(done, total)
        for file in missing_files:
            _download(file, token, endpoint, _ByteCounter(on_bytes, done, total))
            done += file.size
            on_bytes(done, total)
    return dict(commit for _, commit in listings)


def is_downloaded(preset: HasWeights) -> bool:
    """Whether all files of the preset are on disk. Does not use the network."""
    try:
        folders = [
            find_folder(preset.name, source, _pinned_commit(preset, source))
            for source in sources(preset)
            if source
        ]
    except ModelMissing:
        return False
    return not any(map(is_incomplete, folders))


def _pinned_commit(preset: HasWeights, source: str) -> str | None:
    own = preset.revision if source == preset.source else None
    return own or getattr(preset, "revisions", {}).get(source)


def _list_files(
    preset: HasWeights, source: str, token: str | None, endpoint: str | None
) -> tuple[list[HubFile], tuple[str, str]]:
    from huggingface_hub import HfApi  # noqa: PLC0415  (heavy)

    revision = _pinned_commit(preset, source)
    info = HfApi(endpoint=endpoint, token=token).model_info(source, revision=revision, files_metadata=True)
    sizes = {entry.rfilename: entry.size or 0 for entry in info.siblings or ()}
    names = _needed_files(preset, source, sorted(sizes))
    return [HubFile(source, revision, name, sizes[name]) for name in names], (source, str(info.sha))


def _needed_files(preset: HasWeights, source: str, names: list[str]) -> list[str]:
    """Files to download: the components of a pipeline, or those files of an adapter that the preset names."""
    named = preset.options.get("files")
    if source == preset.source and named:
        return [name for name in names if name in {*named.values(), "config.json"}]
    pickled = _first_pickled_only_part(names) if "model_index.json" in names else None
    if pickled:
        raise ModelBroken(preset.name, f"has only pickled files for its {pickled} in {source}")
    safe = [name for name in names if name.endswith(".safetensors")]
    if "model_index.json" in names:
        safe = [name for name in safe if "/" in name]
    variant = preset.options.get("variant")
    safe = [
        name for name in safe if _matches_variant(name, safe, variant if source == preset.source else None)
    ]
    if not safe:
        raise ModelBroken(preset.name, f"has no safetensors in {source}")
    return safe + [name for name in names if any(fnmatch(name, plain) for plain in TEXT_FILE_PATTERNS)]


def _first_pickled_only_part(names: list[str]) -> str | None:
    """The first component whose weights can only be read by running code."""
    parts: dict[str, set[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if folder and Path(file).suffix in {".safetensors", *PICKLE_SUFFIXES}:
            parts.setdefault(folder, set()).add(Path(file).suffix)
    return next((part for part in sorted(parts) if ".safetensors" not in parts[part]), None)


def _matches_variant(name: str, names: list[str], variant: str | None) -> bool:
    """Whether to take a file: the named variant if its component has it, else the plain file; never both."""
    folder, stem = name.rpartition("/")[::2]
    siblings = [other.rpartition("/")[2] for other in names if other.rpartition("/")[0] == folder]
    if variant and any(f".{variant}." in other for other in siblings):
        return f".{variant}." in stem
    plain = [other for other in siblings if other.count(".") == 1]
    return stem in plain or not plain


def _is_file_downloaded(file: HubFile) -> bool:
    from huggingface_hub import try_to_load_from_cache  # noqa: PLC0415  (heavy)

    return isinstance(try_to_load_from_cache(file.source, file.name, revision=file.revision), str)


def _check_disk_space(files: list[HubFile]) -> None:
    from huggingface_hub import constants  # noqa: PLC0415  (heavy)

    folder = Path(constants.HF_HUB_CACHE)
    existing_parent = next(parent for parent in (folder, *folder.parents) if parent.exists())
    needed = sum(file.size for file in files)
    if needed and shutil.disk_usage(existing_parent).free < needed + RESERVED_BYTES:
        raise DiskFull(str(folder))


def _download(file: HubFile, token: str | None, endpoint: str | None, counter: _ByteCounter) -> None:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415  (heavy)
    from tqdm import tqdm  # type: ignore[import-untyped]  # noqa: PLC0415  (heavy)

    class ByteProgressBar(tqdm):  # type: ignore[misc]  # the hub's client calls it for every chunk
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **{**more, "disable": True})

        def update(self, n: float | None = 1) -> bool | None:
            counter.add(int(n or 0))
            return None

    hf_hub_download(
        file.source,
        file.name,
        revision=file.revision,
        token=token,
        endpoint=endpoint,
        tqdm_class=ByteProgressBar,
    )


class _ByteCounter:
    def __init__(self, on_bytes: OnBytes, done: int, total: int) -> None:
        self._on_bytes, self._done, self._total = on_bytes, done, total

    def add(self, count: int) -> None:
        self._done += count
        self._on_bytes(min(self._done, self._total), self._total)


@contextmanager
def _translate_hub_errors(preset: HasWeights) -> Iterator[None]:
    """Raise errors of the hub's client as GenerationError."""
    import httpx2  # noqa: PLC0415  (the HTTP client of huggingface_hub)
    from huggingface_hub import errors  # noqa: PLC0415  (heavy)

    try:
        yield
    except GenerationError:
        raise
    except errors.GatedRepoError as error:
        raise ModelGated(preset.name, preset.source) from error
    except errors.RevisionNotFoundError as error:
        pins = ", ".join(filter(None, (_pinned_commit(preset, source) for source in sources(preset))))
        raise ModelBroken(preset.name, f"is not on the hub at the commit {pins}") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise ModelBroken(preset.name, f"is not on the hub as {preset.source}") from error
    except (errors.OfflineModeIsEnabled, errors.HfHubHTTPError, httpx2.HTTPError, ConnectionError) as error:
        raise HubUnreachable(preset.name, type(error).__name__) from error
