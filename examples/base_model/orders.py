"""Pretraining stories about orders: a story in plain English, then questions or a retelling of it.

Nothing here is written as a structured record; that form is left for fine-tuning to teach.
"""

from random import Random

from world import Order, World, counted_goods, pick_order, pick_person

OPENINGS = (
    "On {ordered_on} {customer} came to {seller} and ordered {goods}.",
    "On {ordered_on} {customer} asked {seller} for {goods}.",
    "{customer} ordered {goods} from {seller} on {ordered_on}.",
    "{customer} went to see {seller} on {ordered_on}. The talk was about {goods}, and soon they were ordered.",
    "{seller} had a letter from {customer} on {ordered_on}. It asked for {goods}.",
    "{seller} took an order for {goods} on {ordered_on}. The customer was {customer}.",
    "On {ordered_on} an order came in from {customer} for {goods}. It went to {seller}.",
    "{goods_first} were ordered on {ordered_on} by {customer}. The work was given to {seller}.",
    "It was {ordered_on} when {customer} wrote to {seller}: please make {goods} for me.",
    "{customer} would like to have {goods}, and told {seller} so on {ordered_on}.",
)
TOWN_SENTENCES = (
    "They are to be sent to {town}.",
    "They should go to the house in {town}.",
    "{first_name} lives in {town}.",
    "The cart will bring them to {town}.",
    "The goods go to {town}.",
    "{first_name} wants them in {town}.",
    "The road to {town} is long, but that is where they are wanted.",
    "They will travel to {town} by boat.",
)
DUE_SENTENCES = (
    "They must be ready by {due}.",
    "{first_name} needs them by {due}.",
    "They are due on {due}.",
    "{first_name} asked to have them before {due}.",
    "They should come no later than {due}.",
    "All must be done on {due}.",
    "{first_name} will wait until {due}.",
    "The last day for the work is {due}.",
)
PRICE_SENTENCES = (
    "They cost {price} crowns.",
    "The price was {price} crowns.",
    "{first_name} paid {price} crowns.",
    "The bill came to {price} crowns.",
)
SHOP_SENTENCES = (
    "{seller_name} has a shop in {shop_town}.",
    "The shop stands in {shop_town}.",
    "{seller_name} works in {shop_town}.",
    "The {trade} comes from {shop_town}.",
)
QUESTIONS = {
    "customer": (
        "Who ordered the {goods_only}?",
        "Who is the customer?",
        "Who wants the {goods_only}?",
        "Who gave the order?",
        "Who are the {goods_only} for?",
        "What is the name of the customer?",
    ),
    "seller": ("Who is the {trade}?", "Who makes the {goods_only}?", "Who got the order?", "Who does the work?"),
    "item": (
        "What was ordered?",
        "What is the item?",
        "What does {first_name} want?",
        "What should be made?",
        "What is the order for?",
    ),
    "count": ("How many {goods_only} are wanted?", "How many were ordered?"),
    "town": (
        "Where do the {goods_only} go?",
        "To which town do they go?",
        "Which town are they for?",
        "What is the town?",
        "Where should they be sent?",
    ),
    "due": (
        "When are they due?",
        "By when are they needed?",
        "When must the {goods_only} be ready?",
        "When is it due?",
        "What is the last day?",
    ),
    "ordered_on": ("When were they ordered?", "On which day did the order come?", "When was the order made?"),
    "price": ("What did they cost?", "What was the price?"),
    "shop_town": ("Where is the shop?", "Where does the {trade} work?"),
}
STATEMENTS = {
    "customer": ("The customer is {answer}.", "The goods are for {answer}.", "{answer} ordered them."),
    "seller": ("The {trade} is {answer}.", "{answer} does the work."),
    "item": ("The item is {answer}.", "The order is for {answer}.", "We make {answer}."),
    "count": ("There will be {answer} of them.",),
    "town": ("The town is {answer}.", "They go to {answer}.", "Send them to {answer}."),
    "due": ("The due day is {answer}.", "They are due {answer}.", "Be ready by {answer}."),
    "ordered_on": ("The order came on {answer}.",),
    "price": ("The price is {answer}.",),
    "shop_town": ("The shop is in {answer}.",),
}
SPEAKERS = (
    ("Q", "A"),
    ("Question", "Answer"),
    ("Teacher", "Pupil"),
    ("Master", "Assistant"),
    ("Visitor", "Assistant"),
    ("Customer", "Assistant"),
    ("Mother", "Child"),
    ("Clerk", "Driver"),
)
RETELLINGS = (
    "So {customer} in {town} will get {goods} by {due}.",
    "In short: {goods} for {customer}, {town}, by {due}.",
    "{seller_name} wrote in the book: {customer}, {goods}, {town}, {due}.",
    "On {due} the driver came to {town} and gave {goods} to {customer}.",
    "The note on the wall said that {goods} must reach {town} by {due}, and that {customer} was the customer.",
    "For whom? {customer}. What? {goods}. Where? {town}. When? {due}.",
    "{first_name} told a friend: I asked for {goods}. They come to {town} by {due}.",
)


def story_words(world: World, order: Order, random: Random) -> dict[str, str]:
    """Words to fill the sentences with; how the seller and the count are put varies."""
    goods = counted_goods(world, order, random)
    name = order.seller.full_name
    seller = random.choice((f"{name} the {order.trade}", f"the {order.trade} {name}", f"{name}, the {order.trade},"))
    return {
        "customer": order.customer.full_name,
        "first_name": order.customer.first_name,
        "seller": seller,
        "seller_name": name,
        "trade": order.trade,
        "goods": goods,
        "goods_first": goods[0].upper() + goods[1:],
        "goods_only": order.goods,
        "town": order.town,
        "shop_town": order.shop_town,
        "ordered_on": order.ordered_on,
        "due": order.due,
        "price": order.price,
    }


def tell_order(world: World, order: Order, random: Random) -> tuple[str, dict[str, str]]:
    """Tells the order as a story.

    Returns:
        The story, and the answer to each question (by name of the asked thing) that the story settles.
    """
    words = story_words(world, order, random)
    answers = {
        "customer": order.customer.full_name,
        "seller": order.seller.full_name,
        "item": f"{order.count} {order.goods}",
        "count": order.count,
        "town": order.town,
        "due": order.due,
        "ordered_on": order.ordered_on,
    }
    sentences = [random.choice(TOWN_SENTENCES), random.choice(DUE_SENTENCES)]
    if random.random() < 0.3:
        sentences.append(random.choice(PRICE_SENTENCES))
        answers["price"] = f"{order.price} crowns"
    if random.random() < 0.4:
        sentences.append(random.choice(SHOP_SENTENCES))
        answers["shop_town"] = order.shop_town
    random.shuffle(sentences)
    if random.random() < 0.2:
        sentences.append(random.choice(world.weather) + ".")
    story = " ".join([random.choice(OPENINGS), *sentences]).format(**words).replace(",.", ".")
    return story[0].upper() + story[1:], answers


def ask_about(order: Order, asked: list[str], random: Random) -> list[str]:
    """One question in words for each asked thing."""
    words = {"trade": order.trade, "goods_only": order.goods, "first_name": order.customer.first_name}
    return [random.choice(QUESTIONS[name]).format(**words) for name in asked]


def follow_up(world: World, order: Order, answers: dict[str, str], random: Random) -> str:
    """Goes on after the story: questions with answers, statements or a retelling, all drawn from the story."""
    asked = random.sample(sorted(answers), k=random.randint(3, min(6, len(answers))))
    kind = random.random()
    if kind < 0.4:
        asker, answerer = random.choice(SPEAKERS)
        pairs = zip(ask_about(order, asked, random), asked, strict=True)
        return "\n".join(f"{asker}: {question}\n{answerer}: {answers[name]}" for question, name in pairs)
    if kind < 0.6:
        pairs = zip(ask_about(order, asked, random), asked, strict=True)
        return " ".join(f"{question} {answers[name]}." for question, name in pairs)
    if kind < 0.8:
        return " ".join(
            random.choice(STATEMENTS[name]).format(answer=answers[name], trade=order.trade) for name in asked
        )
    words = story_words(world, order, random) | {"goods": answers["item"]}
    return " ".join(random.sample(RETELLINGS, k=2)).format(**words)


def order_document(world: World, random: Random) -> str:
    """A story of one order and what follows from it."""
    order = pick_order(world, random)
    story, answers = tell_order(world, order, random)
    return f"{story}\n{follow_up(world, order, answers, random)}"


def two_orders_document(world: World, random: Random) -> str:
    """Two orders after each other, then questions that must be told apart by the goods."""
    orders = [pick_order(world, random) for _ in range(2)]
    told = [tell_order(world, order, random) for order in orders]
    asker, answerer = random.choice(SPEAKERS)
    lines = [story for story, _ in told]
    for _ in range(4):
        order, (_, answers) = random.choice(list(zip(orders, told, strict=True)))
        name = random.choice(("customer", "seller", "count", "town", "due"))
        question = {
            "customer": f"Who ordered the {order.goods}?",
            "seller": f"Who makes the {order.goods}?",
            "count": f"How many {order.goods} are wanted?",
            "town": f"Where do the {order.goods} go?",
            "due": f"When must the {order.goods} be ready?",
        }[name]
        lines.append(f"{asker}: {question}\n{answerer}: {answers[name]}")
    return "\n".join(lines)


def shop_talk_document(world: World, random: Random) -> str:
    """A talk over the counter in which the assistant repeats what the customer says."""
    order = pick_order(world, random)
    helper = pick_person(world, random).full_name
    goods, name, town, due = counted_goods(world, order, random), order.customer.full_name, order.town, order.due
    turns = [
        ("Good morning. How can I help you?", f"I would like {goods}, please."),
        (f"{goods[0].upper() + goods[1:]}. {random.choice(('What is your name?', 'Who is it for?'))}", f"{name}."),
        (f"Thank you, {name}. Where do they go?", f"To {town}."),
        (f"And when must they be in {town}?", f"By {due}."),
        (f"Very well. {name}, {order.count} {order.goods}, {town}, {due}.", "That is right. Good day."),
    ]
    talk = "\n".join(f"Assistant: {first}\nCustomer: {second}" for first, second in turns)
    return f"{helper} is the assistant of {order.seller.full_name} the {order.trade}.\n{talk}"
