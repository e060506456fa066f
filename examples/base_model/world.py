"""The small world of the pretraining text: who lives in it, what is ordered and when."""

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

WORLD_FILE = Path(__file__).with_name("world.json")
SYLLABLES = (
    "an",
    "ar",
    "bel",
    "bo",
    "cas",
    "da",
    "del",
    "do",
    "en",
    "fa",
    "fen",
    "ga",
    "hal",
    "il",
    "ka",
    "kel",
    "la",
    "lin",
    "lo",
    "ma",
    "mer",
    "mi",
    "na",
    "nor",
    "o",
    "ra",
    "rel",
    "ri",
    "sa",
    "sen",
    "ta",
    "tor",
    "u",
    "va",
    "ver",
    "vi",
)


@dataclass(frozen=True)
class World:
    """Word lists of the small world, as kept in ``world.json``."""

    first_names: list[str]
    surnames: list[str]
    towns: list[str]
    trades: dict[str, dict[str, list[str]]]
    weekdays: list[str]
    months: list[str]
    count_words: dict[str, str]
    animals: list[str]
    weather: list[str]
    common_words: list[str]


@dataclass(frozen=True)
class Person:
    """A man or woman of the small world; the name is all that is known."""

    first_name: str
    surname: str

    @property
    def full_name(self) -> str:
        """First name and surname with one space between."""
        return f"{self.first_name} {self.surname}"


@dataclass(frozen=True)
class Order:
    """One order of goods: ``count`` is in digits, ``due`` a weekday or a date such as ``4 May``."""

    customer: Person
    seller: Person
    trade: str
    count: str
    goods: str
    town: str
    shop_town: str
    ordered_on: str
    due: str
    price: str


def load_world(path: Path = WORLD_FILE) -> World:
    """Reads the word lists."""
    return World(**json.loads(path.read_text(encoding="utf-8")))


def invent_name(random: Random) -> str:
    """Makes up a name of two or three syllables, so that names cannot all be learnt by heart."""
    return "".join(random.choice(SYLLABLES) for _ in range(random.choice((2, 2, 3)))).capitalize()


def pick_person(world: World, random: Random, invented_share: float = 0.15) -> Person:
    """Picks a person; each part of the name is invented with the probability ``invented_share``."""
    first_name = invent_name(random) if random.random() < invented_share else random.choice(world.first_names)
    surname = invent_name(random) if random.random() < invented_share else random.choice(world.surnames)
    return Person(first_name, surname)


def pick_town(world: World, random: Random, invented_share: float = 0.15) -> str:
    """Picks a town, an invented one with the probability ``invented_share``."""
    return invent_name(random) if random.random() < invented_share else random.choice(world.towns)


def pick_day(world: World, random: Random) -> str:
    """Picks a weekday or, as often, a date such as ``4 May``."""
    if random.random() < 0.5:
        return random.choice(world.weekdays)
    return f"{random.randint(1, 28)} {random.choice(world.months)}"


def pick_order(world: World, random: Random, invented_share: float = 0.15) -> Order:
    """Picks an order in which customer and seller, and both days, differ."""
    trade = random.choice(sorted(world.trades))
    words = world.trades[trade]
    customer, seller = (pick_person(world, random, invented_share) for _ in range(2))
    town, shop_town = (pick_town(world, random, invented_share) for _ in range(2))
    ordered_on, due = pick_day(world, random), pick_day(world, random)
    while due == ordered_on:
        due = pick_day(world, random)
    return Order(
        customer=customer,
        seller=seller,
        trade=trade,
        count=str(random.randint(2, 12) if random.random() < 0.6 else random.randint(13, 60)),
        goods=f"{random.choice(words['materials'])} {random.choice(words['goods'])}",
        town=town,
        shop_town=shop_town,
        ordered_on=ordered_on,
        due=due,
        price=str(random.randint(5, 99)),
    )


def counted_goods(world: World, order: Order, random: Random) -> str:
    """Says count and goods; a small count stands in words about as often as in digits."""
    count = order.count
    if count in world.count_words and random.random() < 0.5:
        count = world.count_words[count]
    return f"{count} {order.goods}"
