"""The text encoder: a tokenizer of whole words and a one-layer T5 for the words of the captions."""

from collections.abc import Iterator

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5EncoderModel

from training.pocket import captions, lexicon

WIDTH = 96
MAX_TOKENS = 128


def tokenizer(*, free_phrasing: bool = True) -> PreTrainedTokenizerFast:
    """Lower-cases, removes accents and punctuation, and replaces free phrasing by training phrases.

    Training captions do not need the replacement; without it an unknown word is one <unk>.
    """
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", *captions.known_words()])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))  # noqa: S106
    core.normalizer = normalizers.Sequence(
        [
            normalizers.NFD(),
            normalizers.StripAccents(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex("[^a-z0-9 ]"), " "),
            *(_free_phrasing_normalizers() if free_phrasing else ()),
        ]
    )
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",  # noqa: S106
        eos_token="</s>",  # noqa: S106
        unk_token="<unk>",  # noqa: S106
        model_max_length=MAX_TOKENS,
    )


def _free_phrasing_normalizers() -> Iterator[normalizers.Normalizer]:
    for pattern, replacement in lexicon.replacement_rules():
        yield normalizers.Replace(Regex(" +"), " ")
        yield normalizers.Replace(Regex(pattern), replacement)


def encoder(vocabulary: dict[str, int]) -> T5EncoderModel:
    """A T5 encoder that starts as a bag of words with similar embeddings for synonyms."""
    config = T5Config(
        vocab_size=len(vocabulary),
        d_model=WIDTH,
        d_kv=24,
        d_ff=192,
        num_layers=1,
        num_heads=4,
        feed_forward_proj="gated-gelu",
        is_encoder_decoder=False,
        dropout_rate=0.0,
    )
    model = T5EncoderModel(config)
    layer = model.encoder.block[0].layer
    torch.nn.init.zeros_(layer[0].SelfAttention.o.weight)
    torch.nn.init.zeros_(layer[1].DenseReluDense.wo.weight)
    with torch.no_grad():
        _share_meanings(model.shared.weight, vocabulary)
    return model


def _share_meanings(weight: torch.Tensor, vocabulary: dict[str, int]) -> None:
    centres: dict[tuple[str, str], torch.Tensor] = {}
    for word, pairs in captions.meanings().items():
        if len(pairs) == 1 and word not in captions.FILLERS:
            centre = centres.setdefault(pairs[0], torch.randn(WIDTH))
            weight[vocabulary[word]] = centre + 0.15 * torch.randn(WIDTH)
