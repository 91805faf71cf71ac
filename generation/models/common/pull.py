"""Download weights from the hub, for pictures or music: safetensors only, resumable, checks disk space."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

from generation.errors import DiskFull, GenerationError, HubUnreachable, ModelBroken, ModelGated, ModelMissing
from generation.models.common.weights import (
    INDEX_FILE,
    find_folder,
    is_incomplete,
    is_local,
    needed_components,
)

OnBytes = Callable[[int, int], None]
"""Called with (done, total) bytes."""
OnSkipped = Callable[[str, str], None]
"""Called with the name and the repository of a style that cannot be used."""
PICKLE_SUFFIXES = frozenset({".bin", ".ckpt", ".pt", ".pth"})
OTHER_FORMATS = ("openvino_",)
"""Beginnings of the names of files for other programs, which are no pickles whatever their suffix."""
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


def optional_styles(preset: HasWeights) -> dict[str, str]:
    """Repositories of the styles that the preset can do without, by name: all but the first."""
    styles = dict(preset.options.get("styles", {}))
    needed = {preset.source, *list(styles.values())[:1]}
    return {name: source for name, source in styles.items() if source not in needed}


def _ignore_skipped(_name: str, _source: str) -> None: ...


def pull(
    preset: HasWeights,
    on_bytes: OnBytes,
    *,
    on_skipped: OnSkipped = _ignore_skipped,
    token: str | None = None,
    endpoint: str | None = None,
) -> dict[str, str]:
    """Download missing files; returns the commit of each repository. Can be repeated after any failure.

    An optional style that cannot be used, for example because it is pickled, is skipped.
    """
    optional = {source: name for name, source in optional_styles(preset).items()}
    listings = []
    with _translate_hub_errors(preset):
        # Optional styles first: after an interruption a needed repository is incomplete.
        for source in sorted(sources(preset), key=lambda source: source not in optional):
            if is_local(source):
                continue
            try:
                with _translate_hub_errors(preset):
                    listings.append(_list_files(preset, source, token, endpoint))
            except (ModelBroken, ModelGated):
                if source not in optional:
                    raise
                on_skipped(optional[source], source)
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
    """Whether all files that the preset needs are on disk. Does not use the network."""
    optional = set(optional_styles(preset).values())
    folders = []
    for source in filter(None, sources(preset)):
        try:
            folders.append(find_folder(preset.name, source, _pinned_commit(preset, source)))
        except ModelMissing:
            if source not in optional:
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
    names = sorted(sizes)
    if INDEX_FILE in names:
        names = _files_of_components(names, _read_index(source, revision, token, endpoint))
    names = _needed_files(preset, source, names)
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


def _read_index(source: str, revision: str | None, token: str | None, endpoint: str | None) -> dict[str, Any]:
    """The index of a pipeline. A repository of which only this was read leaves nothing in the cache."""
    from huggingface_hub import hf_hub_download, try_to_load_from_cache  # noqa: PLC0415  (heavy)

    with TemporaryDirectory() as folder:
        file = try_to_load_from_cache(source, INDEX_FILE, revision=revision)
        if not isinstance(file, str):
            more: dict[str, Any] = {
                "revision": revision,
                "token": token,
                "endpoint": endpoint,
                "local_dir": folder,
            }
            file = hf_hub_download(source, INDEX_FILE, **more)
        with suppress(OSError, ValueError):
            index = json.loads(Path(file).read_text(encoding="utf-8"))
            return index if isinstance(index, dict) else {}
    return {}  # loading it reports what is wrong with it


def _files_of_components(names: list[str], index: Mapping[str, Any]) -> list[str]:
    """Without the folders of a repository that its pipeline does not use, such as other formats of it."""
    needed = needed_components(dict(index))
    if not needed:
        return names
    return [name for name in names if "/" not in name or name.split("/", 1)[0] in needed]


def _first_pickled_only_part(names: list[str]) -> str | None:
    """The first component whose weights can only be read by running code."""
    parts: dict[str, set[str]] = {}
    for name in names:
        folder, _, file = name.rpartition("/")
        if (
            folder
            and not file.startswith(OTHER_FORMATS)
            and Path(file).suffix in {".safetensors", *PICKLE_SUFFIXES}
        ):
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
