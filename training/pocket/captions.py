"""Captions for a clip specification in many wordings, and the words that pocket knows."""

from collections.abc import Iterator
from random import Random

from training.pocket.procedural_clips import ClipSpec

PHRASES: dict[str, dict[str, tuple[str, ...]]] = {
    "colour": {
        "red": ("red", "crimson", "scarlet"),
        "orange": ("orange", "tangerine"),
        "yellow": ("yellow", "golden", "gold", "lemon"),
        "green": ("green", "emerald"),
        "blue": ("blue", "azure", "navy"),
        "purple": ("purple", "violet", "lilac"),
        "pink": ("pink", "magenta"),
        "cyan": ("cyan", "turquoise", "aqua", "teal"),
    },
    "actor": {
        "ball": ("ball", "sphere", "beachball"),
        "star": ("star", "starfish"),
        "heart": ("heart", "valentine"),
        "rocket": ("rocket", "spaceship", "rocketship"),
        "boat": ("boat", "ship", "sailboat", "yacht"),
        "bird": ("bird", "gull", "seagull", "eagle"),
        "cat": ("cat", "kitten", "kitty"),
        "car": ("car", "automobile", "taxi"),
    },
    "place": {
        "sky": ("in the sky", "among the clouds", "in the clouds", "in the air"),
        "sea": ("over the sea", "at sea", "on the ocean", "by the water", "over the waves"),
        "meadow": ("in a meadow", "on the grass", "in a field", "over the hills"),
        "desert": ("in the desert", "over the dunes", "over sand dunes", "in the sahara"),
        "snow": ("in the snow", "over the snow", "in winter", "over a snowy forest", "among the firs"),
        "city": (
            "in the city",
            "over the city",
            "above the town",
            "in front of skyscrapers",
            "over the rooftops",
        ),
        "space": ("in space", "in outer space", "near a planet", "in the cosmos", "among the planets"),
    },
    "time": {
        "day": ("by day", "in daylight", "on a sunny day", "in the sunshine", "at noon", "in the morning"),
        "night": (
            "at night",
            "under the stars",
            "in the moonlight",
            "in the dark",
            "at midnight",
            "by moonlight",
        ),
    },
    "motion": {
        "left": ("moving left", "going to the left", "flying left", "drifting left", "heading left"),
        "right": ("moving right", "going to the right", "flying right", "drifting right", "heading right"),
        "rise": (
            "rising",
            "going up",
            "flying up",
            "taking off",
            "climbing",
            "rises",
            "lifting off",
            "soaring",
        ),
        "fall": ("falling", "dropping", "going down", "sinking", "descending", "falls", "coming down"),
        "bounce": ("bouncing", "hopping", "jumping", "jumping up and down", "bounces", "leaping"),
        "spin": ("spinning", "rotating", "turning", "turning around", "twirling", "spins"),
        "grow": ("growing", "getting bigger", "coming closer", "approaching", "getting larger", "grows"),
        "circle": ("circling", "flying in circles", "going round and round", "going in circles", "looping"),
    },
}
TEMPLATES = (
    "a {c} {s} {m} {w}",
    "a {c} {s} {m} {w}",
    "{c} {s} {m} {w}",
    "{w}, a {c} {s} {m}",
    "a {c} {s} is {m} {w}",
    "a {s} {m} {w}, {c}",
    "a {m} {c} {s} {w}",
    "the {c} {s} {w} is {m}",
    "{w}: {c} {s}, {m}",
    "a {c} {s} {w}, {m}",
    "a video of a {c} {s} {m} {w}",
)
HELD_OUT_TEMPLATES = (
    "{w} there is a {c} {s} {m}",
    "the {s} is {c} and it is {m} {w}",
    "{m} {w}, a {c} {s}",
    "a {s} {w} {m}, and the {s} is {c}",
)
FILLERS = (
    *(
        "big",
        "little",
        "small",
        "happy",
        "shiny",
        "beautiful",
        "cute",
        "lonely",
        "slowly",
        "quickly",
        "gently",
    ),
    *("an", "and", "of", "with", "it", "its", "there", "very", "one", "some", "this", "my", "while", "like"),
)
_UNKNOWN = "qwxyz"


def training_caption(spec: ClipSpec, random: Random) -> str:
    """For training: sky and day may be omitted, sometimes colour or motion; other words may be inserted."""
    text = _fill(random.choice(TEMPLATES), spec, random, omit_chance=0.04)
    if random.random() < 0.12:
        words = text.split()
        stray = _UNKNOWN if random.random() < 0.4 else random.choice(FILLERS)
        words.insert(random.randrange(len(words) + 1), stray)
        text = " ".join(words)
    return text


def complete_caption(spec: ClipSpec, random: Random) -> str:
    """A caption from a training template that names everything."""
    return _fill(random.choice(TEMPLATES), spec, random, omit_chance=0.0)


def held_out_caption(spec: ClipSpec, random: Random) -> str:
    """A caption from a template that training never uses, which names everything."""
    return _fill(random.choice(HELD_OUT_TEMPLATES), spec, random, omit_chance=0.0)


def _fill(template: str, spec: ClipSpec, random: Random, omit_chance: float) -> str:
    def pick_phrase(kind: str, value: str) -> str:
        return random.choice(PHRASES[kind][value])

    colour = "" if random.random() < omit_chance else pick_phrase("colour", spec.colour)
    motion = "" if random.random() < omit_chance else pick_phrase("motion", spec.motion)
    text = template.format(
        c=colour, s=pick_phrase("actor", spec.actor), m=motion, w=_place_and_time(spec, random)
    )
    return " ".join(text.split()).strip(" ,:")


def _place_and_time(spec: ClipSpec, random: Random) -> str:
    phrases = []
    if spec.place != "sky" or random.random() < 0.7:
        phrases.append(random.choice(PHRASES["place"][spec.place]))
    if spec.place != "space" and (spec.time == "night" or random.random() < 0.4):
        phrases.append(random.choice(PHRASES["time"][spec.time]))
    random.shuffle(phrases)
    return " ".join(phrases)


def meanings() -> dict[str, list[tuple[str, str]]]:
    """Every word of the phrases, with the (kind, value) pairs that it occurs in."""
    found: dict[str, list[tuple[str, str]]] = {}
    for kind, value, phrase in _phrases():
        for word in phrase.split():
            pairs = found.setdefault(word, [])
            if (kind, value) not in pairs:
                pairs.append((kind, value))
    return found


def known_words() -> list[str]:
    """All words that pocket was trained on, in a fixed order."""
    plain = {
        word
        for t in (*TEMPLATES, *HELD_OUT_TEMPLATES)
        for word in t.replace(",", " ").replace(":", " ").split()
    }
    return sorted({*meanings(), *FILLERS, *(w for w in plain if "{" not in w)})


def _phrases() -> Iterator[tuple[str, str, str]]:
    for kind, values in PHRASES.items():
        for value, phrases in values.items():
            for phrase in phrases:
                yield kind, value, phrase
