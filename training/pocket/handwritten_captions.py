"""Captions as a user might type them, with the clip specification that each asks for."""

from training.pocket.procedural_clips import ClipSpec

# In words of the training captions.
_KNOWN_WORD_LINES = """
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


# In free wording.
_FREE_LINES = """
a big blue ball bouncing in the desert | blue ball desert day bounce
make me a video of a yellow star falling over the sea at night please | yellow star sea night fall
Can you show a cute green cat that jumps around in a snowy forest? | green cat snow day bounce
red car driving to the right through a busy city street at night | red car city night right
A purple rocket blasts off from the desert into the sky | purple rocket desert day rise
an orange bird flies left across the ocean during the day | orange bird sea day left
pink heart that keeps getting bigger and bigger in a green field | pink heart meadow day grow
I want to see a cyan boat floating to the left on the water under a full moon | cyan boat sea night left
a tiny yellow ball bounces up and down on the grass, sunny day | yellow ball meadow day bounce
a blue spaceship launching into outer space | blue rocket space night rise
A red balloon shaped like a heart rises above the rooftops at dusk | red heart city night rise
the green star spins slowly in space | green star space night spin
video of a crimson bird circling over snow covered hills in the dark | red bird snow night circle
a purple cat sinking in the ocean, night time | purple cat sea night fall
cartoon of an orange car rotating in the middle of the desert at midnight | orange car desert night spin
generate a pink rocket moving upwards over a city skyline at sunrise | pink rocket city day rise
little yellow boat sails right on a calm blue sea | yellow boat sea day right
a cyan ball drops from the clouds | cyan ball sky day fall
a blue heart flying around in circles in the night sky | blue heart sky night circle
green rocket lands in a meadow in the evening | green rocket meadow night fall
a large red star moving from left to right over the dunes | red star desert day right
a kitten, orange, hops through the snow at night | orange cat snow night bounce
Purple ship, heading to the left, galaxy background | purple boat space night left
a car in pink is coming towards the camera in the city | pink car city day grow
Blue bird orbiting near a planet | blue bird space night circle
an emerald ball rolling to the right on the grass in the moonlight | green ball meadow night right
yellow heart twirls above the waves at noon | yellow heart sea day spin
a shiny red rocket shoots up over the snow under a starry sky | red rocket snow night rise
a teal cat falls from the sky at night | cyan cat sky night fall
two seconds of a violet star jumping on sand dunes in bright daylight | purple star desert day bounce
a golden car goes left along the street, nighttime | yellow car city night left
a red bird soars upward in winter | red bird snow day rise
A hopping green heart! In space! | green heart space night bounce
the orange boat is growing on the horizon of the sea at night | orange boat sea night grow
a turquoise rocket descends slowly onto the snow | cyan rocket snow day fall
pink ball spinning over the clouds | pink ball sky day spin
a blue cat drifts right through the universe | blue cat space night right
one red boat going around in circles on a lake in the afternoon | red boat sea day circle
a yellow bird expands in front of the buildings in the dark | yellow bird city night grow
night, desert, a pink star, rising | pink star desert night rise
show a cat, a pink one, leaping about in the city under the moon | pink cat city night bounce
green sailboat gliding to the left across the bay at sunset | green boat sea day left
I'd like a purple balloon floating up into the clouds | purple ball sky day rise
an orange fox hopping through deep snow | orange cat snow day bounce
a golden rocket that spins round and round among the planets | yellow rocket space night spin
red sports car zooming right along a downtown street after dark | red car city night right
the cyan bird dives towards the ocean in the evening | cyan bird sea night fall
a giant red heart slowly inflating above the dunes | red heart desert day grow
blue star, circling, meadow, moonlit night | blue star meadow night circle
film of a tiny green rocket descending to the icy ground at night | green rocket snow night fall
an aqua ball leaps over a grassy hill in the afternoon | cyan ball meadow day bounce
yellow taxi rotating on a rooftop at midnight | yellow car city night spin
a violet kitten approaches us in outer space | purple cat space night grow
pink boat travels from left to right over calm waters | pink boat sea day right
my orange star keeps spinning in the blue sky | orange star sky day spin
A BLUE EAGLE SOARS ABOVE THE SANDY DESERT AT NIGHT | blue bird desert night rise
there's a red ball and it is falling down in the park on a sunny morning | red ball meadow day fall
scarlet spaceship lifting off from the arctic by day | red rocket snow day rise
a car drives left. The car is green. It is night in the city. | green car city night left
purple heart going around in circles over the waves, daytime | purple heart sea day circle
orange rocket ship heads to the right through a galaxy far away | orange rocket space night right
a cyan star getting closer and closer in winter at night | cyan star snow night grow
Night. Grass. A yellow cat jumps. | yellow cat meadow night bounce
a pink bird is seen flying left over skyscrapers at noon | pink bird city day left
turquoise boat sinks into the ocean at midnight | cyan boat sea night fall
the ruby heart bounced in space | red heart space night bounce
lime green ball ascending over the desert at dawn | green ball desert day rise
please animate one blue car twirling in a snowy field | blue car snow day spin
"""


def known_word_captions() -> list[tuple[str, ClipSpec]]:
    return _read(_KNOWN_WORD_LINES)


def free_captions() -> list[tuple[str, ClipSpec]]:
    return _read(_FREE_LINES)


def _read(lines: str) -> list[tuple[str, ClipSpec]]:
    pairs = (line.split(" | ") for line in lines.strip().splitlines())
    return [(caption, ClipSpec(*values.split())) for caption, values in pairs]
