"""Free phrasing: what people say beyond the words of training, and what each is read as by the tokenizer."""

import re
from collections.abc import Iterable, Iterator

from training.pocket import captions

# (kind, value): the wording of training that stands for it, and what else people say.
SAME: dict[tuple[str, str], tuple[str, str]] = {
    ("colour", "red"): ("red", "ruby|cherry|reddish|vermilion"),
    ("colour", "orange"): ("orange", "amber|apricot"),
    ("colour", "yellow"): ("yellow", "yellowish|canary|mustard"),
    ("colour", "green"): ("green", "lime|jade|greenish|olive"),
    ("colour", "blue"): ("blue", "sapphire|cobalt|bluish|indigo|sky blue"),
    ("colour", "purple"): ("purple", "lavender|mauve|plum|amethyst"),
    ("colour", "pink"): ("pink", "fuchsia|rosy|pinkish"),
    ("colour", "cyan"): ("cyan", "aquamarine|cyan blue"),
    ("actor", "ball"): ("ball", "balls|spheres|beachballs|orb|beach ball|football|soccer ball|basketball|tennis ball"),
    ("actor", "star"): ("star", "starfishes|sea star"),
    ("actor", "heart"): ("heart", "hearts|valentines|love heart|heart shape"),
    ("actor", "rocket"): ("rocket", "rockets|spaceships|rocketships|space ship|rocket ship|spacecraft|space rocket|starship|space shuttle"),
    ("actor", "boat"): ("boat", "boats|ships|sailboats|yachts|sailing boat|sailing ship|sail boat|dinghy|vessel"),
    ("actor", "bird"): ("bird", "birds|gulls|seagulls|eagles|sparrow|dove|pigeon|birdie|hawk|swallow|robin|crow|raven"),
    ("actor", "cat"): ("cat", "cats|kittens|kitties|tomcat|pussycat|kitty cat"),
    ("actor", "car"): ("car", "cars|automobiles|taxis|cab|sports car|race car|racing car|taxi cab"),
    ("place", "sky"): ("in the sky", "midair|mid air|in the heavens"),
    ("place", "sea"): (
        "over the sea",
        "on water|seas|oceans|seaside|waters|lake|lakes|river|pond|bay|beach|shore|coast|seashore|harbour|harbor",
    ),
    ("place", "meadow"): (
        "in a meadow",
        "meadows|fields|grassland|grasslands|lawn|pasture|prairie|park|garden|countryside|hill|hillside|grassy",
    ),
    ("place", "desert"): ("in the desert", "deserts|dune|sand|sands|sandy"),
    ("place", "snow"): (
        "in the snow",
        "wintry|snowfield|snowfall|snowscape|ice|icy|arctic|antarctica|blizzard|snow covered|snowy landscape",
    ),
    ("place", "city"): (
        "in the city",
        "cities|downtown|street|streets|buildings|towers|skyline|skyscraper|metropolis|rooftop|roofs|cityscape|road",
    ),
    ("place", "space"): (
        "in space",
        "universe|galaxy|galaxies|milky way|nebula|on the moon|among the stars|through the stars|cosmic|to the moon|around the moon",
    ),
    ("time", "day"): (
        "by day",
        "daytime|sunny day|sunny|sunlight|in the sun|under the sun|midday|afternoon|sunrise|dawn|sunlit",
    ),
    ("time", "night"): (
        "at night",
        "nighttime|night time|nightfall|evening|dusk|twilight|moonlit|starry|starlit|starlight|darkness|under the moon"
        "|under a full moon|by the moon|full moon|moon|stars in the sky|starry sky|starry night|night sky|tonight",
    ),
    ("motion", "left"): (
        "moving left",
        "from right to left|from the right to the left|leftward|leftwards|to the west",
    ),
    ("motion", "right"): (
        "moving right",
        "from left to right|from the left to the right|rightward|rightwards|to the east",
    ),
    ("motion", "rise"): (
        "rising",
        "rise|ascending|ascends|ascend|launching|launches|launch|launched|blasting off|blasts off|blast off|lifts off"
        "|lift off|liftoff|takes off|take off|took off|upward|upwards|shooting up|shoots up|soars|soar|climbs|climb"
        "|levitating|levitates|up",
    ),
    ("motion", "fall"): (
        "falling",
        "fall|fell|drop|drops|dropped|plunging|plunges|plummeting|plummets|landing|lands|diving|dives|sinks|sink"
        "|descends|descend|downward|downwards|tumbling|tumbles|down",
    ),
    ("motion", "bounce"): (
        "bouncing",
        "bounce|bounced|hop|hops|jump|jumps|jumped|leap|leaps|skipping|dribbling|bouncy|up and down",
    ),
    ("motion", "spin"): (
        "spinning",
        "spin|rotate|rotates|twirl|twirls|whirling|whirls|revolving|revolves|pirouetting|spinning around|turns",
    ),
    ("motion", "grow"): (
        "growing",
        "grow|grew|getting bigger|gets bigger|getting larger|gets larger|coming closer|comes closer|expanding|expands|inflating|inflates|enlarging|swelling|nearing"
        "|bigger and bigger|larger and larger|bigger|larger|closer and closer|closer|approaches"
        "|towards the camera|toward the camera|towards us|toward us|towards me|towards the viewer",
    ),
    ("motion", "circle"): (
        "circling",
        "circle|circles|in a circle|in circles|orbiting|orbits|orbit|loops|loop|round and round|swirling|swirls"
        "|flying around|flies around|goes around|going around|moving around",
    ),
}
# Things that pocket cannot draw, and what takes their place on its stage: the person is told.
STAND_INS: dict[tuple[str, str], str] = {
    ("actor", "ball"): "balloon|bubble|pumpkin|apple|tomato|marble|pearl|egg|coin|disc|globe|planet earth",
    ("actor", "star"): "comet|meteor|snowflake|flower|firework|sparkle",
    ("actor", "rocket"): "plane|airplane|aeroplane|jet|missile|ufo|helicopter|drone|aircraft|satellite",
    ("actor", "boat"): "submarine|canoe|kayak|raft|whale|duck|swan",
    ("actor", "bird"): "butterfly|bat|dragon|bee|owl|parrot|penguin|chicken|fish|dragonfly|moth|phoenix",
    ("actor", "cat"): "fox|dog|puppy|lion|tiger|wolf|bear|rabbit|bunny|mouse|hamster|horse|panda|cow|pig|monkey",
    ("actor", "car"): "truck|bus|van|lorry|train|bicycle|bike|motorcycle|motorbike|tractor|tank|jeep",
    ("place", "sea"): "underwater|island|waterfall|lagoon|reef|swamp",
    ("place", "meadow"): "jungle|farm|farmland|valley|mountain|mountains|orchard|rainforest",
    ("place", "desert"): "canyon|savanna|savannah|pyramid|pyramids|volcano",
    ("place", "snow"): "iceberg|glacier|woods|woodland|pines",
    ("place", "city"): "village|tokyo|paris|london|castle|bridge|house|houses|highway",
    ("place", "space"): "mars|jupiter|saturn|asteroid|asteroids",
    ("time", "day"): "sunset",
}
# Words that hold a sentence together, or only ask for a film: nobody misses them in the picture.
SMALL = (
    "a|an|the|this|that|these|those|some|any|one|its|it|is|are|was|be|been|being|am|there|here|where|which|who|what"
    "|has|have|having|with|and|or|of|to|in|on|at|by|as|for|from|into|onto|over|above|under|below|beneath|near|beside"
    "|behind|before|across|through|along|past|toward|towards|inside|within|out|off|then|while|when|during|all|his|her"
    "|their|our|my|your|i|me|we|us|you|he|she|they|them|him|s|t|m|ll|re|im|id|do|does|just|so|very|really|also|too"
    "|please|pls|make|makes|making|made|create|creating|generate|generating|show|shows|showing|shown|draw|drawing"
    "|paint|painting|give|film|filming|movie|video|videos|clip|animation|animate|animated|gif|footage|picture|image"
    "|scene|shot|view|want|wants|would|like|can|could|will|let|lets|see|seen|watch|hey|hi|hello|thanks|thank|need"
    "|background|foreground|front|middle|center|centre|way|around|about|keeps|keep|starts|start|starting|begins|get"
    "|gets|getting|go|color|colour|colored|coloured|shaped|looking|landscape|horizon|surface|full"
)
# Ways to move that do not say where to: without a direction they go to the right.
MOVING = (
    "driving|drives|drive|sailing|sails|running|runs|run|walking|walks|walk|swimming|swims|swim|floating|floats|float"
    "|racing|races|rolling|rolls|roll|travelling|traveling|travels|cruising|cruises|gliding|glides|speeding|speeds"
    "|zooming|zooms|hovering|hovers|moving|moves|move|flying|flies|fly|flew|going|goes|drifting|drifts|heading|heads"
    "|strolling|wandering|wanders|crossing|crosses|passing|passes|coming|comes"
)
# Skies and grounds that a person paints in words have a colour of their own, which is not the actor's.
_SCENERY = "sky|skies|sea|ocean|water|waters|waves|lake|grass|meadow|field|hills|snow|sand|sands|desert|dunes|night"
_SHADE = "light|dark|bright|pale|deep|neon|hot|vivid|soft|pastel"
_LAND = "(?:hills?|fields?|meadows?|landscape|mountains?|ground|plains?|woods|park|garden|grass|slopes?)"
_AIR = "(?:(?:in|among|from|into|through|across|over|out of) )?(?:the |a )?(?:sky|skies|clouds?|air)"
_PLACING = "in|at|on|over|by|under|near|among|above"
_TO = "(?:to |towards |toward )?(?:the |your |its )?(?=left|right)"


def rules() -> Iterator[tuple[str, str]]:
    """Patterns, and what takes their place, in order; for lower-case words with one space between them."""
    colours, moving = _either(_heard("colour")), f"(?:{MOVING})"
    directed = _either({*_heard("motion"), "left", "right", "up", "down"})
    yield rf"\b(?:{_SHADE}) (?=(?:{colours})\b)", ""
    yield rf"\b(?:dark|black) (?=(?:{_SCENERY})\b)", "night "
    yield rf"\b(?:{colours}|white|{_SHADE}) (?=(?:{_SCENERY})\b)", ""
    yield rf"\b(?:snow covered|snowy|icy|frozen|wintry) {_LAND}\b", "in the snow"
    yield r"\b(?:up|down) and (?:up|down)\b", "bouncing"
    yield rf"^(?=.*\b{moving}\b)(?!.*\b(?:{directed})\b)", "moving right "
    yield rf"\b(?:{MOVING}|turning|turns|turn) {_TO}", "moving "
    yield r"(?<!the )\bstars\b(?! in the)", "star"
    for (kind, value), (given, more) in SAME.items():
        yield rf"\b(?:{_either(_forms(kind, more))})\b", given
    yield rf"\b(?!moving (?:left|right)\b){moving}\b", ""
    for (kind, value), more in STAND_INS.items():
        yield from _without(_either(_forms(kind, more)), _heard(kind), SAME[kind, value][0])
    yield from _without(_AIR, {said for said in _heard("place") if not re.search(_AIR, said)}, "in the sky")
    yield rf"\b(?!(?:{_either(captions.words())})\b)\w+", ""
    for _ in range(2):
        yield rf"\b(?:a|the|{_PLACING}|of|with) (?=(?:{_PLACING})\b)", ""


def _without(said: str, true: set[str], given: str) -> Iterator[tuple[str, str]]:
    """Read as `given` what was said, unless one of the true words of its kind stands anywhere."""
    others = rf"\b(?:{_either(true)})\b"
    yield rf"\b(?:{said})\b(?=.*{others})", ""
    yield rf"(?<={others}.*)\b(?:{said})\b", ""
    yield rf"\b(?:{said})\b", given


def _forms(kind: str, said: str) -> set[str]:
    words = set(said.split("|"))
    return words | {f"{word}s" for word in words} if kind == "actor" else words


def phrases(kind: str, value: str) -> list[str]:
    """All that is read as this value, the words of training first."""
    return [*captions.PHRASES[kind][value], *sorted(filter(None, SAME[kind, value][1].split("|")))]


def _heard(kind: str) -> set[str]:
    return {phrase for value in captions.PHRASES[kind] for phrase in phrases(kind, value)}


def _either(words: Iterable[str]) -> str:
    return "|".join(sorted(words, key=lambda word: (-len(word), word)))
