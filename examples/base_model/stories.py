"""Pretraining text of other kinds: journeys, gifts, lost animals, lists read twice, tallies."""

from collections.abc import Callable, Iterator
from random import Random

from orders import order_document, shop_talk_document, two_orders_document
from world import World, invent_name, pick_day, pick_person, pick_town


def journey_document(world: World, random: Random) -> str:
    """Somebody travels with a companion; told once, asked about or told again."""
    traveller, friend = (pick_person(world, random).full_name for _ in range(2))
    start, end, day = pick_town(world, random), pick_town(world, random), pick_day(world, random)
    animal = random.choice(world.animals)
    story = random.choice(
        (
            f"{random.choice(world.weather)} when {traveller} left {start} on {day}. {friend} came along with a {animal}. "
            f"They reached {end} before night.",
            f"On {day} {traveller} and {friend} went from {start} to {end}. A {animal} went with them.",
            f"{traveller} lives in {start} but wanted to see {end}. So on {day} the journey began, with {friend} and a "
            f"{animal}.",
        )
    )
    facts = [
        ("Who left?", traveller),
        ("Who came along?", friend),
        ("Where did they start?", start),
        ("Where did they go?", end),
        ("On which day?", day),
        ("Which animal was with them?", f"A {animal}"),
    ]
    random.shuffle(facts)
    if random.random() < 0.7:
        return story + "\n" + " ".join(f"{question} {answer}." for question, answer in facts[:4])
    return f"{story}\nMany years later {friend} still spoke of the way from {start} to {end} with {traveller}."


def gift_document(world: World, random: Random) -> str:
    """Presents go to people; who got which is asked afterwards."""
    giver = pick_person(world, random).full_name
    people = [pick_person(world, random).full_name for _ in range(random.randint(2, 4))]
    things = random.sample(world.common_words, k=len(people))
    day = pick_day(world, random)
    gifts = ", ".join(f"{person} a new {thing}" for person, thing in zip(people, things, strict=True))
    lines = [f"On {day} {giver} had a feast and gave {gifts}. {random.choice(world.weather)}."]
    pairs = list(zip(people, things, strict=True))
    random.shuffle(pairs)
    for person, thing in pairs:
        lines.append(random.choice((f"Who got the {thing}? {person}.", f"What did {person} get? A {thing}.")))
    lines.append(f"They all thanked {giver}.")
    return " ".join(lines)


def lost_animal_document(world: World, random: Random) -> str:
    """An animal is lost and found; the notice repeats names and places."""
    owner, finder = (pick_person(world, random).full_name for _ in range(2))
    town, day, animal = pick_town(world, random), pick_day(world, random), random.choice(world.animals)
    name = random.choice(world.first_names) if random.random() < 0.3 else invent_name(random)
    return (
        f"{owner} of {town} has lost a {animal}. Its name is {name}. On {day} {finder} saw a {animal} near {town} and "
        f"called: {name}! The {animal} came at once, so it was {name}. {finder} brought {name} back to {owner}. "
        f"Who found {name}? {finder}. Whose {animal} is {name}? It belongs to {owner}."
    )


def list_document(world: World, random: Random) -> str:
    """A list is read out and then written down, word for word or from the back."""
    person = pick_person(world, random).full_name
    kind = random.random()
    size = random.randint(3, 10)
    if kind < 0.3:
        names = world.first_names + world.surnames + world.towns + world.common_words
        words = " ".join(random.choice(names) for _ in range(2 * size))
        return f"{person} said {words} and then again {words} and once more {words}."
    if kind < 0.5:
        items = [pick_person(world, random, 0.4).full_name for _ in range(size)]
    elif kind < 0.65:
        items = [pick_town(world, random, 0.5) for _ in range(size)]
    elif kind < 0.8:
        items = [random.choice(world.common_words) for _ in range(size)]
    else:
        items = [f"{random.randint(2, 99)} {random.choice(world.common_words)}" for _ in range(size)]
    said = ", ".join(items)
    if random.random() < 0.25:
        return f"{person} read aloud: {said}. From the back it goes: {', '.join(reversed(items))}."
    return f"{person} read aloud: {said}. Then it was written down: {said}. And once more: {said}."


def tally_document(world: World, random: Random) -> str:
    """Things are counted with marks on a wall; also tells the number words from the digits."""
    person, thing = pick_person(world, random).full_name, random.choice(world.common_words)
    count = random.choice(sorted(world.count_words))
    marks = " ".join("|" * int(count))
    return (
        f"{person} counted the {thing} boxes and made marks on the wall: {marks} There were "
        f"{world.count_words[count]} boxes, and {world.count_words[count]} is {count}. How many? {count}."
    )


DOCUMENT_KINDS: tuple[tuple[Callable[[World, Random], str], float], ...] = (
    (order_document, 0.44),
    (two_orders_document, 0.10),
    (shop_talk_document, 0.08),
    (journey_document, 0.10),
    (gift_document, 0.06),
    (lost_animal_document, 0.05),
    (list_document, 0.15),
    (tally_document, 0.02),
)


def documents(world: World, seed: int) -> Iterator[str]:
    """Makes documents without end; the same seed gives the same ones."""
    random = Random(seed)
    makers, weights = zip(*DOCUMENT_KINDS, strict=True)
    while True:
        yield random.choices(makers, weights)[0](world, random)
