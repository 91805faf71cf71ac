"""Train the classifier of prompts and write bot/moderation/text_classifier.npz.

`python -m training.prompt_rules.train`: the same seed and data give the same weights. It takes minutes.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
from scipy import sparse

from bot.moderation.text_classifier import BUCKETS, MODEL, Thresholds, features_of
from training.prompt_rules.samples import CLASSES, FULL, Sample, Sampler

Floats = npt.NDArray[np.float32]
SEED = 19
EPOCHS = 5
BATCH = 2048
LEARNING_RATE = 0.1
WEIGHT_DECAY = 0.01
MAX_FALSE_ALARMS_ALONE = 0.0005
MAX_FALSE_ALARMS_CONFIRMED = 0.01
MIN_ALONE = 0.96
MIN_ALONE_OF = {"adult": 0.98, "minors": 1.01}
"""The class of minors never refuses alone."""
MIN_CONFIRMS = 0.3
MAX_OVERRULES = 0.002
OVERRULABLE = frozenset({"people"})
"""Classes whose terms also name the subject of lectures and news: there a low score overrules the lists."""


class Dataset:
    """The samples as a sparse matrix: a row a sample, a column a bucket."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        features = [features_of(sample.text)[0] for sample in samples]
        lengths = np.array([len(one) for one in features])
        values = np.repeat(1 / np.sqrt(lengths), lengths).astype(np.float32)
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        shape = (len(samples), BUCKETS)
        self.matrix = sparse.csr_matrix((values, np.concatenate(features), offsets), shape=shape)
        self.targets = np.array([[n in s.classes for n in CLASSES] for s in samples], dtype=np.float32)
        elsewhere = np.array([[sample.elsewhere] for sample in samples], dtype=np.float32)
        self.weights = np.where(self.targets > 0, np.float32(FULL), elsewhere)

    def __len__(self) -> int:
        return len(self.targets)


def train(data: Dataset) -> tuple[Floats, Floats]:
    """Logistic regression for each class, by Adam with decoupled weight decay."""
    random = np.random.default_rng(SEED)
    weights = np.zeros((BUCKETS, len(CLASSES)), np.float32)
    bias = np.full(len(CLASSES), -3.0, np.float32)
    optimizers = Adam(weights, WEIGHT_DECAY), Adam(bias, 0.0)
    steps = EPOCHS * -(-len(data) // BATCH)
    step = 0
    for epoch in range(EPOCHS):
        order, total = random.permutation(len(data)), 0.0
        for start in range(0, len(data), BATCH):
            rows = order[start : start + BATCH]
            batch, targets = data.matrix[rows], data.targets[rows]
            scores = sigmoid(batch @ weights + bias)
            error = (scores - targets) * data.weights[rows] / len(rows)
            rate = LEARNING_RATE * 0.5 * (1 + np.cos(np.pi * step / steps))
            step += 1
            for optimizer, gradient in zip(optimizers, (batch.T @ error, error.sum(0)), strict=True):
                optimizer.update(gradient.astype(np.float32), rate)
            total += float(np.abs(scores - targets).sum())
        print(f"epoch {epoch + 1}: mean error {total / data.targets.size:.5f}", flush=True)
    return weights, bias


class Adam:
    def __init__(self, values: Floats, weight_decay: float) -> None:
        self._values, self._weight_decay, self._steps = values, weight_decay, 0
        self._mean, self._square = np.zeros_like(values), np.zeros_like(values)

    def update(self, gradient: Floats, rate: float) -> None:
        self._steps += 1
        self._mean += 0.1 * (gradient - self._mean)
        self._square += 0.01 * (gradient * gradient - self._square)
        mean, square = self._mean / (1 - 0.9**self._steps), self._square / (1 - 0.99**self._steps)
        self._values -= np.float32(rate) * (
            mean / (np.sqrt(square) + 1e-8) + self._weight_decay * self._values
        )


def sigmoid(logits: Floats) -> Floats:
    return 1 / (1 + np.exp(-logits))


def quantized(weights: Floats) -> tuple[npt.NDArray[np.int8], Floats]:
    scales = np.maximum(np.abs(weights).max(axis=0), 1e-6) / 127
    return np.round(weights / scales).astype(np.int8), scales.astype(np.float32)


def calibrated(scores: Floats, data: Dataset) -> dict[str, Thresholds]:
    """Thresholds from validation samples: their texts were not trained on, though words of theirs were."""
    harmless = data.targets.sum(1) == 0
    found = {}
    for column, name in enumerate(CLASSES):
        negatives = scores[harmless, column]
        positives = scores[data.targets[:, column] > 0, column]
        alone = max(
            MIN_ALONE_OF.get(name, MIN_ALONE), float(np.quantile(negatives, 1 - MAX_FALSE_ALARMS_ALONE))
        )
        confirms = max(MIN_CONFIRMS, float(np.quantile(negatives, 1 - MAX_FALSE_ALARMS_CONFIRMED)))
        overrules = (
            0.0 if name not in OVERRULABLE else min(MAX_OVERRULES, float(np.quantile(positives, 0.001)))
        )
        found[name] = Thresholds(round(alone, 4), round(min(confirms, alone), 4), round(overrules, 5))
        print(
            f"{name:<20} alone {alone:.3f}  confirms {confirms:.3f}  overrules {overrules:.4f}"
            f"  of {len(positives)} positives {np.mean(positives >= alone):.1%} alone,"
            f" {np.mean(positives >= confirms):.1%} confirmed"
        )
    return found


def main() -> None:
    started = time.monotonic()
    samples = list(Sampler(SEED).samples())
    data = Dataset([sample for sample in samples if not sample.is_validation])
    unseen = Dataset([sample for sample in samples if sample.is_validation])
    print(
        f"{len(data)} samples, {len(unseen)} for validation, {time.monotonic() - started:.0f} s", flush=True
    )
    exact, bias = train(data)
    weights, scales = quantized(exact)
    scores = sigmoid(unseen.matrix @ (weights * scales) + bias)
    thresholds = calibrated(scores, unseen)
    facts = json.dumps({name: asdict(one) for name, one in thresholds.items()})
    np.savez_compressed(MODEL, weights=weights, scales=scales, bias=bias, thresholds=np.array(facts))
    print(f"{MODEL.name}: {MODEL.stat().st_size / 1e6:.2f} MB, {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
