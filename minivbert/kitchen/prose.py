"""Cooking talk without end: a random grammar that writes varied, punctuated English for the punctuator to learn from.

A rule is a list of ways to say something, drawn with equal chance (one that starts with "3*" counts three times):

    {name}         what the rule or the word list of that name says
    {name?}        the same, or nothing, with equal chance
    {name:ing}     its first word as chopping; :ed chopped; :en taken; :s chops

Marks are tokens of their own, as in the kitchen's narration. One noun in thirty or so is a made-up word, so that the punctuator
learns not to stumble over what it has never heard. There is grammar here and no sense: the cook may well whisk a ham in the fridge.

Not stated in the paper, our choice: everything here; the paper's cooks are on YouTube.

    >>> import numpy as np
    >>> from minivbert.kitchen.prose import sentence
    >>> " ".join(sentence(np.random.default_rng(2)))[-1]
    '.'
"""
import re

LISTS = {
    # verbs that take food
    "chop": """
        chop, slice, dice, mince, peel, grate, shred, cut, crush, mash, press, rinse, wash, drain, strain, soak, trim, core, pit,
        quarter, halve, cube, toss, mix, stir, whisk, beat, fold, cream, combine, blend, puree, process, pulse, knead, roll, stretch,
        shape, flatten, pound, cook, fry, saute, brown, sear, boil, simmer, steam, poach, blanch, roast, bake, toast, grill, broil,
        braise, stew, reduce, caramelize, melt, heat, warm, reheat, chill, cool, freeze, thaw, season, salt, pepper, marinate, rub,
        coat, dust, flour, butter, oil, grease, brush, glaze, baste, spread, layer, stack, arrange, squeeze, zest, juice, crack,
        separate, sift, measure, weigh, check, taste, try, test, serve, plate, garnish, top, cover, wrap, flip, turn, rotate, remove,
        save, reserve, use, prepare, make, assemble, fill, stuff, tie, score, prick, skim, divide, carve, fillet, tear, crumble, scrub,
        clean, dry, soften, loosen, thicken, scramble, smoke, char, cut up, chop up, mix up, warm up, break up, finish, rest, smash,
        stir up, clean up""",
    # verbs that put food somewhere
    "put": """
        put, place, pour, add, tip, drop, dump, spoon, scoop, ladle, scrape, throw, toss, stir, fold, whisk, slide, set, lay, move,
        transfer, pile, crumble, sprinkle, scatter, drizzle, squeeze, push, lower, pack, load, arrange, mix, work, press, sift, crack""",
    "do": """
        cook, bake, wait, start, stir, rest, eat, stop, go on, carry on, move on, begin, finish, come back, try again, sit down,
        clean up, slow down, hurry, relax, practice, keep going, talk, watch, listen, get started, have a look, work quickly, work fast""",
    "happen": """
        boil, simmer, bubble, brown, burn, melt, thicken, rise, cool, cook, soften, set, shrink, sizzle, crack, split, rest, stick,
        dry out, cool down, heat up, warm up, fall apart, come together, turn golden, puff up, boil over, curdle, crisp up, dissolve,
        float, pop, smoke, steam, spread, foam, get soft, go brown, get cold, start to smell good, begin to bubble, turn into a paste""",
    "know": "think, know, believe, guess, hope, promise, mean, suppose, bet, feel, say, swear, notice, remember, find, see, hear, read",
    "gen": """
        love, like, buy, see, find, bring, leave, call, visit, send, show, watch, need, want, miss, remember, forget, change, share,
        carry, open, close, build, sell, keep, lose, hold, meet, help, teach, learn, hear, follow, move, break, hate, enjoy, choose,
        order, clean, paint, fix, write, read, give up, give away, pick up, put down, throw away, take home, talk about, look at,
        think about, ask for, wait for, care about, pay for, listen to, laugh at, grow up with, run out of, look for, dream of,
        consider, respect""",
    # food
    "stuff": """
        flour, sugar, butter, salt, pepper, rice, pasta, milk, cream, water, stock, broth, oil, olive oil, vinegar, wine, honey,
        mustard, mayonnaise, yogurt, cheese, cheddar, parmesan, mozzarella, feta, garlic, ginger, basil, parsley, cilantro, thyme,
        rosemary, oregano, sage, mint, dill, chives, cumin, paprika, turmeric, cinnamon, nutmeg, vanilla, chocolate, cocoa, yeast,
        baking powder, baking soda, cornstarch, beef, pork, lamb, chicken, turkey, duck, bacon, ham, sausage, fish, salmon, tuna, cod,
        bread, dough, batter, sauce, gravy, soup, stew, salad, spinach, kale, lettuce, cabbage, broccoli, cauliflower, celery, corn,
        squash, pumpkin, zucchini, asparagus, tofu, couscous, quinoa, polenta, lemon juice, lime juice, tomato paste, soy sauce,
        fish sauce, hot sauce, sour cream, cream cheese, brown sugar, coconut milk, ground beef, ice cream, peanut butter, jam, syrup,
        maple syrup, coffee, tea, beer, juice, zest, dressing, filling, mixture, marinade, frosting, icing, caramel, custard, crust,
        pastry, topping, fat, skin, meat, spice, seasoning, food, dinner, liquid, everything bagel seasoning, sea salt, black pepper,
        chili powder, curry powder, cayenne, saffron, fennel, ice, steam, crumble, seaweed, miso""",
    "thing": """
        onion, tomato, carrot, potato, mushroom, apple, egg, lemon, lime, orange, banana, pear, peach, plum, mango, avocado, cucumber,
        eggplant, leek, shallot, chili, jalapeno, pea, bean, lentil, chickpea, olive, nut, almond, walnut, pecan, raisin, date, fig,
        berry, strawberry, blueberry, cherry, grape, shrimp, clam, mussel, scallop, steak, chop, rib, wing, thigh, drumstick, breast,
        fillet, meatball, dumpling, noodle, tortilla, bun, roll, cracker, cookie, biscuit, muffin, pancake, waffle, cake, cupcake, pie,
        tart, pizza, sandwich, burger, taco, omelette, radish, beet, turnip, parsnip, sweet potato, bell pepper, red onion,
        spring onion, egg yolk, egg white, clove, leaf, stem, seed, slice, piece, chunk, strip, cube, wedge, ball, sausage, kebab,
        crouton, bay leaf, chicken breast, pork chop, lamb shank, pickle, artichoke, melon, pineapple, coconut, oyster, crab, lobster,
        anchovy, loaf, pita, wrapper, sheet, ring, half, side, end, edge, top""",
    "tool": """
        knife, spoon, fork, whisk, spatula, ladle, peeler, grater, masher, mixer, blender, food processor, rolling pin, brush,
        thermometer, timer, scale, towel, kitchen towel, paper towel, lid, sieve, colander, strainer, tongs, scissors, mallet, skewer,
        toothpick, gloves, apron, measuring cup, teaspoon, cutting board, wooden spoon, chef's knife, hand mixer, stand mixer, machine,
        mandoline, mortar, pestle, foil, fingers""",
    "vessel": """
        bowl, pan, pot, skillet, saucepan, oven, dish, tray, jar, cup, glass, mug, plate, bag, basket, wok, dutch oven, casserole,
        fridge, freezer, microwave, sink, blender, food processor, slow cooker, air fryer, mixing bowl, baking dish, baking sheet,
        frying pan, roasting tin, cake tin, loaf pan, muffin tin, sieve, colander, water, sauce, hot oil, boiling water, cold water,
        ice water, jug, bucket, box, container""",
    "surface": """
        board, counter, plate, table, tray, grill, stove, rack, baking sheet, cutting board, platter, shelf, griddle, barbecue, towel,
        paper, work surface, cooling rack, wire rack, serving dish, hob, burner, parchment paper, heat, toast, side, top, bottom""",
    # how things are
    "good": """
        good, great, nice, easy, simple, hard, important, perfect, delicious, amazing, beautiful, wonderful, fun, quick, cheap, healthy,
        fresh, different, special, crazy, normal, better, fine, strange, lovely, tasty, safe, popular, traditional, true, ready,
        possible, terrible, incredible, interesting, weird, worth it, up to you, a bit much, a little tricky, so good, really good,
        pretty good, not bad, unreal""",
    "done": """
        soft, tender, golden, brown, golden brown, crisp, crispy, smooth, creamy, thick, thin, hot, warm, cold, cool, dry, wet, clean,
        clear, done, ready, cooked, cooked through, fluffy, foamy, frothy, sticky, shiny, glossy, fragrant, translucent, even, flat,
        full, empty, covered, melted, pale, pink, white, dark, light, firm, hard, set, stiff, bubbly, bubbling, boiling, juicy,
        al dente, fork tender, nice and soft, nice and brown, nice and hot, sweet, sour, salty, bitter, spicy, bland, greasy, watery,
        lumpy, well combined, room temperature, perfect""",
    "adj": """
        big, small, large, little, heavy, sharp, hot, cold, warm, fresh, dry, wet, clean, raw, ripe, frozen, canned, chopped, sliced,
        grated, melted, soft, whole, good, nice, red, green, white, black, yellow, purple, sweet, sour, spicy, thick, thin, long, short,
        deep, wide, old, new, leftover, organic, homemade, cheap, favorite, favourite, beautiful, cooked, roasted, toasted, smoked,
        dried, crushed, minced, extra, other, same, first, last, next, second, tiny, lovely, medium, plain, crispy, golden, simple,
        ordinary, pretty, amazing, delicious, leafy, tender, juicy, salted""",
    "how": """
        carefully, gently, slowly, quickly, finely, thinly, roughly, evenly, lightly, well, thoroughly, constantly, again, together,
        separately, occasionally, completely, by hand, right away, at once, in half, to taste, one by one, one at a time, in batches,
        a little, a bit, a lot, very carefully, really well, very gently, nice and slowly, all over, on both sides, from time to time,
        very thinly, like this, like so, twice, immediately, first, now, too, as well, though, in advance, the night before, lengthwise,
        crosswise, into small pieces, into thin strips, into rings, into chunks, on a low heat, over medium heat, over a high heat,
        on low, to your liking, just like that, if needed, generously""",
    "soon": """
        now, then, today, later, tonight, tomorrow, soon, again, here, every day, every sunday, every week, all the time, at home,
        last night, last week, yesterday, in the morning, this time, sometimes, for years, for hours, in a minute, at the end,
        in the summer, in winter, at once, these days, right now, on weekends, after work, before dinner, for breakfast, for lunch,
        on the side, all year, in no time, once a month""",
    "really": """
        really, just, always, usually, also, actually, probably, definitely, never, only, even, often, still, basically, simply,
        kind of, sort of, already""",
    # people and the rest of the world
    "who": """
        my mother, my grandmother, my mom, my dad, my husband, my wife, my kids, my friend, my family, my sister, my brother,
        my neighbor, my neighbour, my aunt, my boss, everybody, everyone, somebody, nobody, people, most people, a lot of people,
        some people, the chef, the butcher, a friend of mine, the children, the guests, these guys, the old man, mister john, mary,
        peter, anna, a good cook, the farmer, many cooks, the french, the italians, restaurants, the lady, a man, the woman,
        your guests, your kids, one of you, our friends, the neighbors""",
    "world": """
        kitchen, house, family, recipe, video, channel, restaurant, market, garden, store, farm, city, country, village, party, holiday,
        weekend, summer, winter, morning, evening, night, day, year, week, story, idea, problem, secret, trick, question, answer,
        mistake, book, show, page, link, photo, school, job, money, time, life, world, place, road, car, door, window, room, street,
        dog, cat, friend, child, man, woman, name, word, song, game, shop, phone, letter, power, heart, hand, head, voice, color,
        flavor, flavour, texture, smell, taste, method, technique, version, amount, difference, result, meal, dish, breakfast, lunch,
        dinner, dessert, snack, feast, birthday, christmas, tradition""",
    "hello": """
        hi, hello, hey, hi everyone, hello everybody, hey guys, hi there, good morning, good evening, okay, all right, alright, well,
        so, right, great, perfect, good, yes, no, oh, wow, look, see, listen, sure, of course, exactly, absolutely, okay guys,
        all right everyone, yep, now, oh boy""",
    "first": """
        first, first of all, second, next, then, now, finally, meanwhile, in the meantime, after that, at this point, at the end,
        for me, today, this time, in my opinion, of course, honestly, to be honest, personally, basically, luckily, sadly, remember,
        again, in fact, by the way, for example, this way, that way, as always, as usual, like i said, as you can see, trust me,
        believe me, if you like, if you want, if not, otherwise, instead, in winter, in the summer, years ago, once again,
        in a small bowl, in a large pot, in a separate bowl, over here, from there, so, also""",
    "number": """
        one, two, three, four, five, six, seven, eight, nine, ten, twelve, fifteen, twenty, thirty, forty, forty five, sixty, a hundred,
        a few, a couple of, several, half a dozen, 2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 45, 50, 60, 100, 200, 250, 500,
        another, two or three, five to ten""",
    "unit": """
        cups, tablespoons, teaspoons, ounces, pounds, grams, pieces, slices, cloves, cans, sticks, bunches, spoonfuls, drops, handfuls,
        liters, quarts, pints, packets, bags, sprigs, stalks, bottles, sheets, inches of, kilos, milliliters, heads, scoops, bowls,
        layers, leaves, bits""",
    "bit": """
        a cup of, a bit of, a little, a little bit of, a pinch of, a handful of, a splash of, a drizzle of, a squeeze of, a teaspoon of,
        a tablespoon of, half a cup of, a pound of, plenty of, lots of, a lot of, all of, some of, most of, half of, a dash of,
        a knob of, a glug of, a can of, a bunch of, a spoonful of, a stick of, a clove of, the rest of, a layer of, a whole lot of,
        a good amount of, three quarters of, a slice of, a piece of, 1/2 cup of""",
    "span": """
        minutes, seconds, hours, days, minutes or so, more minutes, minutes or until it is done, minutes on each side,
        hours in the fridge, weeks, months""",
    "because": "because, since, because, so that, as",
    "while": """
        when, once, while, if, as soon as, after, before, until, as, by the time, every time, unless, whenever, as long as, because,
        since, although, even if""",
}

RULES = {
    # ---------------------------------------------------------------- sentences
    "sentence": """
        7*{order} | 2*{opening} {order} | 5*{fact} | 2*{opening} {fact} | 3*{question} | 2*{chat}""",
    "opening": """
        4*now | 2*and | 2*so | and then | then | 3*{first} , | 2*{hello} , | okay so | now , | but | and now | next | well , | so now |
        also | and so , | or""",
    "order": """
        18*{command} . | 4*{command} and {command} . | 2*{command} , then {command} . | 2*{command} , and then {command} . |
        {command} and then {command} . | 2*{command} , {command} and {command} . | {command} , {command} , and {command} . |
        3*{while} {clause} , {command} . | 2*{command} {while} {clause} . | {command} , {because} {clause} . | {command} so {clause} . |
        {command} , but {fact} | {command} , and {clause} . | {command} or {clause} . | please {command} . | {command} , please . |
        go on and {command} . | go ahead and {command} . | to {act} , {command} . | {command} to {act} . | with {tools} , {command} . |
        {putting} {where} , {command} . | using {tools} , {command} . | {command} , {chop:ing} {how?} . | {command} , and {command} . |
        not {food} , {food} .""",
    "fact": """
        22*{clause} . | 2*{clause} and {clause} . | 2*{clause} , and {clause} . | 2*{clause} , but {clause} . |
        {clause} , so {clause} . | {clause} so {clause} . | 3*{while} {clause} , {clause} . | 2*{clause} {while} {clause} . |
        2*{clause} because {clause} . | {clause} , because {clause} . | {clause} , {which} . | {i} {know} {that?} {clause} . |
        {clause} , {i} {know} . | {clause} , right ? | {clause} , though . | {clause} , {how} . | {clause} , not {food} . |
        {clause} , okay ? | {what_i_do} is {act} . | {what_i_do} is {food} . | {the} answer is that {clause} . |
        {the} {world} is that {clause} . | {yes} , {we} {can} . | {yes} , {we} {can} , but {clause} . | {yes} , {clause} . |
        {yes} {we} {can} . | {we} {can} . | so {do_i_not} {who} . | {after} , {clause} . | {after} , {command} . | {after} {clause} . |
        {after} {command} . | {clause} {after} . | that's fine . | some {people} {act} , but {clause} . | {people} ask me {indirect} . |
        {people} ask me {really} {indirect} . | {clause} or {clause} . | {clause} , or {clause} . | {list} {are_all} .""",
    "question": """
        2*how do you {act} ? | how {long} do {we} {act} ? | how {long} does it take to {act} ? | how {long} should {it} {happen} ? |
        how do {we} know {when} {clause} ? | why do {we} {act} ? | why {did} {who} {act} ? | 2*what {did} {we} {gen} ? |
        what {do_we} {act} with ? | what is {food} ? | what's {the} {adj?} {world} ? | what happens {while} {clause} ? |
        what kind of {stuff} {do_we} {gen} ? | what about {food} ? | what's the {adj} way to {act} ? |
        what is the {adj} {world} of {food} ? | what do {we} {act} ? | is there {food} {where} ? | are there {things} {where} ? |
        how {done} should {it} be ? | where {did} {we} {gen} {food} ? | where is {food} ? | when {do_we} {act} ? |
        who {likes} {food} ? | who {gen:ed} {food} ? | which {thing} {do_we} {act} ? | 3*can {we} {act} ? | can you see {food} ? |
        can you {gen} {food} ? | 2*{did} {we} {act} ? | {did} {it} {happen} ? | does {it} {need} {food} ? | 2*is {it} {done} ? |
        is it {good} to {act} ? | are {they} {done} ? | are you {ready} ? | isn't {it} {good} ? | isn't that {good} ? |
        have you ever {made} {food} ? | have you {made} {food} ? | would {we} {gen} {food} ? | should {we} {act} ? | could you {act} ? |
        2*{clause} , {tag} ? | ready ? | see ? | see that ? | {while} {clause} , {do_i} {act} ? | {do_i} {act} {while} {clause} ? |
        {opening} {do_i} {act} ? | {opening} what {did} {we} {gen} ? | {do_i} {act} , or {do_i} {act} ? | {food} or {food} ? |
        any questions ? | and {the} {food_word} ? | want to {act} ? | you know why ? | guess what ? | isn't {food} {good} ? |
        don't you {gen} {food} ? | how {good} is that ? | how about {food} ? | why not {act} ?""",
    "chat": """
        welcome back to {the} {world} . | welcome to my {world} . | hi , i'm {name} , and {clause} . | {hello} , welcome {soon?} . |
        2*thank you so much for watching . | thanks for watching , and i'll see you {soon} . | thank you , {name} . |
        thanks for {gen:ing} {food} . | don't forget to {act} . | do not forget to {act} . | let me know {where_you} if {clause} . |
        let me know what you think {where_you?} . | please {gen} {the} {world} , and {gen} {the} {world} . |
        if you're new here , please {act} . | if {clause} , {gen} {the} {world} . | see you {soon} . | {hello} . |
        {hello} , {clause} . | {hello} , {command} . | {food} . | {list} . | {done} . | {yes} . | {yes} . | {yes} , {done} . |
        {not_too} {done} , {not_too} {done} . | {food} , {done} . | look at that . | look at {food} . | look at how {done} {it} is . |
        that's it . | that's all . | that's {good} . | that is {all?} what {we} {gen} . | there you go . | here we go . |
        here is {food} , {list} . | you'll need {list} . | {we} need {list} . | {we} have {list} . | for {food} {we} need {list} . |
        i can't believe {clause} . | it's {good} , isn't it ? | trust me , {clause} . | trust me . | {clause} , trust me . |
        {who} {said} , {clause} . | bye . | enjoy . | enjoy , and {command} . | there it is . | oh , {that} {smells} {good} . |
        wow , {clause} . | yes , {clause} . | no , {clause} . | no {food_word} , no {food_word} , just {food} . |
        {the} first {world} is {good} . | {name} asked {whether} {clause} . | some of you asked {whether} {clause} . |
        i {gen:ed} {food} with my {world} , and {clause} . | let's {act} . | let's {act} , and then {clause} . |
        {the} {more} {clause} , {the} {more} {clause} . | {the} {world} of {the} {world} , {the} {world} , was {good} . |
        not {how} , but {how} .""",
    # ---------------------------------------------------------------- commands
    "command": """
        6*{cook} | 5*{putting} {where} | {cook} {how} | {cook} for {time} | {cook} with {tools} | {cook} until {it} {is} {done} |
        {cook} until {clause} | take {food} and {cook} | take {food} , then {cook} | take {tools} and {cook} | {get} {tools} |
        {get} {food} | {get} {food} {outof} | bring {them} to {a_boil} | 2*let {them} {happen} {how?} | let {them} {happen} for {time} |
        let me {act} | 2*let me show you how to {act} | let me show you {indirect} | 2*let's {act} | let's {act} {soon} |
        make sure {that?} {clause} | make sure you {act} | make sure to {act} | be careful with {food} | be careful not to {act} |
        2*don't {act} | do not {act} | don't {act} or {clause} | don't worry if {clause} | don't worry about {food} |
        don't be afraid to {act} | never {act} | always {act} | keep {chop:ing} {food?} | keep {chop:ing} until {it} {is} {done} |
        keep {food} {done} | keep an eye on {food} | start {chop:ing} {food} | start by {chop:ing} {food} | start with {food} |
        begin with {food} | stop {chop:ing} | try to {act} | try {food} | give {them} a {adj} stir | give {them} {time} |
        turn {the} heat {up_down} | turn {the} heat {up_down} to {heat} | turn {up_down} {the} heat | turn {them} {on_off} |
        turn {on_off} {the} {vessel} | preheat {the} oven to {number} degrees | heat {the} {vessel} {how?} |
        set {the} timer for {time} | set {them} aside | set {food} aside {how?} | put {the} lid on | take {the} lid off | wait {time} |
        wait for {food} to {happen} | wait until {clause} | leave {them} alone | leave {them} {where} for {time} |
        leave {them} to {happen} | go back to {food} | check if {it} {is} {done} | check {indirect} | see if {clause} | see {indirect} |
        remember to {act} | remember {that?} {clause} | repeat with {food} | {cook} as {how} as you can | {cook} as you like |
        {cook} as {done} as you like | {cook} as {done} as {food} | {chop} it {done} | get {them} {where} | {cook} , {chop:ing} {food} |
        {cook} the same way | feel free to {act} | use {tools} to {act} | use {food} instead of {food} | watch {indirect} |
        imagine {that?} {clause} | tell me {indirect} | tell me if {clause} | stay with me | come with me to {the} {world} |
        have {food} {ready_for} | {do} | {gen} {food} | mix together {list} | add {list} | combine {list} | in goes {food} |
        cut {the} {vessel} open | {cook} while {clause} | {putting} {where} and {cook} | serve {them} with {list} | serve {them} {where}""",
    "cook": """
        10*{chop} {food} | {chop} {them} | {chop} {food} and {food} | {chop} {list} | {chop} and {chop} {food} | {chop}""",
    "putting": """
        6*{put} {food} | {put} {them} | {put} {list} | {put} in {food} | {put} everything""",
    "act": """
        6*{cook} | 3*{putting} {where} | 2*{cook} {how} | 2*{gen} {food} | 2*{do} | {cook} {where} | get {them} {done} |
        know {indirect} | make {them} {done} | make {food} | be {good} | {gen} {food} {soon} | {cook} for {time} | {cook} with {tools} |
        have {food} | see {food} | do this | do that {soon} | start with {food} | {put} {them} {where} and {cook} |
        let {them} {happen} | keep {them} {done}""",
    # ---------------------------------------------------------------- clauses
    "clause": """
        6*{we} {do_it} | 4*{it} {is} {done} | 2*{that} {is} {good} | 2*{it} {will} {happen} | 2*{it} {happens} | {it} {happens} {how} |
        {they} {are} {done} | {they} {happen} | {food} {is} {done} | {food} {is} {where} | {food} {happens} | {food} {will} {happen} |
        2*{who} {gen:ed} {food} {soon?} | {who} {always?} {likes} {food} | {who} taught me {indirect} | {we} {gen:ed} {food} {soon?} |
        {we} {really?} {gen} {food} {soon?} | {we} {gen} {food} that {who} {gen:ed} | {he} {gen:ed} {food} {soon?} |
        {he} {had} {made} {food} | {he} {will} {act} | {he} was {good} | {he} was not {a} {adj} {world} | {he} might have been {good} |
        {it} was {a} {adj} {world} | there {is} {food} {where} | there {are} {number} {things} {where} | there's {food} {where} |
        there's no {food_word} | {this} {is} {the} {adj} {world} | {this} {is} {how} {we} {act} | {this} {is} what {we} {gen} |
        {this} {is} why {clause} | {this} {is} where {clause} | {this} {is} my favourite {world} | {it} smells {so} {good} |
        {it} looks {good} | {it} tastes like {food} | {it} needs {food} | {it} needs {time} | {it} takes {time} |
        {it} takes {time} to {act} | it's {good} to {act} | it's time to {act} | all you need is {food} | all {we} have to do is {act} |
        the {adj?} {world} {is} {good} | the {adj?} {world} {is} to {act} | the best {world} {is} {food} |
        the {world} of {the} {world} {is} {good} | {the} {world} {gen:ed} {food} | that's {indirect} | that's why {clause} |
        that {way} {it} {will} {happen} | {chop:ing} {food} {is} {good} | {chop:ing} {food} makes {them} {done} | i'm {name} |
        i'm {good} | i'm {sure} {that?} {clause} | you're {good} | {we} {have} to {act} | {which_one} {is} {done} |
        {it} {is} {too} {done} | {it} {is} as {done} as {it} was | {it} {is} {where} | {the} {world} that {we} {gen:ed} {is} {good} |
        {food_word} {happens} right {off} | {they} {love} {food} | {they} {love} to {happen} | everything gets {chop:en} {soon?} |
        {it} was {chop:en} {how?} | {it} {is} {chop:en} with {food} | nobody {likes} {food} |
        there {are} only {number} {things} {where?}""",
    "do_it": """
        2*{act} | 2*{will} {act} | are going to {act} | want to {act} | need to {act} | like to {act} | have to {act} | {really} {act} |
        {really} {like} to {act} | {know} {indirect} | {know} {that?} {clause} | can {really?} {act} | could {act} | should {act} |
        don't {act} | don't want to {act} | don't need {food} | don't have to {act} | won't {act} | can't {act} | didn't {act} |
        chopped {food} {soon?} | {chop:ed} {food} | {chop:ed} {food} {how} | {put:ed} {food} {where} | {have} {chop:en} {food} |
        {have} never {made} {food} | {have} {food} | had {food} {soon?} | used to {act} | got {food} {where} | made {food} {soon} |
        see {food} | just {act} | prefer {food} | are {chop:ing} {food} | were {gen:ing} {food} | see that {clause} | see {indirect} |
        use {tools} to {act} | start by {chop:ing} {food} | end up with {food} | look for {food}""",
    "indirect": """
        3*how to {act} | how {we} {act} | how {long} {it} {happens} | how {done} {it} {is} | what {we} {gen} | what {it} looks like |
        what to do | what to do {while} {clause} | what you think | what {who} {gen:ed} | where {we} {gen} {food} |
        where {the} {world} {is} | when to {act} | when {it} {is} {done} | why {we} {act} | why {it} {happens} | who {gen:ed} {food} |
        {whether} {clause} | which {thing} {we} {gen}""",
    "which": """
        which {is} {good} | which {we} {gen:ed} {soon} | which {happens} | which makes {them} {done} | which means {clause} |
        {chop:ing} {food} | and {who} too | and so {do_i} | especially {food} | for example {food} | at least {soon} | just like {who} |
        my favourite {world} | the {adj} {world} | depending on {food} | not {done} | so {command} | so {that} {is} {good} |
        like {list} | and that's it | and {it} {is} {done}""",
    "what_i_do": """
        what {we} {like} to do {soon?} | the {adj?} {world} | what {we} need | what {we} want | the first thing |
        the {world} {we} {gen} | my {world}""",
    # ---------------------------------------------------------------- noun phrases
    "food": """
        8*{the} {food_word} | 3*{the} {adj} {food_word} | 2*{food_word} | {adj} {food_word} | 3*{bit} {the?} {food_word} |
        enough {food_word} to {act} | the one {where} | any {adj?} {food_word} | no {food_word} | as much {food_word} as you like |
        about {number} {unit} of {food_word} | 2*{number} {unit} of {food_word} | {number} {things} | 2*{the} {things} |
        {the} {adj} {things} | {a} {thing} | {a} {adj} {thing} | {the} {food_word} and {the} {food_word} | {food_word} and {food_word} |
        {the} {food_word} {where} | {the} {food_word} that {we} {gen:ed} | {the} {food_word} from {the} {world} | {the} {world} |
        {a} {world} | {a} {adj} {world} | {your} {adj?} {food_word} | {your} {things} | {this} {food_word} | {the} {other} {thing} |
        {one} of {the} {things} | {the} {adj} , {adj} {food_word} | {who} | {them} | {the} {thing} or {the} {thing} | something {adj} |
        {tools} | what's left | {the} inside of {the} {thing} | {the} {world} of {the} {world}""",
    "list": """
        4*{item} and {item} | 4*{item} , {item} and {item} | 4*{item} , {item} , and {item} | 2*{item} , {item} , {item} and {item} |
        2*{item} , {item} , {item} , and {item} | {item} or {item} | {item} , {item} , {item} , {item} and {item}""",
    "item": """
        3*{food_word} | 2*the {food_word} | {bit} {food_word} | {number} {unit} of {food_word} | {number} {things} | {adj} {food_word} |
        {a} {thing} | {number} {adj} {things} | some {food_word} | {the} {things}""",
    "food_word": """
        6*{stuff} | 4*{thing} | {things}""",
    "things": """
        {thing:s}""",
    "where": """
        4*{into} {the} {vessel} | 2*{into} {a} {adj?} {vessel} | 3*on {the} {surface} | onto {the} {surface} | over {the} {food_word} |
        on top of {the} {food_word} | on top | in | with {the} {food_word} | under {the} {vessel} | next to {the} {thing} |
        between {the} {things} | from {the} {vessel} to {the} {surface} | around {the} {thing} | to {the} {vessel} |
        {into} {your} {vessel} | right {into} {the} {vessel} | straight {into} {the} {vessel} | back {into} {the} {vessel} | in there |
        over there | aside | through {the} {vessel} | inside | on {number} {things} | with {tools}""",
    "outof": """
        out of {the} {vessel} | from {the} {vessel} | from {the} {world} | off {the} {surface} | out | away""",
    "tools": """
        4*{the} {tool} | 2*{a} {tool} | {a} {adj} {tool} | {your} {tool} | {your} hands | {your} {adj} {tool} |
        {the} back of {a} {tool} | {the} {tool} and {the} {tool} | some {tool}""",
    "time": """
        6*{number} {span} | about {number} {span} | at least {number} {span} | around {number} {span} | a minute | an hour |
        half an hour | a while | another minute | a minute or two | overnight | a second | a few more minutes |
        {number} to {number} minutes | a bit longer | a day""",
    "after": """
        after {time} | after about {number} {span} | after that | in {time} | {time} later | halfway through | in the morning |
        at {number} degrees | once {it} {is} {done} | before {chop:ing} | after {chop:ing} {food} | while {chop:ing} {food} |
        without {chop:ing} {food} | over {a} {adj} heat | from now on | before {we} {do} | for {time}""",
    "name": """
        anna | peter | maria | chef john | sam | linda | mister brown | {made_up}""",
}
SMALL = {      # short closed classes
    "the": "the, the, the, the, the, the, the, the, the, the, your, your, our, my, that, this, these, some, all the, his, their",
    "a": "a, a, a, another, one, a really, a very, such a",
    "your": "your, your, my, our, their",
    "it": "it, it, it, it, it, it, this, that, everything, this one, the whole thing, all of it, each one",
    "them": "it, it, it, it, it, them, them, this, that, everything, this one, the whole thing, all of it, both of them, each one",
    "they": "they, they, these, those, some of them, all of them, both, most of them",
    "he": "he, she, they, he, she, who knows if he, everyone, the man, the woman, mister brown, mary",
    "we": "you, you, you, we, we, we, i, i, i, they, people",
    "i": "i, i, we, you, they, i really, i always",
    "that": "that, that, this, it",
    "this": "this, this, that, it, here",
    "is": """
        is, is, is, is, 's, looks, will be, should be, was, is not, isn't, has to be, gets, might be, is really, is still,
        is going to be, is nice and""",
    "are": "are, are, are, look, will be, should be, were, aren't, get, are not, are all",
    "are_all": "are all we need, go in first, come next, will do, are what we need, work too, taste great together, belong together",
    "will": """
        will, will, 'll, can, should, might, could, would, may, must, won't, is going to, shouldn't, has to, doesn't, starts to,
        begins to""",
    "did": "do, do, did, will, would, can, should, could",
    "do_we": "do we, do you, should i, should we, can you, did you, would you, do i",
    "do_i": "do i, do you, should i, can i, can you, could we, would you, did you, do we, may i, will you",
    "have": "have, have, 've, had, should have",
    "had": "had, has, had never, had then, has always, must have, may have, might have",
    "made": "made, tried, eaten, seen, cooked, had, bought, used, tasted, baked, grown, given, found, heard of, forgotten",
    "likes": "likes, loves, hates, wants, makes, eats, needs, has, knows, buys, remembers, brings, does, keeps",
    "like": "like, love, want, prefer, hate, try, need",
    "happens": """
        boils, melts, thickens, burns, cooks, browns, bubbles, softens, cools, sets, rises, sticks, falls apart, comes together,
        starts to boil, turns golden, gets soft, smells good, changes color, begins to brown, dries out, stays crisp, goes in first,
        works, will do""",
    "need": "need, have, take, want, taste like, look like, smell like, go with, come with, matter",
    "always": "always, never, still, really, usually",
    "get": "get, grab, take, find, buy, pick up, bring out, pull out, take out, choose, use, fetch",
    "into": "into, into, in, in, to, inside, over, from, out of, with",
    "one": "one, some, most, half, all, two, none, each",
    "other": "other, second, last, first, next, remaining",
    "so": "so, really, very, incredibly, pretty, just",
    "long": "long, much, many times, often, hot, far, thick, big, fast, well",
    "when": "when, if, that, whether",
    "whether": "whether, if",
    "tag": """
        isn't it, right, okay, don't you, doesn't it, can you, aren't they, do you, won't it, you know, see, yes, no, huh, didn't they,
        didn't he""",
    "ready": "ready, hungry, done, sure, still here, with me, new here, okay",
    "ready_for": "ready, on hand, nearby, prepared",
    "sure": "sure, afraid, glad, told, happy, certain, surprised",
    "said": "said, says, always said, used to say, told me, asked",
    "smells": "smells, looks, tastes, sounds, feels",
    "more": "more, longer, better, faster, less, sooner",
    "way": "way, moment, second, time",
    "where_you": "in the comments, down below, below, in the comments below",
    "yes": """
        yes, no, sure, absolutely, of course, yes of course, never, not really, exactly, i think so, not at all, definitely, maybe,
        always, nothing else""",
    "can": "can, can't, do, don't, could, should, will, won't, did, are, have",
    "people": "people, chefs, cooks, friends, families, restaurants, viewers, you guys",
    "too": "too, a bit too, a little too, much too, not too, nearly, almost, almost too, perfectly, slightly, quite, still a bit",
    "not_too": "not too, not, really, nice and, not very, so",
    "off": "off, in, out, through, away, down",
    "love": "love, like, want, tend, need, hate, prefer",
    "do_i_not": "do, does, did, will",
    "all": "all, exactly, just",
    "up_down": "up, down, off, on",
    "on_off": "on, off, over, around",
    "heat": "low, medium, high, medium high, a simmer, the lowest setting",
    "a_boil": "a boil, a simmer, the boil, room temperature, a gentle boil, the table",
    "which_one": "this one, the other one, the first one, that one, each one, none of them, one of them, what's left",
}
IRREGULAR = {"cut": "cut cut", "put": "put put", "set": "set set", "lay": "laid laid", "throw": "threw thrown", "slide": "slid slid",
             "beat": "beat beaten", "make": "made made", "freeze": "froze frozen", "tear": "tore torn", "spread": "spread spread",
             "break": "broke broken", "buy": "bought bought", "see": "saw seen", "find": "found found", "bring": "brought brought",
             "leave": "left left", "send": "sent sent", "forget": "forgot forgotten", "build": "built built", "sell": "sold sold",
             "keep": "kept kept", "lose": "lost lost", "hold": "held held", "meet": "met met", "teach": "taught taught", "hear": "heard heard",
             "choose": "chose chosen", "write": "wrote written", "read": "read read", "give": "gave given", "take": "took taken",
             "think": "thought thought", "pay": "paid paid", "grow": "grew grown", "run": "ran run", "show": "showed shown"}
DOUBLED = {"chop", "cut", "put", "pit", "trim", "stir", "set", "rub", "wrap", "flip", "tip", "drop", "dip", "skim", "scrub", "get", "forget", "run", "top", "char"}
SYLLABLES = "ba bre chi cor da del dri en fa flo ga gri hol in ka kel la lin lo mar mi mo nal no or pa pel qui ra rin sa sol ste ta ter tri va vi wen za".split()
MADE_UP = 0.03            # share of nouns that are made-up words

MARK = {",", ".", "?"}


def _compile():
    """Turn the tables into rule -> list of alternatives, each a list of parts: a word, or (rule, form, may be left out)."""
    def parts(row):
        found = []
        for token in row.split():
            slot = re.fullmatch(r"\{(\w+)(?::(\w+))?(\?)?\}", token)
            found.append((slot[1], slot[2], bool(slot[3])) if slot else token)
        return found
    table = {name: [parts(row) for row in re.split(r",\s+", rows.strip())] for name, rows in (LISTS | SMALL).items()}
    for name, rows in RULES.items():
        table[name] = []
        for row in map(str.strip, rows.split("|")):
            times, _, rest = row.rpartition("*")
            table[name] += [parts(rest)] * int(times or 1)
    return table


TABLE = _compile()
NOUNS = ("stuff", "thing", "world", "tool")


def inflect(phrase, form):
    """Bring a phrase into a form: of a verb its first word, of a noun its last.

    >>> inflect(["cut", "up"], "ing"), inflect(["fry"], "ed"), inflect(["take"], "en"), inflect(["bay", "leaf"], "s")
    (['cutting', 'up'], ['fried'], ['taken'], ['bay', 'leaves'])
    """
    at = len(phrase) - 1 if form == "s" else 0
    word = phrase[at]
    if form == "s":
        new = re.sub(r"(?<=[^aeiou])y$", "ie", re.sub(r"(?<=[ae])f$", "ve", word))
        new += "es" if re.search(r"(s|sh|ch|x|o)$", new) else "s"
    elif form == "ing":
        new = (word + word[-1] if word in DOUBLED else re.sub(r"(?<=[^e])(?<!saut)e$", "", word)) + "ing"
    elif word in IRREGULAR:
        new = IRREGULAR[word].split()[form == "en"]
    else:
        new = re.sub(r"(?<=[^aeiou])y$", "i", word + word[-1] if word in DOUBLED else word)
        new += "d" if new.endswith("e") else "ed"
    return [*phrase[:at], new, *phrase[at + 1:]]


def say(name, rng, depth=0):
    """Draw what a rule says: a list of words and marks. Below a depth the shortest alternatives are taken."""
    if name == "made_up" or name in NOUNS and rng.random() < MADE_UP:
        return ["".join(SYLLABLES[int(rng.random() * len(SYLLABLES))] for _ in range(2 + int(rng.random() * 3)))]
    rows, out = TABLE[name], []
    for part in rows[int(rng.random() * len(rows))] if depth < 12 else min(rows, key=len):
        if isinstance(part, str):
            out.append(part)
        elif not part[2] or rng.random() < 0.5:
            said = say(part[0], rng, depth + 1)
            out += inflect(said, part[1]) if part[1] else said
    return out


def sentence(rng):
    """Draw one sentence: a list of words and of the marks "," "." "?", the last one a stop.

    A word such as 'll or 's joins the word before it.
    """
    out = []
    for token in say("sentence", rng):
        if token.startswith("'") and out:
            out[-1] += token
        elif token in MARK and out and out[-1] in MARK:
            out[-1] = max(out[-1], token, key=",.?".index)
        else:
            out.append(token)
    return out
