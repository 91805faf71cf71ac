"""The published configs of every preset and music maker: read them, and build their components on meta.

Run as a module, it prints the number of parameters of every component and writes published/GUESSES.md.
"""

from __future__ import annotations

import importlib
import json
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

PUBLISHED = Path(__file__).parent / "published"
CONFIG = Path(__file__).parents[3] / "config"
SOURCE_FILE, INDEX_FILE, GUESSES_FILE = "SOURCE.toml", "model_index.json", PUBLISHED / "GUESSES.md"
WITHOUT_CONFIGS = ("none", "shipped")
"""Values of `weights` in SOURCE.toml: no weights at all, or a folder of this repository."""
CONFIG_FILES = {"scheduler": "scheduler_config.json", "guider": "guider_config.json"}
WITHOUT_WEIGHTS = ("tokenizer", "tokenizer_2", "feature_extractor", "processor")
"""Components that are built from files that are not kept here, such as vocabularies."""


@dataclass(frozen=True)
class Component:
    """A component of a published pipeline."""

    name: str
    library: str
    class_name: str
    repository: Path

    @property
    def config_file(self) -> Path:
        return self.repository / self.name / CONFIG_FILES.get(self.name, "config.json")

    def load_class(self) -> Any:
        """Its class in the installed libraries; raises AttributeError or ImportError without it."""
        known = ("diffusers", "transformers")
        module = self.library if self.library in known else f"diffusers.pipelines.{self.library}"
        return getattr(importlib.import_module(module), self.class_name)


@cache
def presets() -> dict[str, dict[str, Any]]:
    """Tables of all presets, and of the music makers that have a source."""
    pictures = tomllib.loads((CONFIG / "models.toml").read_text(encoding="utf-8"))
    music = tomllib.loads((CONFIG / "music.toml").read_text(encoding="utf-8"))
    return pictures | {name: table for name, table in music.items() if "source" in table}


def names() -> list[str]:
    return sorted(presets())


def names_with_configs() -> list[str]:
    present = (name for name in names() if (PUBLISHED / name / SOURCE_FILE).is_file())
    return [name for name in present if read_source(name).get("weights") not in WITHOUT_CONFIGS]


@cache
def read_source(name: str) -> dict[str, Any]:
    return tomllib.loads((PUBLISHED / name / SOURCE_FILE).read_text(encoding="utf-8"))


def repositories(name: str) -> list[Path]:
    """Folders of its repositories: the main one first, then those it uses besides, like styles."""
    folder = PUBLISHED / name
    return [folder, *(folder / other for other in read_source(name).get("repositories", ()))]


def components(repository: Path) -> list[Component]:
    """The components that a pipeline's index names."""
    index = repository / INDEX_FILE
    if not index.is_file():
        return []
    entries = json.loads(index.read_text(encoding="utf-8")).items()
    return [
        Component(part, entry[0], entry[1], repository)
        for part, entry in entries
        if isinstance(entry, list) and entry[0] is not None
    ]


def build_component(component: Component) -> Any:
    """Build it at its true size: modules on meta, schedulers and guiders as they are."""
    kind, config = component.load_class(), json.loads(component.config_file.read_text(encoding="utf-8"))
    return kind.from_config(config) if component.name in CONFIG_FILES else build_on_meta(kind, config)


def build_on_meta(kind: Any, config: dict[str, Any]) -> Any:
    """Build a module without memory for its weights."""
    from accelerate import init_empty_weights  # noqa: PLC0415  (heavy)
    from transformers import PreTrainedModel  # noqa: PLC0415  (heavy)

    with init_empty_weights():
        if not issubclass(kind, PreTrainedModel):
            return kind.from_config(config)
        model = kind(kind.config_class.from_dict(config))
    model.tie_weights()
    return model


def build_transformers_model(name: str) -> Any:
    """A model of transformers that is published alone, like MusicGen, on meta."""
    import transformers  # noqa: PLC0415  (heavy)

    config = json.loads((PUBLISHED / name / "config.json").read_text(encoding="utf-8"))
    return build_on_meta(getattr(transformers, config["architectures"][0]), config)


def count_parameters(module: Any) -> float:
    """Its number of parameters, in billions."""
    return float(sum(weight.numel() for weight in module.parameters())) / 1e9


def guess_lines() -> list[str]:
    """Every key that was guessed, a line a file."""
    lines = []
    for name in names():
        for file, facts in read_source(name).get("files", {}).items():
            if facts["kind"] == "guess":
                lines.append(f"- {name}: `{file}`: the whole file")
            elif keys := facts.get("guess"):
                lines.append(f"- {name}: `{file}`: {', '.join(f'`{key}`' for key in keys)}")
    return lines


def guesses_page() -> str:
    head = "# Guessed keys\n\nNobody read these in a published file. Written by `published_configs.py`.\n\n"
    return head + "\n".join(guess_lines()) + "\n"


def main() -> None:
    GUESSES_FILE.write_text(guesses_page(), encoding="utf-8")
    for name in names_with_configs():
        source = read_source(name)
        expected = source.get("parameters", {})
        counted: dict[str, float] = {}
        if (PUBLISHED / name / "config.json").is_file():
            counted["total"] = count_parameters(build_transformers_model(name))
        for repository in repositories(name):
            prefix = "" if repository.name == name else f"{repository.name}/"
            for component in components(repository):
                modules = component.name not in (*CONFIG_FILES, *WITHOUT_WEIGHTS)
                if modules and component.config_file.is_file():
                    counted[prefix + component.name] = count_parameters(build_component(component))
        for part, billions in counted.items():
            published = expected.get(part, "")
            sys.stdout.write(f"{name:24}{part:56}{billions:9.4f}  {published}\n")


if __name__ == "__main__":
    main()
