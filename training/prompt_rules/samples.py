"""Training samples for the classifier: terms of the lists in harmless company, and harmless prompts."""

from __future__ import annotations

import random
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.moderation.prompt_policy import read_word_lists
from bot.moderation.text_normalization import simplest_reading, without_spaces

HERE = Path(__file__).parent
RULES = HERE.parents[1] / "config" / "rules"
GRADED = ("violence", "self_harm", "terror", "hate")
GRADES = ("severe", "graphic", "mild")
CLASSES = ("minors", "abuse", "adult", "people", *(f"{rule}.{grade}" for rule in GRADED for grade in GRADES))
Words = Mapping[str, Sequence[str]]
IGNORED, LOW, FULL = 0.0, 0.15, 1.0
"""How much a class counts in the loss of a sample."""


def _grades_from(grade: str) -> tuple[str, ...]:
    """A severe text is also graphic and mild: at stricter levels more is refused."""
    return GRADES[GRADES.index(grade) :]


SINGLE = {
    "sexual": {"adult"},
    "abuse": {"abuse"},
    "impersonation": {"people"},
    "exploitation": {"minors", "adult"},
    **{
        f"{rule}.{grade}": {f"{rule}.{each}" for each in _grades_from(grade)}
        for rule in GRADED
        for grade in GRADES
    },
}
"""Lists of which one term is enough, and the classes that it belongs to."""

PAIRS: tuple[tuple[str, str, frozenset[str], int], ...] = (
    ("young", "sexual", frozenset({"minors", "adult"}), 12),
    ("young", "suggestive", frozenset({"minors"}), 6),
    ("young", "abuse", frozenset({"minors", "abuse"}), 2),
    ("hate.people", "hate.vermin", frozenset({"hate.graphic", "hate.mild"}), 8),
    ("hate.people", "hate.remove", frozenset({"hate.severe", "hate.graphic", "hate.mild"}), 8),
    ("self_harm.how", "self_harm.suicide", frozenset(f"self_harm.{g}" for g in GRADES), 8),
    ("self_harm.how", "terror.bomb", frozenset(f"terror.{g}" for g in GRADES), 8),
    ("terror.group", "terror.praise", frozenset(f"terror.{g}" for g in GRADES), 8),
)
"""Two lists whose terms break a rule together, the classes, and how often each pair of them is drawn."""

HARMLESS_ALONE = (
    "young",
    "girls",
    "hate.people",
    "hate.vermin",
    "self_harm.how",
    "terror.target",
    "terror.praise",
    "harmless",
)
ADULTS: Words = {
    "en": (
        "woman",
        "man",
        "lady",
        "couple",
        "girlfriend",
        "wife",
        "husband",
        "model",
        "two adults",
        "women",
        "men",
    ),
    "de": ("Frau", "Mann", "Dame", "Paar", "Freundin", "Ehefrau", "Model", "Frauen", "Männer"),
    "fr": ("femme", "homme", "dame", "couple", "copine", "épouse", "femmes", "hommes"),
    "es": ("mujer", "hombre", "señora", "pareja", "novia", "esposa", "mujeres", "hombres"),
    "pt": ("mulher", "homem", "senhora", "casal", "namorada", "esposa", "mulheres", "homens"),
    "it": ("donna", "uomo", "signora", "coppia", "fidanzata", "moglie", "donne", "uomini"),
    "nl": ("vrouw", "man", "dame", "stel", "vriendin", "echtgenote", "vrouwen", "mannen"),
    "pl": ("kobieta", "mężczyzna", "pani", "para", "dziewczyna", "żona", "kobiety"),
    "ru": ("женщина", "мужчина", "девушка", "пара", "жена", "подруга", "женщины", "zhenshchina", "devushka"),
    "uk": ("жінка", "чоловік", "дівчина", "пара", "дружина", "жінки"),
    "tr": ("kadın", "adam", "çift", "sevgili", "karısı", "kadınlar"),
    "ar": ("امرأة", "رجل", "سيدة", "زوجان", "زوجة", "نساء"),
    "zh": ("女人", "男人", "美女", "情侣", "女友", "妻子", "女子"),
    "ja": ("女性", "男性", "人妻", "カップル", "彼女", "妻", "お姉さん"),
    "ko": ("여자", "남자", "여성", "커플", "여자친구", "아내"),
    "hi": ("औरत", "आदमी", "महिला", "जोड़ा", "पत्नी", "प्रेमिका", "aurat", "mahila"),
}
AGES: Words = {
    "en": (
        "{} year old",
        "{}-year-old",
        "{} yo",
        "aged {}",
        "age {}",
        "girl {}",
        "boy, {}",
    ),
    "de": (
        "{} Jahre alt",
        "{}-jährige",
        "{}-jähriges Mädchen",
    ),
    "fr": (
        "de {} ans",
        "âgée de {} ans",
    ),
    "es": (
        "de {} años",
        "tiene {} años",
    ),
    "pt": (
        "de {} anos",
        "com {} anos",
    ),
    "it": (
        "di {} anni",
        "ha {} anni",
    ),
    "nl": (
        "van {} jaar",
        "{} jaar oud",
        "{}-jarige",
    ),
    "pl": (
        "{} lat",
        "{}-letnia",
        "{}-latka",
    ),
    "ru": (
        "{} лет",
        "{}-летняя",
    ),
    "uk": (
        "{} років",
        "{}-річна",
    ),
    "tr": ("{} yaşında",),
    "ar": (
        "عمرها {} سنة",
        "عمره {} سنوات",
    ),
    "zh": (
        "{}岁",
        "{}岁女孩",
    ),
    "ja": (
        "{}歳",
        "{}歳の女の子",
    ),
    "ko": (
        "{}살",
        "{}세 소녀",
    ),
    "hi": (
        "{} साल की",
        "{} साल का",
    ),
}
CHILD_AGES, ADULT_AGES = range(5, 18), range(18, 70)
JOINERS: Words = {
    "en": ("are", "as", "like", "with", "and", "", ",", "="),
    "de": ("sind", "als", "und", "mit", "", ","),
    "fr": ("sont des", "comme des", "et", "", ","),
    "es": ("son", "como", "y", "", ","),
    "pt": ("são", "como", "e", "", ","),
    "it": ("sono", "come", "e", "", ","),
    "nl": ("zijn", "als", "en", "", ","),
    "pl": ("to", "jak", "i", "", ","),
    "ru": ("это", "как", "и", "", ","),
    "uk": ("це", "як", "і", "", ","),
    "tr": ("ve", "gibi", "", ","),
    "ar": ("هم", "مثل", "و", ""),
    "zh": ("是", "都是", "和", "", ","),
    "ja": ("は", "の", "と", "、", ""),
    "ko": ("은", "는", "같은", " ", ""),
    "hi": ("हैं", "जैसे", "और", ""),
}


@dataclass(frozen=True, slots=True)
class Sample:
    text: str
    classes: frozenset[str]
    elsewhere: float
    """How much the classes count that the sample does not belong to."""
    is_validation: bool


class Sampler:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._lists: dict[str, Words] = read_word_lists(RULES)
        del self._lists["common_words"]
        self._emoji: Mapping[str, str] = self._lists.pop("emoji")  # type: ignore[assignment]
        alike: Mapping[str, str] = self._lists.pop("alike")  # type: ignore[assignment]
        self._lookalikes = {ord(c): letter for letter, others in alike.items() for c in others}
        self._harmless: Mapping[str, Words] = read_training_data("harmless.toml")
        self._labels: Words = read_training_data("emoji_labels.toml")
        self._phrases: Mapping[str, Words] = read_training_data("phrases.toml")

    def samples(self) -> Iterator[Sample]:
        for text, classes, elsewhere in self._all():
            is_validation = hash_of(text) % 10 == 0
            noisy = self._with_noise(text)
            yield Sample(self.normalized(noisy), classes, elsewhere, is_validation)

    def normalized(self, text: str) -> str:
        return simplest_reading(text, emoji=self._emoji, lookalikes=self._lookalikes)

    def _all(self) -> Iterator[tuple[str, frozenset[str], float]]:
        for name, classes in SINGLE.items():
            for language, terms in self._lists[name].items():
                for term in terms:
                    times = 8 if " " not in term else 4
                    yield from self._in_company(_clean(term), language, frozenset(classes), times)
        yield from self._people_and_ages()
        for first, second, pair_classes, times in PAIRS:
            yield from self._pairs(first, second, pair_classes, times)
        for name, by_language in self._phrases.items():
            for language, phrases in by_language.items():
                for phrase in phrases:
                    yield from self._in_company(phrase, language, frozenset(SINGLE.get(name, {name})), 8)
        yield from ((text, frozenset(), FULL) for text in self._harmless_texts())

    def _pairs(
        self, first: str, second: str, classes: frozenset[str], times: int
    ) -> Iterator[tuple[str, frozenset[str], float]]:
        for language, terms in self._lists[first].items():
            others = self._lists[second].get(language)
            if not others:
                continue
            for _ in range(times * max(len(terms), len(others))):
                pair = [_clean(self._random.choice(terms)), _clean(self._random.choice(others))]
                self._random.shuffle(pair)
                joiner = self._random.choice(JOINERS.get(language, ("",)))
                text = _join(pair[0], joiner, pair[1])
                yield from self._in_company(text, language, classes, 1)

    def _people_and_ages(self) -> Iterator[tuple[str, frozenset[str], float]]:
        """The same terms with adults and with minors, so that the classes differ by the people alone."""
        for language, adults in ADULTS.items():
            terms = [*self._lists["sexual"][language]]
            usual = [term for term in terms[:60] if " " not in term]
            for number in range(2400):
                term = _clean(self._random.choice(usual if number % 2 else terms))
                is_minor = number % 3 == 0
                age = self._age(language, CHILD_AGES if is_minor else ADULT_AGES)
                person = self._random.choice(self._lists["young"][language] if is_minor else adults)
                who = self._random.choice((_clean(person), age, _join(age, _clean(person))))
                pair = [term, who]
                self._random.shuffle(pair)
                classes = frozenset({"adult", "minors"} if is_minor else {"adult"})
                does, where = (
                    self._random.choice(self._harmless[language][key]) for key in ("does", "where")
                )
                text = self._random.choice((_join(*pair), _join(*pair, does), _join(*pair, where)))
                yield text if number % 4 else self._with_context(text, language), classes, FULL
            for number in range(400):
                age = self._age(language, CHILD_AGES if number % 2 else ADULT_AGES)
                person = self._random.choice(self._lists["young"][language] if number % 2 else adults)
                does = self._random.choice(self._harmless[language]["does"])
                yield _join(age, _clean(person), does), frozenset(), FULL

    def _age(self, language: str, ages: range) -> str:
        return self._random.choice(AGES[language]).format(self._random.choice(ages))

    def _in_company(
        self, text: str, language: str, classes: frozenset[str], times: int
    ) -> Iterator[tuple[str, frozenset[str], float]]:
        for number in range(times):
            alone = number == 0 and times > 1
            yield text if alone else self._with_context(text, language), classes, LOW

    def _with_context(self, text: str, language: str) -> str:
        parts = self._harmless.get(language, self._harmless["en"])
        who, where, how = (self._random.choice(parts[key]) for key in ("who", "where", "how"))
        return self._random.choice(
            (
                text,
                _join(who, text),
                _join(text, where),
                _join(text, ",", how),
                _join(who, text, where),
                _join(how, ",", text),
                _join(text, ",", where, ",", how),
            )
        )

    def _harmless_texts(self) -> Iterator[str]:
        for language, parts in self._harmless.items():
            for sentence in parts["sentences"]:
                for _ in range(12):
                    yield self._random.choice(
                        (sentence, sentence, _join(sentence, ",", self._random.choice(parts["how"])))
                    )
            for _ in range(6000 if language == "en" else 2500):
                picked = {key: self._random.choice(parts[key]) for key in ("who", "does", "where", "how")}
                yield self._random.choice(
                    (
                        _join(picked["who"], picked["does"]),
                        _join(picked["who"], picked["does"], picked["where"]),
                        _join(picked["who"], picked["does"], picked["where"], ",", picked["how"]),
                        _join(picked["how"], ",", picked["who"], picked["where"]),
                    )
                )
            labels = self._labels.get(language, ())
            for label in labels:
                other = self._random.choice(labels)
                yield from (label, _join(label, ",", other), self._with_context(label, language))
        for name in HARMLESS_ALONE:
            for language, terms in self._lists[name].items():
                for term in terms:
                    for _ in range({"harmless": 5, "young": 16}.get(name, 4)):
                        yield self._harmless_with(_clean(term), language)

    def _harmless_with(self, term: str, language: str) -> str:
        parts = self._harmless.get(language, self._harmless["en"])
        does = self._random.choice(parts["does"])
        return self._random.choice((self._with_context(term, language), _join(term, does), term))

    def _with_noise(self, text: str) -> str:
        """A typing error in every third text, harmful or not."""
        if self._random.random() > 0.33 or without_spaces(text):
            return text
        words = text.split(" ")
        long = [at for at, word in enumerate(words) if len(word) > 3 and word.isalpha()]
        if not long:
            return text
        at = self._random.choice(long)
        words[at] = self._misspelled(words[at])
        return " ".join(words)

    def _misspelled(self, word: str) -> str:
        at = self._random.randrange(1, len(word) - 1)
        return self._random.choice(
            (
                word[:at] + word[at + 1 :],
                word[:at] + word[at] + word[at:],
                word[:at] + word[at + 1] + word[at] + word[at + 2 :],
                word[:at] + self._random.choice("aeiou") + word[at + 1 :],
                word[:at] + " " + word[at:],
            )
        )


def hash_of(text: str) -> int:
    """The same in every process, unlike hash()."""
    value = 0
    for c in text:
        value = (value * 31 + ord(c)) & 0xFFFFFFFF
    return value >> 3


def read_training_data(name: str) -> dict[str, Any]:
    return tomllib.loads((HERE / name).read_text("utf-8"))


def _clean(term: str) -> str:
    return term.removesuffix("*")


def _join(*parts: str) -> str:
    joined = " ".join(part for part in parts if part).replace(" ,", ",")
    return (
        joined.replace(" ", "")
        if without_spaces(joined) and joined.isprintable() and _is_cjk(joined)
        else joined
    )


def _is_cjk(text: str) -> bool:
    """Chinese and Japanese have no spaces; Korean and Thai have some."""
    return any("\u3040" <= c <= "\u9fff" for c in text)
