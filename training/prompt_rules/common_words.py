"""Write config/rules/common_words.toml: everyday words that are never taken for misspelled terms.

`python -m training.prompt_rules.common_words` collects them from the harmless prompts and the names of emoji.
"""

from __future__ import annotations

import json

from bot.moderation.text_normalization import WORD, normalize_text, without_spaces
from training.prompt_rules.samples import RULES, read_training_data

TARGET = RULES / "common_words.toml"
FREQUENT_TEXT = """
stage stages boxer boxers chart charts metal concert strange state stone store storm style sweet table
taste trade trail train treat brand brush burst cabin candle canoe canyon carpet castle cattle cellar
chain chalk champion chance channel charm chase cheap cheer chest chill choir clay clean clear cliff climb
clock clone closet cloth coach coast cobra comet comic copper coral corner cotton crane crater creek crown
cruise crystal curtain cycle dawn deer delta depth desert diamond diner dolphin donkey drama drift drum
dusk dwarf eagle elbow elder engine fabric falcon feather fence ferry fiber flame flash flock flood flute
foam focus forge fossil frost fruit galaxy giant glacier globe glove grain granite gravel guitar hammer
harbor harbour hawk helmet herd honey hornet ivory jacket jungle kettle kite ladder lantern laser lemur
lily lizard lobster locket lotus lunar magic magnet maple marble market mask meadow medal melody meteor
mint mirror mist moss motor mural nest noble ocean opera orbit orchid otter oven oyster palace panda
panther parade parrot pasta patrol pearl pebble penguin pepper petal piano pigeon pilot pine pizza planet
plaza poem polar pond poppy prism pulse puppet puppy puzzle quartz quilt radar radio raft railway rainbow
ranch raven reef ribbon ridge ring ripple ritual robe rope rose ruby ruin saddle sail salmon sand satin
sauce scarf scent scroll seal seed shadow shark shell shore silk silver skate sketch slope smoke snail
soap soda sofa soul spark spice spiral spirit splash sponge spoon squid stable statue steam steel stream
string studio swan swing temple tent thread throne thunder tiger toast torch tower toy trolley trophy
trumpet tulip tunnel turtle valley velvet vessel vine violin vista volcano wagon walnut waltz waves whale
wheat wheel whisper willow wind wing wolf wool yacht yarn zebrathe be to of and a in that have it for not
on with he as you do at this but his by from they we say her she or an will my one all would there their
what so up out if about who get which go me when make can like time no just him know take people into year
your good some could them see other than then now look only come its over think also back after use two
how our work first well way even new want because any these give day most us is are was were been has had
did said got made went took came saw knew very really much many more where here why again still always
never every each both few own same old young long short big small great little high low next last early
late right left near far under above between through during before without against around down off away
together alone maybe please thanks hello yes okay let put keep begin seem help show hear play run move
live believe bring happen write sit stand lose pay meet include continue set learn change lead understand
watch follow stop create speak read spend grow open walk win teach offer remember love consider appear buy
serve send build stay fall cut reach remain suggest raise pass sell require report decide pull return
explain hope develop carry break receive agree support hold turn start hand eye place case week company
system program question government number night point home water room mother area money story fact month
lot study book job word business issue side kind head house service friend father power hour game line end
member law car city community name president team minute idea body information parent face others level
office door health person art war history party result morning reason research girl guy moment air teacher
force education foot boy age policy process music sense nation plan college interest death experience
effect class control field development role effort rate heart drug light voice wife police mind price
decision son view relationship town road arm difference value building action season society tax director
position player record paper space ground form event official matter center couple site project activity
star court oil situation cost industry figure street image phone data picture practice piece land product
doctor wall patient worker news test movie north south east west third fifth hundred thousand million
window daughter fire future color colour leg hair sea feet tree video clip scene shot camera slow motion
close cinematic realistic anime cartoon film animation epic funny cute beautiful pretty dark bright golden
sunset sunrise evening winter summer spring autumn rain snow cloud sky sun moon mountain river lake beach
island forest garden flower grass leaf bird cat dog horse fish bear fox lion elephant monkey mouse rabbit
snake spider bee cow pig sheep chicken duck bread cheese cake coffee tea milk sugar salt rice soup meat
apple orange banana lemon grape tomato potato onion kitchen chef cook bake bathroom bedroom bed chair desk
lamp floor roof stairs bridge bus truck plane ship boat bicycle bike rocket robot alien monster dragon
wizard witch ghost vampire zombie knight king queen prince princess sword shield soldier army pirate
cowboy ninja samurai hero villain dancer singer actor actress artist painter photographer model nurse
student baby child kid kids children woman women man men lady gentleman grandmother grandfather brother
sister uncle aunt cousin family wedding birthday christmas halloween easter holiday vacation travel
airport hotel restaurant school university church museum library hospital stadium football soccer
basketball baseball tennis golf hockey swimming running boxing fight fighting race racing jump jumping
dance dancing sing singing laugh laughing smile smiling cry crying sleep sleeping eat eating drink
drinking walking sitting standing lying falling flying riding driving reading writing painting drawing
cooking therapist therapists pharmacist assistant analysis document passenger dressed undress address
witness harness harvest cabinet coconut peanut doughnut chestnut grapes drapes scrape scraper skyscraper
landscape escape escapes glass mass bass brass assess assets asset assemble assign embassy classic massive
passive message massage messages title titles titan titanic constitution institution restitution prostate
cockpit cocktail cockatoo peacock hancock shiitake sussex essex middlesex unisex sextet sextant basement
cumulus circumstance accumulate scum
"""
FREQUENT = FREQUENT_TEXT.split()


def main() -> None:
    harmless, labels = read_training_data("harmless.toml"), read_training_data("emoji_labels.toml")
    found = {normalize_text(word) for word in FREQUENT}
    for texts in (*(each for parts in harmless.values() for each in parts.values()), *labels.values()):
        found |= {word for text in texts for word in WORD.findall(normalize_text(text))}
    words = sorted(word for word in found if word.isalpha() and not without_spaces(word))
    lines = [
        "# Everyday words, written by `python -m training.prompt_rules.common_words`: see its docstring.",
        "",
    ]
    lines += ["words = [", *(f"  {json.dumps(word, ensure_ascii=False)}," for word in words), "]"]
    TARGET.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
