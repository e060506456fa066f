"""Writes the training and validation examples: from an order in plain English to a short record.

Run ``python examples/data/make_examples.py``; the same seed gives the same files.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

WORLD_FILE = Path(__file__).parents[1] / "base_model" / "world.json"
OPENINGS = (
    "{customer} has ordered {goods} from {seller}.",
    "Please make {goods} for {customer}.",
    "{seller} is to make {goods} for {customer}.",
    "On {ordered_on} {customer} came into the shop and ordered {goods}.",
    "{customer} wrote to {seller} on {ordered_on} and asked for {goods}.",
    "We had a letter from {customer}, who wants {goods}.",
    "A new order for {goods} came on {ordered_on}. The customer is {customer}.",
    "{goods_first} are wanted by {customer}.",
    "{seller} took an order from {customer} on {ordered_on}: {goods}.",
)
TOWN_SENTENCES = (
    "Send them to {town}.",
    "The goods go to {town}.",
    "They are for the house in {town}.",
    "{first_name} lives in {town}.",
    "Bring them to {town} by cart.",
    "They should be sent to {town}.",
)
DUE_SENTENCES = (
    "They are due on {due}.",
    "They must be there by {due}.",
    "{first_name} needs them before {due}.",
    "The last day is {due}.",
    "Please have them ready by {due}.",
    "They should come no later than {due}.",
)
TOWN_AND_DUE_SENTENCES = (
    "They must reach {town} by {due}.",
    "Send them to {town} before {due}.",
    "{first_name} will wait for them in {town} until {due}.",
)
OTHER_SENTENCES = (
    "The price is {price} crowns.",
    "{first_name} paid {price} crowns.",
    "{seller_name} works in {shop_town}.",
    "It was a warm evening.",
)


@dataclass(frozen=True)
class Example:
    """One order in plain English and the record to be written for it."""

    prompt: str
    completion: str


def pick_words(world: dict, random: Random) -> dict[str, str]:
    """Draws customer, goods, towns and days anew; all that comes in pairs differs."""
    trade = random.choice(sorted(world["trades"]))
    goods = f"{random.choice(world['trades'][trade]['materials'])} {random.choice(world['trades'][trade]['goods'])}"
    first_names, surnames = random.sample(world["first_names"], 2), random.sample(world["surnames"], 2)
    town, shop_town = random.sample(world["towns"], 2)
    days = random.sample(world["weekdays"], 2)
    dates = [f"{day} {random.choice(world['months'])}" for day in random.sample(range(1, 29), 2)]
    ordered_on, due = (random.choice(pair) for pair in zip(days, dates, strict=True))
    count = str(random.randint(2, 12) if random.random() < 0.6 else random.randint(13, 60))
    said_count = world["count_words"].get(count, count) if random.random() < 0.5 else count
    seller_name = f"{first_names[1]} {surnames[1]}"
    return {
        "customer": f"{first_names[0]} {surnames[0]}",
        "first_name": first_names[0],
        "seller": f"{seller_name} the {trade}",
        "seller_name": seller_name,
        "goods": f"{said_count} {goods}",
        "goods_first": f"{said_count[0].upper() + said_count[1:]} {goods}",
        "item": f"{count} {goods}",
        "town": town,
        "shop_town": shop_town,
        "ordered_on": ordered_on,
        "due": due,
        "price": str(random.randint(5, 99)),
    }


def make_example(world: dict, random: Random) -> Example:
    """Words an order in one of many ways; half of the orders tell something that the record must leave out."""
    words = pick_words(world, random)
    if random.random() < 0.25:
        sentences = [random.choice(TOWN_AND_DUE_SENTENCES)]
    else:
        sentences = [random.choice(TOWN_SENTENCES), random.choice(DUE_SENTENCES)]
    if random.random() < 0.5:
        sentences.append(random.choice(OTHER_SENTENCES))
    random.shuffle(sentences)
    prompt = " ".join([random.choice(OPENINGS), *sentences]).format(**words)
    completion = "customer: {customer} | item: {item} | town: {town} | due: {due}".format(**words)
    return Example(prompt, completion)


def distinct_examples(world: dict, random: Random) -> Iterator[Example]:
    """Makes examples without end; no customer appears twice, so that validation meets none from training."""
    customers: set[str] = set()
    while True:
        example = make_example(world, random)
        customer = example.completion.split(" | ")[0]
        if customer not in customers:
            customers.add(customer)
            yield example


def write_examples(path: Path, examples: list[Example]) -> None:
    """Writes one JSON object a line."""
    lines = [json.dumps({"prompt": example.prompt, "completion": example.completion}) for example in examples]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Write the example data set.")
    parser.add_argument("--output", type=Path, default=Path(__file__).parent)
    parser.add_argument("--train-count", type=int, default=400)
    parser.add_argument("--validation-count", type=int, default=60)
    parser.add_argument("--seed", type=int, default=11)
    return parser.parse_args()


def main() -> None:
    """Writes ``train.jsonl`` and ``validation.jsonl``."""
    arguments = parse_arguments()
    world = json.loads(WORLD_FILE.read_text(encoding="utf-8"))
    source = distinct_examples(world, Random(arguments.seed))
    write_examples(arguments.output / "train.jsonl", [next(source) for _ in range(arguments.train_count)])
    write_examples(arguments.output / "validation.jsonl", [next(source) for _ in range(arguments.validation_count)])


if __name__ == "__main__":
    main()
