"""How words of other scripts are typed in Latin letters."""

from __future__ import annotations

from collections.abc import Iterator


def _spelling(letters: str, spelled: str) -> dict[str, str]:
    """Pair each letter with its spelling; "_" stands for none."""
    return dict(zip(letters, spelled.split(" "), strict=True))


CYRILLIC_LETTERS = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяіїєґ"
CYRILLIC_SPELLINGS = (
    _spelling(
        CYRILLIC_LETTERS,
        "a b v g d e e zh z i y k l m n o p r s t u f kh ts ch sh shch _ y _ e yu ya i yi ye g",
    ),
    _spelling(
        CYRILLIC_LETTERS,
        "a b v g d e e zh z i j k l m n o p r s t u f h c ch sh sch _ y _ e ju ja i ji je g",
    ),
)
GREEK_SPELLING = _spelling(
    "αβγδεζηθικλμνξοπρσςτυφχψω", "a v g d e z i th i k l m n x o p r s s t y f ch ps o"
)
INITIALS = tuple(
    _spelling(
        "ᄀᄁᄂᄃᄄᄅᄆᄇᄈᄉᄊᄋᄌᄍᄎᄏᄐᄑᄒ", "g kk n d tt r m b pp s ss _ j jj ch k t p h"
    ).values()
)
VOWELS = tuple(_spelling("ᅡᅢᅣᅤᅥᅦᅧᅨᅩᅪᅫᅬᅭᅮᅯᅰᅱᅲᅳᅴᅵ", "a ae ya yae eo e yeo ye o wa wae oe yo u wo we wi yu eu ui i").values())
FINALS = (
    "_",
    *_spelling("ᆨᆩᆪᆫᆬᆭᆮᆯᆰᆱᆲᆳᆴᆵᆶᆷᆸᆹᆺᆻᆼᆽᆾᆿᇀᇁᇂ", "k k k n n n t l k m l l l p l m p p t t ng t t k t p t").values(),
)
"""The spellings of the parts of a Korean syllable, in the order of Unicode."""
FIRST_SYLLABLE = 0xAC00
LAST_SYLLABLE = 0xD7A3
SYLLABLES_PER_INITIAL = len(VOWELS) * len(FINALS)


def romanizations(word: str) -> Iterator[str]:
    """The usual spellings of a Cyrillic, Greek or Korean word in Latin letters; nothing for other scripts."""
    letters = word.replace(" ", "")
    if letters and all("\u0400" <= c <= "\u04ff" for c in letters):
        for spelling in CYRILLIC_SPELLINGS:
            yield _spell(word, spelling)
    elif letters and all("\u0370" <= c <= "\u03ff" for c in letters):
        yield _spell(word, GREEK_SPELLING)
    elif letters and all(FIRST_SYLLABLE <= ord(c) <= LAST_SYLLABLE for c in letters):
        yield "".join(c if c == " " else _syllable(ord(c) - FIRST_SYLLABLE) for c in word)


def _spell(word: str, spelling: dict[str, str]) -> str:
    return "".join(spelling.get(c, c) for c in word).replace("_", "")


def _syllable(number: int) -> str:
    initial, rest = divmod(number, SYLLABLES_PER_INITIAL)
    vowel, final = divmod(rest, len(FINALS))
    return f"{INITIALS[initial]}{VOWELS[vowel]}{FINALS[final]}".replace("_", "")
