"""Every command in every spelling."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from afinador.cli import grammar
from afinador.cli.catalogue import COMMANDS
from afinador.cli.command import UsageError, squash
from afinador.config.hyperparameters import METHODS_TODAY
from afinador.config.limits import limits_of

COMMAND_LINES = [
    # The specification's eight, as it writes them.
    ("create fine-tune-job -basemodel b -dataset d -epochs 3 -lora-rank 16", "create fine-tune-job"),
    ("list fine-tune-job", "list fine-tune-job"),
    ("get fine-tuning-job J", "get fine-tuning-job"),
    ("cancel fine-tuning-job J", "cancel fine-tuning-job"),
    ("list hub-model", "list hub-model"),
    ("get hub-model M", "get hub-model"),
    ("list hub-adapter", "list hub-adapter"),
    ("get hub-adapter A", "get hub-adapter"),
    # Ours.
    ("delete hub-model M", "delete hub-model"),
    ("delete hub-adapter A", "delete hub-adapter"),
    ("create file p", "create file"),
    ("list file", "list file"),
    ("get file f", "get file"),
    ("delete file f", "delete file"),
    ("create job-spec n job.yaml --no-retrain", "create job-spec"),
    ("list job-spec", "list job-spec"),
    ("get job-spec n", "get job-spec"),
    ("delete spec n", "delete job-spec"),
    ("create base-model n --source s", "create base-model"),
    ("list base-model", "list base-model"),
    ("get base-model n", "get base-model"),
    ("delete base-model n", "delete base-model"),
    ("create organization o", "create organization"),
    ("create organisation o", "create organization"),
    ("list organization", "list organization"),
    ("update organisation o -priority 1", "update organization"),
    ("create api-key --organization o", "create api-key"),
    ("create api-key -organisation o", "create api-key"),
    ("list api-key", "list api-key"),
    ("delete api-key k", "delete api-key"),
    ("pause fine-tuning-job J", "pause fine-tuning-job"),
    ("resume fine-tuning-job J", "resume fine-tuning-job"),
    ("list event J", "list event"),
    ("list checkpoint J", "list checkpoint"),
    ("get checkpoint J 500", "get checkpoint"),
    ("publish checkpoint J 500 -output-model n", "publish checkpoint"),
    ("watch J", "watch"),
    ("watch fine-tune-job J", "watch"),
    ("logs J", "logs"),
    ("report J -output J.html", "report"),
    ("logs job J -follow", "logs"),
    ("validate dataset p", "validate dataset"),
    ("prepare dataset p --pipeline steps.yaml", "prepare dataset"),
    ("preview data-set p -basemodel m", "preview dataset"),
    ("list preparation", "list preparation"),
    ("get preparation p", "get preparation"),
    ("cancel preparation p", "cancel preparation"),
    ("train job.yaml", "train"),
    ("verify resume J -steps 40", "verify resume"),
    ("reproduce J", "reproduce"),
    ("reproduce job J --output d", "reproduce"),
    ("up", "up"),
    ("db upgrade", "db upgrade"),
]


def spellings_of(noun: str) -> list[str]:
    name = grammar.canonical(noun)
    assert name is not None
    singular = [name, *grammar.SPELLINGS[name]]
    plural = [f"{spelling}s" for spelling in singular]
    dashed = [*singular, *plural]
    return [*dashed, *(word.replace("-", "_") for word in dashed), *(word.replace("-", "").upper() for word in dashed)]


@pytest.mark.parametrize(("line", "title"), COMMAND_LINES)
def test_every_spelling_of_the_noun_finds_the_command(line: str, title: str) -> None:
    verb, *rest = line.split()
    nouns = spellings_of(rest[0]) if " " in title else rest[:1]
    for noun in nouns or [None]:
        words = [verb, *([noun] if noun else []), *rest[1:]]
        command, others = grammar.find(words, COMMANDS)
        assert " ".join(command.words) == title
        command.parser().read(others)


def test_every_command_is_in_the_table() -> None:
    assert {" ".join(command.words) for command in COMMANDS} == {title for _, title in COMMAND_LINES}


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.title)
def test_every_option_is_read_with_one_dash_or_two(command: Any) -> None:
    needed = {"JOB": "j", "NAME": "n"}
    positional = [
        needed.get(str(action.metavar), "p") for action in command.parser()._actions if not action.option_strings
    ]
    actions = command.parser()._actions
    for action in actions:
        required = [
            word
            for each in actions
            if each.option_strings and each.required and each.dest != action.dest
            for word in (each.option_strings[0], "v")
        ]
        for option in action.option_strings:
            if option.startswith("--") and option != "--help":
                value = [] if action.nargs == 0 else ["9" if action.metavar in ("N", "V") else "k=v"]
                name = option[2:]
                spellings = {f"--{name}", f"-{name}", f"--{name.replace('-', '_')}", f"-{name.replace('-', '')}"}
                for spelling in spellings:
                    words = [*positional, *required, spelling, *value]
                    parsed = getattr(command.parser().read(words), action.dest)
                    assert parsed not in (None, False, action.default), words
                    if value:
                        joined = [*positional, *required, f"{spelling}={value[0]}"]
                        assert getattr(command.parser().read(joined), action.dest) == parsed


def test_options_that_collect_values_may_be_given_again() -> None:
    parser = next(command for command in COMMANDS if command.title.endswith("create fine-tune-job")).parser()
    assert parser.read(["--tag", "a", "-tag", "b", "--watch", "--watch"]).tags == ["a", "b"]


def test_every_hyperparameter_is_an_option() -> None:
    parser = next(command for command in COMMANDS if command.title.endswith("create fine-tune-job")).parser()
    for method in METHODS_TODAY:
        for key in limits_of(method):
            read = vars(parser.read([f"-{squash(key)}", "7"]))
            assert read[f"hyperparameters.{key}"] == 7


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1", -1),
        ("5e-5", 5e-5),
        ("1E-4", 1e-4),
        ("-2.5e-3", -2.5e-3),
        ("0.1", 0.1),
        ("true", True),
        ("null", None),
        ("auto", "auto"),
        ("[q_proj, v_proj]", ["q_proj", "v_proj"]),
        ("nan", "nan"),
        ("010", 10),
        ("0x10", 16),
        ("0o10", 8),
        ("1_000", 1000),
        ("1:30", "1:30"),
        ("1:30.5", "1:30.5"),
    ],
)
def test_values_are_typed(text: str, value: object) -> None:
    parser = next(command for command in COMMANDS if command.title.endswith("create fine-tune-job")).parser()
    assert vars(parser.read(["-lr", text]))["hyperparameters.learning_rate"] == value
    assert parser.read(["--set", f"key={text}"]).set == [("key", value)]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("lsit job", "no command 'lsit'. Did you mean 'list'"),
        ("list jbo", "no 'jbo'. Did you mean 'job'"),
        ("list hub-modle", "no 'hub-modle'. Did you mean 'hub-model'"),
        ("list", "afinador list needs a noun: api-key"),
        ("list --json", "needs a noun"),
        ("cancel hub-model x", "nothing to cancel in 'hub-model'; afinador cancel takes: fine-tuning-job"),
        ("create job -lorarnk 3", "no option '-lorarnk'. Did you mean '--lora-rank'"),
        ("create job --watc", "no option '--watc'. Did you mean '--watch'"),
        ("create job -schedule 1", "no option '-schedule'. A job has no schedule of its own: save its request with"),
        ("create job-spec nightly job.yaml --cron 1", "no option '--cron'. A job has no schedule of its own"),
        ("create job --per-device-train-batch-size 4", "Here batch_size is how many examples a step takes"),
        ("create file a.csv --cron 1", "has no option '--cron'."),
        ("create job --epochs", "expected one argument"),
        ("create job --set epochs", "not of the form key=value"),
        ("create job --set a=[1", "not good YAML"),
        ("create job -epochs 1 -epochs 2", "create fine-tune-job: -epochs is given twice; give one of them."),
        ("create job -lr 1e-4 --learning_rate=1e-5", "-lr and --learning_rate are the same option; give one of them."),
        ("list job --limit 3 --limit=3", "--limit is given twice"),
        (f"create job --set target_modules=[{'x' * 4000}", f"argument --set: '[{'x' * 198}… is not good YAML. See"),
        ("create job --set epochs=", "'epochs=' gives epochs no value; leave it out for its default"),
        ("create job -epochs=", "argument --epochs/--n-epochs: there is no value; leave the option out"),
        ("create job --seed=", "argument --seed: there is no value"),
        ("create job -lora-rank 1e400", "argument --lora-rank: '1e400' is or holds what JSON cannot say"),
        ("create job -lr .nan", "argument --learning-rate/--lr: '.nan' is or holds what JSON cannot say"),
        ("create job --set a=[1,.inf]", "argument --set: '[1,.inf]' is or holds what JSON cannot say"),
        ("create job -dataset d", "needs -basemodel"),
        ("create job -basemodel b", "needs -dataset"),
        ("get job", "required: JOB"),
        ("get job a b", "unrecognized arguments: b"),
        ("list job --limit 0", "not a whole number above 0"),
        ("create base-model n", "required: --source"),
        ("--json list job", "A verb comes first"),
        ("create job -basemodel b -dataset .", "is a folder"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_code_2(afinador: Callable[..., Any], line: str, words: str) -> None:
    ran = afinador(*line.split())
    assert (ran.code, ran.out) == (2, "")
    assert words in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("train nowhere.yaml", "no file 'nowhere.yaml'"),
        ("validate dataset nowhere.yaml", "no file 'nowhere.yaml'"),
        ("create job -basemodel b -dataset no/where.csv", "-dataset 'no/where.csv': there is no such file"),
        (
            "create job -basemodel b -dataset d -validation-dataset no/where.csv",
            "-validation-dataset 'no/where.csv': there",
        ),
        ("create job -config nowhere.yaml", "Cannot read nowhere.yaml: No such file or directory. Check the path."),
        ("create job-spec n nowhere.yaml", "Cannot read nowhere.yaml: No such file or directory. Check the path."),
        (
            "prepare dataset rows.csv --pipeline nowhere.yaml",
            "Cannot read nowhere.yaml: No such file or directory. Check the path.",
        ),
        ("create file nowhere.csv", "no file 'nowhere.csv'"),
    ],
)
def test_a_file_that_is_not_there_is_one_sentence_and_exit_code_3(
    afinador: Callable[..., Any], line: str, words: str
) -> None:
    ran = afinador(*line.split())
    assert (ran.code, ran.out) == (3, "")
    assert words in ran.err and ran.err.count("\n") == 1


@pytest.mark.parametrize("line", ["--help", "-h", "-help", "help"])
def test_the_overview_shows_every_command(afinador: Callable[..., Any], line: str) -> None:
    ran = afinador(line)
    assert ran.code == 0
    for command in COMMANDS:
        assert f"  {' '.join(command.words)}" in ran.out and command.summary in ran.out


def test_without_a_word_it_shows_the_overview_as_wrong_use(afinador: Callable[..., Any]) -> None:
    ran = afinador()
    assert ran.code == 2 and "commands:" in ran.out


def test_a_verb_s_help_shows_its_commands(afinador: Callable[..., Any]) -> None:
    ran = afinador("list", "--help")
    assert ran.code == 0 and "list hub-model" in ran.out and "create file" not in ran.out


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.title)
def test_every_command_has_help_with_examples_that_parse(command: Any, afinador: Callable[..., Any]) -> None:
    for line in ([*command.words, "--help"], [*command.words, "-h"], ["help", *command.words]):
        ran = afinador(*line)
        assert ran.code == 0 and command.summary in ran.out and "examples:" in ran.out
    for example in command.examples:
        _, *words = example.partition(" > ")[0].split()
        found, rest = grammar.find(words, COMMANDS)
        assert found is command
        found.parser().read(rest)


def test_nothing_heavy_is_imported_for_help_or_a_wrong_word() -> None:
    script = """
import sys
from afinador.cli.main import main
for words in (["--help"], ["lits"], ["list", "job", "--help"], ["get", "hub-model"]):
    main(words)
heavy = ("httpx", "pydantic", "rich", "yaml", "fsspec", "dotenv")
print("loaded:", [name for name in heavy if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip().splitlines()[-1] == "loaded: []"


def test_a_squashed_word_has_one_meaning() -> None:
    for command in COMMANDS:
        options = [name for action in command.parser()._actions for name in action.option_strings if len(name) > 2]
        assert len({squash(name) for name in options}) == len(options)


def test_unknown_nouns_are_refused() -> None:
    with pytest.raises(UsageError):
        grammar.find(["list", "things"], COMMANDS)
