"""Records to be judged: plain ones to put others among, one in each shape, and words for long ones."""

import json

WORDS = [
    "la",
    "casa",
    "del",
    "pueblo",
    "tiene",
    "un",
    "huerto",
    "con",
    "naranjos",
    "que",
    "florecen",
    "en",
    "abril",
    "si",
    "llueve",
]


def pairs(count, *further):
    return [{"prompt": f"q{at}", "completion": f"a{at}"} for at in range(count)] + list(further)


def labelled_lines(count, **changed):
    """So many good records as JSON Lines; ``line_3="..."`` puts something else on that line."""
    rows = [json.dumps({"text": f"text {at}", "label": f"label {at % 3}"}) for at in range(count)]
    for name, row in changed.items():
        rows[int(name.removeprefix("line_")) - 1] = row
    return "\n".join(rows) + "\n"


def in_shape(shape, asked, answer):
    if shape == "messages":
        return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answer}]}
    if shape == "calls":
        call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": json.dumps({"a": answer})}}
        return {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "tool_calls": [call]}]}
    names = {
        "prompt_completion": ("prompt", "completion"),
        "text_label": ("text", "label"),
        "alpaca": ("instruction", "output"),
    }
    return dict(zip(names[shape], (asked, answer), strict=True))
