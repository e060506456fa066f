"""What a run tells of its classes."""

from __future__ import annotations

from collections import Counter

from afinador.config.spec import FineTuningSpec
from afinador.data.quoting import shortened
from afinador.training.bases import base_has_head
from afinador.training.data_sets import Data
from afinador.training.run_dir import RunDir
from afinador.training.setup import Subject

CLASSES_TOLD = 10


def describe_classes(
    spec: FineTuningSpec, subject: Subject, data: Data, held_out: Data | None, run_dir: RunDir
) -> None:
    """Log which classes there are, how often each occurs, and whose head tells them apart."""
    classes = subject.classes
    counts = Counter(example.labels[0] for example in data.tokenised)
    shown = ", ".join(f"{shortened(name)} ({counts[at]})" for at, name in enumerate(classes[:CLASSES_TOLD]))
    more = f" and {len(classes) - CLASSES_TOLD} more" if len(classes) > CLASSES_TOLD else ""
    keeps_head = base_has_head(spec, classes)
    if spec.start_from is not None:
        keeps_head, head = True, f"the head is that of the {spec.start_from.kind} {spec.start_from.name}"
    elif keeps_head:
        head = f"{spec.base_model.name} knows them already and keeps its head"
    elif spec.base_model.architecture.endswith("ForSequenceClassification"):
        head = f"{spec.base_model.name} was made for other classes and gets a new head, drawn from seed {spec.seed}"
    else:
        head = f"the head is new, drawn from seed {spec.seed}"
    run_dir.log_event(
        "message",
        "info",
        f"{len(classes)} classes: {shown}{more}; {head}.",
        classes={name: counts[at] for at, name in enumerate(classes)},
        keeps_head=keeps_head,
    )
    if held_out is not None:
        _tell_absent(classes, held_out, run_dir)


def _tell_absent(classes: tuple[str, ...], held_out: Data, run_dir: RunDir) -> None:
    present = {example.labels[0] for example in held_out.tokenised}
    absent = [name for at, name in enumerate(classes) if at not in present]
    if absent:
        shown = ", ".join(map(shortened, absent[:CLASSES_TOLD])) + (" and others" if len(absent) > CLASSES_TOLD else "")
        run_dir.log_event(
            "message",
            "warn",
            f"{len(absent)} of {len(classes)} classes do not occur in the validation file, so that macro F1 leaves them "
            f"out: {shown}.",
            absent=absent,
        )
