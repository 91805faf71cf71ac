"""Find a preset's weights on this machine, and refuse files that cannot be loaded safely."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from generation.errors import ModelBroken, ModelMissing

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from generation.models.common.preset import Preset

INSTALL_ROOT = Path(__file__).parents[3]
"""The folder of the installed packages: paths of shipped models are relative to it."""
INDEX_FILE = "model_index.json"
PICKLE_SUFFIXES = {".bin", ".ckpt", ".pt", ".pth", ".pkl", ".pickle"}
UNUSED_COMPONENTS = {
    name: frozenset({"safety_checker", "feature_extractor"})
    for name in ("StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline")
}
"""Components that a pipeline of this class names and no family loads: clips have a check of their own."""


def find_pipeline(preset: Preset, classes: Collection[str]) -> Path:
    """The checked folder of a preset's pipeline; raises ModelMissing or ModelBroken."""
    folder = find_folder(preset.name, preset.source, preset.pinned_commit(preset.source))
    if is_incomplete(folder) and not is_local(preset.source):
        raise ModelMissing(preset.name)  # an interrupted pull can be resumed
    check_pipeline(preset.name, folder, classes)
    return folder


def check_pipeline(model: str, folder: Path, classes: Collection[str]) -> None:
    """Check the pipeline's class, and that every component has complete safetensors files.

    A component with only pickled weights is refused without reading them.
    """
    index = read_index(model, folder)
    if index.get("_class_name") not in classes:
        raise ModelBroken(model, f"is a {index.get('_class_name')}, not a {' or '.join(sorted(classes))}")
    for name in needed_components(index):
        _check_component(model, folder, folder / name)


def is_incomplete(folder: Path) -> bool:
    """Whether a pipeline's folder lacks files that its index names. Opens no weights."""
    try:
        parts = [folder / name for name in needed_components(read_index("", folder))]
    except ModelBroken:  # not a pipeline, or a broken one: loading it reports that
        return False
    expected = (file for part in parts for file in _indexed_shards(part))
    return not all(part.is_dir() for part in parts) or not all(file.is_file() for file in expected)


def is_local(source: str) -> bool:
    """Whether the source is a folder: a path, or one that is shipped with the program."""
    return (
        not source
        or source.startswith((".", "/", "~"))
        or any(f.is_dir() for f in (Path(source), INSTALL_ROOT / source))
    )


def needed_components(index: dict[str, Any]) -> list[str]:
    """The components that loading the pipeline of this index needs."""
    unused = UNUSED_COMPONENTS.get(str(index.get("_class_name")), frozenset())
    return [
        name
        for name, value in index.items()
        if not name.startswith("_") and isinstance(value, list) and value[:1] != [None] and name not in unused
    ]


def _check_component(model: str, folder: Path, part: Path) -> None:
    if not part.is_dir():
        raise ModelBroken(model, f"has no {part.name} folder")
    safe = sorted(part.rglob("*.safetensors"))
    if not safe and any(file.suffix in PICKLE_SUFFIXES for file in part.rglob("*")):
        raise ModelBroken(model, f"has only pickled files for its {part.name}, which can run code")
    for file in safe:
        check_safetensors(model, file)
    for file in _indexed_shards(part):
        if not file.is_file():
            raise ModelBroken(model, f"lacks {file.relative_to(folder)}")


def find_folder(model: str, source: str, revision: str | None = None) -> Path:
    """A local folder, or one that was pulled from the hub. Never uses the network."""
    for folder in (Path(source).expanduser(), INSTALL_ROOT / source):
        if folder.is_dir():
            return folder
    if source.startswith((".", "/", "~")):
        raise ModelMissing(model)
    from huggingface_hub import snapshot_download  # noqa: PLC0415  (heavy)
    from huggingface_hub.errors import HFValidationError, IncompleteSnapshotError  # noqa: PLC0415  (heavy)

    try:
        return Path(snapshot_download(source, revision=revision, local_files_only=True))
    except IncompleteSnapshotError as error:
        return Path(error.snapshot_path)  # only some files of a repository are pulled
    except (HFValidationError, OSError) as error:
        raise ModelMissing(model) from error


def read_index(model: str, folder: Path) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise ModelBroken(model, f"has no {INDEX_FILE}") from error
    except ValueError as error:
        raise ModelBroken(model, f"has an {INDEX_FILE} that is not JSON") from error
    if not isinstance(index, dict):
        raise ModelBroken(model, f"has an {INDEX_FILE} that is not a JSON object")
    return index


def check_safetensors(model: str, file: Path) -> None:
    """Check the header, and that the file is as long as it says."""
    from safetensors import SafetensorError, safe_open  # noqa: PLC0415  (heavy)

    try:
        with safe_open(file, framework="numpy"):
            pass
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelBroken(model, f"{file.name} is damaged: {error}") from error


def _indexed_shards(part: Path) -> Iterator[Path]:
    """The files that the index of a sharded component names."""
    for index in part.glob("*.safetensors.index.json"):
        with suppress(ValueError, OSError, AttributeError):
            yield from {part / name for name in json.loads(index.read_text())["weight_map"].values()}
