"""Export the trained parts as a folder that LTXPipeline loads unmodified: safetensors in half precision.

python -m training.pocket.export --work DIR --to FOLDER
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKLLTXVideo, FlowMatchEulerDiscreteScheduler, LTXPipeline
from torch import nn

from training.pocket import encoder, lexicon, text, training_run, transformer, vae


def assemble(work: Path) -> LTXPipeline:
    state = _load_required(work / "transformer.pt")
    tokenizer = text.tokenizer()
    text_encoder = text.encoder(tokenizer.get_vocab())
    model = transformer.build()
    _copy_values([*model.parameters(), *text_encoder.parameters()], state["average"])
    return LTXPipeline(
        transformer=model,
        vae=_vae(work, state),
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        scheduler=FlowMatchEulerDiscreteScheduler(),
    )


def _vae(work: Path, state: dict[str, Any]) -> AutoencoderKLLTXVideo:
    model = vae.build()
    _copy_values(list(model.decoder.parameters()), _load_required(work / "vae.pt")["average"])
    if fitted := training_run.load(work / encoder.STATE_FILE):
        model.encoder.load_state_dict(fitted["encoder"])
    model.latents_mean.copy_(state["mean"])
    model.latents_std.copy_(state["deviation"])
    return model


@torch.no_grad()
def _copy_values(parameters: list[nn.Parameter], values: list[torch.Tensor]) -> None:
    for parameter, value in zip(dict.fromkeys(parameters), values, strict=True):
        parameter.copy_(value)


def _load_required(path: Path) -> dict[str, Any]:
    state = training_run.load(path)
    if state is None:
        raise FileNotFoundError(path)
    return state


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--to", type=Path, required=True)
    options = parser.parse_args()
    assemble(options.work).to(dtype=torch.float16).save_pretrained(options.to)
    (options.to / "vocabulary.json").write_text(json.dumps(lexicon.vocabulary(), indent=1) + "\n")
    size = sum(f.stat().st_size for f in options.to.rglob("*") if f.is_file())
    print(f"{size / 1e6:.2f} MB in {options.to}")


if __name__ == "__main__":
    main()
