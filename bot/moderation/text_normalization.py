"""Undo disguises in text: look-alike letters, leet, spacing, invisible characters and emoji."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

COMBINING_MARKS = "\u0610-\u061a\u064b-\u065f\u05b0-\u05c7\u0900-\u0903\u093a-\u094f\u0e31\u0e34-\u0e4e"
"""Vowel signs that are part of a word."""
IN_WORDS = rf"\w{COMBINING_MARKS}"
WORD = re.compile(rf"[{IN_WORDS}]+")
LEET = {ord(sign): letter for sign, letter in zip("0134578@$€!|+", "oieastbaseiit", strict=True)}
LEET_WITH_L = LEET | {ord(sign): "l" for sign in "1!|"}
LEET_CYRILLIC = {
    ord(sign): letter for sign, letter in zip("0346@acekmopxytb", "озчбаасекморхутв", strict=True)
}
"""The digits and Latin letters that stand for Cyrillic letters in a Cyrillic word."""
LEET_SIGNS = re.compile(r"[\d@$€!|+]")
LETTER = re.compile(r"[^\W\d_]")
LATIN = re.compile("[a-z]")
CYRILLIC = re.compile("[\u0400-\u04ff]")
SEPARATORS = r".\-*·•・|'’+~/\\_:"  # noqa: RUF001  (typographic on purpose)
PUNCTUATION_INSIDE_WORDS = re.compile(rf"(?<=[{IN_WORDS}])[{SEPARATORS}]+(?=[{IN_WORDS}])")
SPELLED_OUT = re.compile(
    rf"(?<![{IN_WORDS}])(?:[{IN_WORDS}][\s,{SEPARATORS}]{{1,3}}){{2,}}[{IN_WORDS}](?![{IN_WORDS}])"
)
REPEATED_LETTERS = re.compile(r"([^\W\d_])\1{2,}")
LATIN_LETTER_NAME = re.compile(
    r"(?:.*\bLATIN\b.*|REGIONAL INDICATOR SYMBOL) LETTER (?:SMALL CAPITAL )?([A-Z])(?: WITH .*)?"
)
OPTIONAL_MARKS = re.compile(
    "["
    "\u0300-\u036f"  # Latin, Greek, Cyrillic
    "\u0591-\u05c7"  # Hebrew points
    "\u0640"  # the tatweel, which stretches an Arabic word
    "\u064b-\u065f"  # Arabic vowels
    "\ufe00-\ufe0f"  # variation selectors of emoji
    "]"
)
"""Marks that a writer may omit. Scripts whose marks are letters, such as Devanagari, are not listed."""
INVISIBLE_CATEGORIES = frozenset({"Cf", "Cc", "Cs", "Co"})
LETTER_VARIANTS = {ord("ı"): "i", ord("œ"): "oe", ord("æ"): "ae", ord("ى"): "ي", ord("ٱ"): "ا", ord("ک"): "ك"}  # noqa: RUF001
"""Letters that are written in two ways and that NFKC keeps apart."""
TRADITIONAL = (
    "製體殺彈視頻強姦臉換兒嬰學猶難滅絕屍腸斬頭剝殘錄偽總統聲處決槍襲聖戰國軍隊爾納禮豬蟲種淨蘿"
    "歲齡養親亂倫獸慾愛誘內褲陰莖無碼圖畫黃電級術藥劑樓橋燒繩結遺書療輕厭鬱傷煉毆鬥擊開發賓恆裏"
    "裡幾歡變態貓鬧員業門間問題長張東車馬鳥魚龍風飛會後時見觀聽說話語讀寫請護認識證議論設計評詞"
    "試詩該詳誤課調談講讓"
)
SIMPLIFIED = (
    "制体杀弹视频强奸脸换儿婴学犹难灭绝尸肠斩头剥残录伪总统声处决枪袭圣战国军队尔纳礼猪虫种净萝"
    "岁龄养亲乱伦兽欲爱诱内裤阴茎无码图画黄电级术药剂楼桥烧绳结遗书疗轻厌郁伤炼殴斗击开发宾恒里"
    "里几欢变态猫闹员业门间问题长张东车马鸟鱼龙风飞会后时见观听说话语读写请护认识证议论设计评词"
    "试诗该详误课调谈讲让"
)
LETTER_VARIANTS |= {ord(one): other for one, other in zip(TRADITIONAL, SIMPLIFIED, strict=True)}
"""Chinese characters in their two spellings. Japanese ones change alike, in the lists and in the texts."""
SPLIT_CHARACTERS = {"衤果": "裸", "女干": "奸", "氵壬": "淫", "扌操": "操", "歹匕": "死", "木奉": "棒"}
"""Chinese characters that are typed as their two halves."""
MAX_EXPANSION = 4
"""The characters that one may become: longer compatibility forms, such as U+FDFA, are cut."""


def normalize_text(text: str) -> str:
    """Apply NFKC, case folding and single spaces; remove accents and invisible characters."""
    if text.isascii() and text.isprintable():  # a fast path for most prompts and word lists
        return " ".join(text.lower().replace("_", " ").split())
    text = compose_jamo("".join(map(_compatible, text)))
    text = "".join(map(_latin_letter, unicodedata.normalize("NFKC", text))).casefold().replace("_", " ")
    text = "".join(c for c in text if c.isspace() or unicodedata.category(c) not in INVISIBLE_CATEGORIES)
    without_marks = OPTIONAL_MARKS.sub("", unicodedata.normalize("NFD", text))
    composed = unicodedata.normalize("NFC", without_marks).translate(LETTER_VARIANTS)
    return " ".join(composed.split())


@cache
def _compatible(c: str) -> str:
    return c if c.isascii() else unicodedata.normalize("NFKC", c)[:MAX_EXPANSION] or c


@cache
def _latin_letter(c: str) -> str:
    """The plain letter for a boxed, circled, barred, hooked or small capital one, from its Unicode name."""
    found = None if c.isascii() else LATIN_LETTER_NAME.fullmatch(unicodedata.name(c, ""))
    return found[1].lower() if found else c


JAMO_INITIALS = "ᄀᄁᄂᄃᄄᄅᄆᄇᄈᄉᄊᄋᄌᄍᄎᄏᄐᄑᄒ"
JAMO_SYLLABLE = re.compile("([ᄀ-ᄒ])([ᅡ-ᅵ])(?:([ᄀ-ᄒ])(?![ᅡ-ᅵ]))?")
JAMO_FINALS = dict(zip("ᄀᄁᄂᄃᄅᄆᄇᄉᄊᄋᄌᄎᄏᄐᄑᄒ", "ᆨᆩᆫᆮᆯᆷᆸᆺᆻᆼᆽᆾᆿᇀᇁᇂ", strict=True))


def compose_jamo(text: str) -> str:
    """Join Korean letters that were typed one by one into syllables."""
    if JAMO_SYLLABLE.search(text) is None:
        return text
    return JAMO_SYLLABLE.sub(
        lambda found: unicodedata.normalize("NFC", found[1] + found[2] + JAMO_FINALS.get(found[3] or "", "")),
        text,
    )


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a text. It is a guess if the transformation also changes many harmless words."""

    text: str
    is_guess: bool = False


def readings_of(text: str, *, emoji: Mapping[str, str], lookalikes: Mapping[int, str]) -> list[Reading]:
    """Every likely reading of the text, the plain one first. A rule is broken if one reading breaks it."""
    for symbol, word in emoji.items():
        if symbol in text:
            text = text.replace(symbol, f" {word} ")
    plain, joined = normalize_text(text), normalize_text(_join_spelled_out(text))
    found = {plain: None, joined: None}
    for whole in (plain, joined):
        for table in (LEET, LEET_WITH_L):
            folded = " ".join(_fold_word(word, table, lookalikes) for word in whole.split(" "))
            for view in (folded, folded.translate(lookalikes)):
                for times in (r"\1", r"\1\1"):
                    repeated = REPEATED_LETTERS.sub(times, view)
                    found[repeated] = None
                    found[PUNCTUATION_INSIDE_WORDS.sub("", repeated)] = None
    readings = [Reading(view) for view in found]
    simplest = readings[-1].text
    guesses = (SPACE_IN_UNSPACED.sub("", simplest),)
    return readings + [Reading(view, is_guess=True) for view in guesses if view not in found]


def simplest_reading(text: str, *, emoji: Mapping[str, str], lookalikes: Mapping[int, str]) -> str:
    """The text with all disguises undone that can be undone with little doubt."""
    for symbol, word in emoji.items():
        if symbol in text:
            text = text.replace(symbol, f" {word} ")
    joined = normalize_text(_join_spelled_out(text))
    folded = " ".join(_fold_word(word, LEET, lookalikes) for word in joined.split(" "))
    return PUNCTUATION_INSIDE_WORDS.sub("", REPEATED_LETTERS.sub(r"\1", folded))


def _join_spelled_out(text: str) -> str:
    """Join words that are spelled letter by letter, with a wider gap between two words."""
    visible = "".join(
        c
        for c in unicodedata.normalize("NFC", "".join(map(_compatible, text)))
        if unicodedata.category(c) not in INVISIBLE_CATEGORIES
    )
    joined = SPELLED_OUT.sub(
        lambda run: re.sub(r"\s{2,}|([^" + IN_WORDS + "])", _keep_word_gap, run.group()), visible
    )
    for halves, whole in SPLIT_CHARACTERS.items():
        if halves in joined:
            joined = joined.replace(halves + " ", whole).replace(halves, whole)
    return joined


def _keep_word_gap(found: re.Match[str]) -> str:
    return "" if found.group(1) else " "


def _fold_word(word: str, leet: Mapping[int, str], lookalikes: Mapping[int, str]) -> str:
    """Undo leet and letters of a second script in one word. Digits alone are a number."""
    if word.isalpha() and (word.isascii() or not LATIN.search(word)):
        return word
    if LETTER.search(word) is None:
        return word
    if CYRILLIC.search(word):
        as_latin = word.translate(lookalikes)
        if LATIN.search(word) and not CYRILLIC.search(as_latin):
            return as_latin.translate(leet)
        return word.translate(LEET_CYRILLIC)
    if not LATIN.search(word):
        return word
    word = word.translate(lookalikes)
    return word.translate(leet) if LEET_SIGNS.search(word) else word


def spelled_out_words(view: str) -> list[str]:
    """Words that are spelled letter by letter, joined."""
    return [re.sub(rf"[^{IN_WORDS}]+", "", run.group()) for run in SPELLED_OUT.finditer(view)]


def letters_with_boundaries(view: str) -> tuple[str, frozenset[int], frozenset[int]]:
    """The letters without separators, and the positions at which words begin and end."""
    letters: list[str] = []
    begins, ends = set(), set()
    for word in re.findall(r"[^\W\d_]+", view):
        begins.add(len(letters))
        letters.extend(word)
        ends.add(len(letters))
    return "".join(letters), frozenset(begins), frozenset(ends)


SCRIPTS = {
    "LATIN": "latin", "CYRILLIC": "cyrillic", "GREEK": "greek", "ARABIC": "arabic", "HEBREW": "hebrew",
    "CJK": "chinese", "HIRAGANA": "japanese", "KATAKANA": "japanese", "HANGUL": "korean",
    "DEVANAGARI": "devanagari", "THAI": "thai",
}  # fmt: skip


def scripts_of(text: str) -> frozenset[str]:
    """The scripts of the letters in the text; "other" for a script that is not in SCRIPTS."""
    letters = {c for c in unicodedata.normalize("NFKC", text) if c.isalpha()}
    return frozenset(SCRIPTS.get(unicodedata.name(c, "?").split()[0], "other") for c in letters)


UNSPACED = re.compile(
    "[\u0e00-\u0e7f\u1100-\u11ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]"
)


SPACE_IN_UNSPACED = re.compile(f"(?<={UNSPACED.pattern}) (?={UNSPACED.pattern})")


def without_spaces(word: str) -> bool:
    """True if the word is in a script that puts no spaces between words."""
    return UNSPACED.search(word) is not None
