"""`matinee models pull` downloads a model's weights; `matinee convert` converts a checkpoint."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from bot.cli.output import Output
from bot.i18n import messages
from generation.errors import ModelMissing
from generation.models.common.pull import HasWeights, pull
from generation.models.common.weights import find_folder
from generation.progress import Progress, Stage

MEGABYTE = 1_000_000
DEFAULT_TOKENIZERS = ("stable-diffusion-v1-5/stable-diffusion-v1-5", "ali-vilab/text-to-video-ms-1.7b")
"""A converted model without a named tokenizer uses that of the first of these that is downloaded."""


async def pull_weights(preset: HasWeights, output: Output) -> dict[str, str]:
    """Download the weights; returns the commit of each repository."""

    def on_bytes(done: int, total: int) -> None:
        output.show_progress(Progress(Stage.LOADING, done // MEGABYTE, total // MEGABYTE))

    token = os.environ.pop("HF_TOKEN", None) or None

    def on_skipped(style: str, source: str) -> None:
        output.print_note(messages.translate("model.style_skipped", style=style, source=source))

    commits = await asyncio.to_thread(pull, preset, on_bytes, on_skipped=on_skipped, token=token)
    for source, commit in commits.items():
        output.print_note(messages.translate("model.pulled", source=source, commit=commit))
    return commits


async def convert(checkpoint: Path, folder: Path, tokenizer: str | None) -> None:
    from generation.models.common import videocrafter  # noqa: PLC0415  (only for this verb)

    tokenizer_folder = _find_tokenizer(tokenizer)
    await asyncio.to_thread(videocrafter.convert, checkpoint, folder, tokenizer=tokenizer_folder)
    print(folder, file=sys.stdout)


def _find_tokenizer(named: str | None) -> Path:
    for source in (named,) if named else DEFAULT_TOKENIZERS:
        try:
            folder = find_folder("sd15", source)
        except ModelMissing:
            continue
        inner = folder / "tokenizer"
        return inner if inner.is_dir() else folder
    raise ModelMissing("sd15")
