"""``create fine-tune-job``: from options and files to one request."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from afinador.cli import render
from afinador.cli.command import Command, Parser, UsageError
from afinador.cli.local_data_sets import DATA_SETS, local_data_sets, named_nearly, say_where_to_declare
from afinador.cli.reading import add_validation_reading_options, validation_reading_of
from afinador.cli.service import assignment, can_be_sent, connect, setting, typed
from afinador.client import calls
from afinador.config.counterparts import COUNTERPARTS
from afinador.errors import AfinadorError, NotFoundError

if TYPE_CHECKING:
    from afinador.client.connection import Connection

_HYPERPARAMETER = "hyperparameters."
_OPTIONS = (
    "base_model", "dataset", "validation_dataset", "output_model", "name", "suffix", "seed", "tuning_method", "task",
    "from_checkpoint", "pool", "priority", "domain", "tags",
)  # fmt: skip
_OPENAI_NAMES = {"model": "base_model", "training_file": "dataset", "validation_file": "validation_dataset"}


def add_arguments(parser: Parser) -> None:
    """Add the request's fields, the hyperparameters and what the command itself needs."""
    request = parser.add_argument_group("the job")
    add = request.add_argument
    add("--base-model", "--model", metavar="NAME", help="a registered base model; see list base-model")
    add(
        "--dataset", "--training-file", metavar="DATA",
        help="a local file (uploaded first), a file's id, its name, or its name without extension",
    )  # fmt: skip
    add("--validation-dataset", "--validation-file", metavar="DATA", help="held-out data, given in the same ways")
    add_validation_reading_options(parser)
    add("--output-model", metavar="NAME", help="hub name of the result (default: from base model and suffix)")
    add("--name", metavar="NAME", help="the job's name (default: made up)")
    add("--suffix", metavar="TEXT", help="part of the name ft:… of the result")
    add("--seed", type=typed, metavar="N", help="of everything random")
    add("--tuning-method", "--method", metavar="METHOD", help="lora (default), qlora or full")
    add(
        "--task", metavar="TASK", help="causal_lm or sequence_classification (default: by the base model's architecture)"
    )  # fmt: skip
    add(
        "--from-checkpoint", metavar="ID", help="begin with a checkpoint of any job: its id or its name, ft:…:ckpt-step-N"
    )  # fmt: skip
    add(
        "--whole-state",
        action="store_true",
        help="go on with that job's training exactly, instead of its weights alone",
    )
    add("--pool", metavar="POOL", help="gpu or cpu (default: gpu when such a worker is there)")
    add(
        "--priority",
        type=typed,
        metavar="P",
        help="among the organisation's waiting jobs; higher is first (default: 0)",
    )
    add("--domain", metavar="TEXT", help="what the model is for")
    add("--tag", "--tags", dest="tags", action="append", metavar="TAG", help="may be given again")
    add("--metadata", action="append", type=assignment, metavar="KEY=VALUE", help="may be given again")
    add("--config", metavar="FILE", help="YAML or JSON with hyperparameters, or a whole request; options win over it")
    add("--spec", metavar="NAME", help="begin with a saved job spec; --config and options win over it")
    add("--set", action="append", type=setting, metavar="KEY=VALUE", help="any key; the value is read as YAML")
    add("--watch", action="store_true", help="follow the job until it has ended")
    parser.counterparts = COUNTERPARTS
    _add_hyperparameters(parser)


def _add_hyperparameters(parser: Parser) -> None:
    from afinador.config.described import described  # pydantic and YAML, needed by this command alone

    group = parser.add_argument_group("hyperparameters (an operator may have set other defaults and ranges)")
    for each in described():
        names = [f"--{name.replace('_', '-')}" for name in (each.key, *each.others)]
        default = "none" if each.default in (None, []) else each.default
        explained = "; ".join(filter(None, (each.meaning.rstrip("."), each.values, f"default: {default}")))
        group.add_argument(
            *names, dest=_HYPERPARAMETER + each.key, type=typed, metavar="V", help=explained.replace("%", "%%")
        )
    group.add_argument(
        "--learning-rate-multiplier", dest=f"{_HYPERPARAMETER}learning_rate_multiplier", type=typed, metavar="V",
        help="times the method's default, instead of a learning rate",
    )  # fmt: skip


def create(arguments: argparse.Namespace) -> int:
    """Create the job; upload data sets first, watch it afterwards where that is asked for."""
    body = _request(arguments)
    local = local_data_sets({field: body.get(field) for field in DATA_SETS})
    with connect() as connection:
        job = _created(connection, body, local)
        render.remark(f"Created job {job['name']} ({job['id']}); it is {job['status']}.")
        if arguments.watch:
            from afinador.cli.watching import watch

            return watch(connection, job["id"], shown_as_json=arguments.json)
    if job["waiting_for"]:
        render.remark(job["waiting_for"])
    if arguments.json:
        render.as_json(job)
    else:
        render.result(job["name"])
        render.remark(f"Follow it with: afinador watch {job['name']}")
    return 0


def _created(connection: Connection, body: dict[str, Any], local: dict[str, Path]) -> dict[str, Any]:
    """Upload the local data sets, once the service has nothing against the rest, and create the job.

    Args:
        connection: Where to ask.
        body: The request.
        local: Those of its data sets that are files on this disk.

    Raises:
        NotFoundError: Among other things, a data set that is neither here nor there.
    """
    from afinador.cli.files import uploads_of
    from afinador.client import uploads

    try:
        if local:
            uploads.check_job(connection, body, local)
        with uploads_of(connection) as upload_once:
            uploaded = {field: upload_once(path)["id"] for field, path in local.items()}
            return connection.json(calls.create_job({**body, **uploaded}))
    except NotFoundError as error:
        field = _OPENAI_NAMES.get(error.param or "")
        if error.code != "file_not_found" or field not in DATA_SETS:
            raise
        option = field.replace("_", "-")
        if not body.get(field):  # a saved spec names it
            raise NotFoundError(f"{error.message} Upload it again, or give another one with -{option}.") from error
        remedy = named_nearly(Path(str(body[field]))) or error.message.partition("in this organization.")[2]
        raise NotFoundError(
            f"-{option} {body[field]!r} is neither a file on this disk (in {Path.cwd()}) nor one of the organization."
            f"{remedy}"
        ) from error
    except AfinadorError as error:
        say_where_to_declare(error, local)
        raise


def _request(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the body. Weakest first: the saved spec, the configuration file, ``--set``, the options."""
    body = request_in_file(Path(arguments.config)) if arguments.config else {}
    if arguments.spec:
        body["job_spec"] = arguments.spec
    fields, hyperparameters = _settings(arguments.set or [])
    given = vars(arguments)
    body |= fields | {field: given[field] for field in _OPTIONS if given[field] is not None}
    hyperparameters |= {
        name.removeprefix(_HYPERPARAMETER): value
        for name, value in given.items()
        if name.startswith(_HYPERPARAMETER) and value is not None
    }
    if hyperparameters:
        body["hyperparameters"] = hyperparameters
    if arguments.whole_state:
        body["from_checkpoint_state"] = "whole"
    declared = validation_reading_of(arguments)
    if declared is not None:
        body["validation_reading"] = declared
    if arguments.metadata:
        body["metadata"] = {**(body.get("metadata") or {}), **dict(arguments.metadata)}
    for field, option in (("base_model", "-basemodel"), ("dataset", "-dataset")):
        if not any(body.get(each) for each in (field, "from_checkpoint", "job_spec")):
            raise UsageError(f"afinador create fine-tune-job needs {option}. See afinador create fine-tune-job --help.")
    return body


def _settings(given: list[tuple[str, Any]]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what ``--set`` says, under our names: fields of the request, and hyperparameters.

    Raises:
        UsageError: A key is given twice, or ``hyperparameters`` is no object.
    """
    from afinador.config.hyperparameters import ALIASES
    from afinador.wording import shown

    fields: dict[str, Any] = {}
    hyperparameters: dict[str, Any] = {}
    for name, value in given:
        key = name.removeprefix(_HYPERPARAMETER)
        key = ALIASES.get(key, _OPENAI_NAMES.get(key, key))
        new, found = {key: value}, fields if _is_field(key) else hyperparameters
        if key == "hyperparameters":
            if not isinstance(value, dict):
                raise UsageError(f"--set hyperparameters is {shown(value)}; it must be an object ({{key: value}}).")
            new, found = {ALIASES.get(str(each), str(each)): value[each] for each in value}, hyperparameters
        if twice := new.keys() & found.keys():
            raise UsageError(f"--set gives {min(twice)} twice; give it once.")
        found |= new
    return fields, hyperparameters


def _is_field(key: str) -> bool:
    from afinador.schemas.jobs import JobRequest

    return key in JobRequest.model_fields or key in _OPENAI_NAMES.values()


def request_in_file(path: Path) -> dict[str, Any]:
    """Read a configuration file: fields of a request as such, all else as the advanced configuration.

    Its data sets are looked for beside it.

    Raises:
        UsageError: A hyperparameter stands there twice, by itself and among ``hyperparameters`` or ``config``; or a
            number is not finite.
    """
    from afinador.config.documents import read_document

    document = read_document(path)
    if unsendable := [key for key, value in document.items() if not can_be_sent(value)]:
        raise UsageError(
            f"{path}: {unsendable[0]} is or holds what JSON cannot say, such as a number that is not finite."
        )
    fields = {key for key in document if _is_field(key) and key != "seed"}  # which is a setting too, and says so
    body = {_OPENAI_NAMES.get(key, key): document[key] for key in document if key in fields}
    for field in DATA_SETS:
        if isinstance(body.get(field), str) and (path.parent / body[field]).is_file():
            body[field] = str(path.parent / body[field])
    advanced = {key: value for key, value in document.items() if key not in fields}
    for place in ("hyperparameters", "config"):
        nested = body.pop(place, None) or {}
        if not isinstance(nested, dict):
            raise UsageError(f"{path}: {place} must be an object (key: value).")
        if twice := sorted(advanced.keys() & nested.keys()):
            raise UsageError(f"{path} gives {twice[0]!r} twice, the second time below {place!r}; keep one of them.")
        advanced |= nested
    return body | {"config": advanced} if advanced else body


COMMANDS = (
    Command(
        ("create", "fine-tune-job"),
        "Create a fine-tuning job",
        create,
        add_arguments,
        examples=(
            "afinador create fine-tune-job -basemodel tiny -dataset train.jsonl -output-model bot -epochs 3 --watch",
            "afinador create fine-tune-job -basemodel tiny -dataset qa_data -validation-dataset qa_test -lora-rank 16",
            "afinador create job --config job.yaml --set warmup_steps=100 -lora-rank 8",
            "afinador create job --spec nightly -epochs 5",
            "afinador create job -from-checkpoint ftckpt_1a2b3c4d -whole-state",
        ),
        details="Prints the job's name. Strongest first: options, --set, the --config file, the saved spec, the operator's "
        "defaults, ours.\nLocal data sets are uploaded when the rest of the job is in order, and only if the service has not "
        "got the same\nbytes under the same name.",
    ),
)
