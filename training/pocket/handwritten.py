"""Captions as a person might type them, with the play that each asks for. None was made by a template."""

from training.pocket.theatre import Play

_LINES = """
a red rocket rising over the snow at night | red rocket snow night rise
a pink cat jumping on the grass in the sunshine | pink cat meadow day bounce
yellow star falling from the sky at midnight | yellow star sky night fall
a blue boat drifting right on the ocean | blue boat sea day right
green car heading left through the city in the morning | green car city day left
the purple bird goes round and round above the town at night | purple bird city night circle
a turquoise heart growing in the desert | cyan heart desert day grow
an orange ball bouncing over the dunes in the moonlight | orange ball desert night bounce
red heart, getting bigger, in outer space | red heart space night grow
my little kitten is spinning in the snow, and it is yellow | yellow cat snow day spin
in the dark, on the ocean, a golden ship heading left | yellow boat sea night left
spaceship, violet, taking off near a planet | purple rocket space night rise
A crimson taxi turning around in winter | red car snow day spin
a blue beachball sinking at sea at night | blue ball sea night fall
a teal seagull flying in circles among the clouds | cyan bird sky day circle
an emerald eagle soaring over the hills | green bird meadow day rise
a big pink star rotating in the cosmos | pink star space night spin
one orange sailboat going to the right by moonlight over the waves | orange boat sea night right
a blue cat coming closer in the city at night | blue cat city night grow
a scarlet ball hopping in front of skyscrapers | red ball city day bounce
in a field under the stars a purple heart descending | purple heart meadow night fall
green rocketship climbing in the sahara at noon | green rocket desert day rise
some yellow bird moving left over a snowy forest at midnight | yellow bird snow night left
a cyan car going down in the air | cyan car sky day fall
Orange kitty, flying right, among the planets! | orange cat space night right
a magenta yacht circling in the clouds in the dark | pink boat sky night circle
there is a red star approaching over the rooftops | red star city day grow
navy valentine leaping in winter at night | blue heart snow night bounce
the lilac sphere twirling on the grass | purple ball meadow day spin
a lemon rocket dropping over the sea in daylight | yellow rocket sea day fall
a small green cat is climbing in the moonlight over the hills | green cat meadow night rise
an aqua star drifting left in the sahara under the stars | cyan star desert night left
a pink spaceship going round and round in space | pink rocket space night circle
a red boat in the snow, jumping up and down | red boat snow day bounce
blue car flying up at night in the sky | blue car sky night rise
tangerine gull spinning by the water | orange bird sea day spin
a violet taxi moving right in the dark over sand dunes | purple car desert night right
turquoise ball lifting off above the town | cyan ball city day rise
a shiny gold heart flying left under the stars among the firs | yellow heart snow night left
green starfish looping on the ocean by moonlight | green star sea night circle
in the sunshine, in the desert, a pink bird falling | pink bird desert day fall
a beautiful blue heart turning in a meadow at night | blue heart meadow night spin
crimson cat going in circles on a sunny day in the sky | red cat sky day circle
an orange car getting larger over the snow at midnight | orange car snow night grow
the ship is purple and it rises in outer space | purple boat space night rise
a lonely yellow ball heading right over the city in the dark | yellow ball city night right
an emerald heart bounces over the waves at noon | green heart sea day bounce
a cyan kitten descending in the clouds at midnight | cyan cat sky night fall
"""


def handwritten() -> list[tuple[str, Play]]:
    pairs = (line.split(" | ") for line in _LINES.strip().splitlines())
    return [(said, Play(*meant.split())) for said, meant in pairs]
