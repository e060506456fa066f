"""Homes, ports, processes and what prefect.yaml says."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from afinador.errors import ConfigurationError
from afinador.settings import Settings
from deployments import processes
from deployments.definition import Definition
from deployments.home import Home
from deployments.parts import Part, backoff_seconds
from deployments.plan import Plan
from deployments.ports import choose_port, reachable
from deployments.processes import Group
from deployments.up import EXAMPLES, with_examples

VARIABLES = {
    "AFINADOR_PYTHON": "/venv/bin/python",
    "AFINADOR_ROOT": "/app",
    "AFINADOR_GPUS": "2",
    "AFINADOR_CPU_SLOTS": "3",
}


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


def test_a_taken_port_gives_way_to_the_next_free_one(taken: int) -> None:
    chosen = choose_port("127.0.0.1", taken)
    assert taken < chosen <= taken + 99


def test_a_port_is_given_out_once() -> None:
    first = choose_port("127.0.0.1", 0)
    assert choose_port("127.0.0.1", first, [first]) > first


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"203\.0\.113\.1"):
        choose_port("203.0.113.1", 8000)


def test_what_binds_everywhere_is_reached_here() -> None:
    assert reachable("0.0.0.0") == "127.0.0.1"
    assert reachable("127.0.0.1") == "127.0.0.1"


def test_the_examples_may_be_registered_unless_other_folders_are_named(tmp_path: Path) -> None:
    assert with_examples(Settings()).model_roots == [EXAMPLES]
    assert with_examples(Settings(model_roots=[tmp_path])).model_roots == [tmp_path]


@pytest.mark.parametrize("mlflow_port", [None, 5000])
def test_a_stack_goes_without_the_pages_of_mlflow_where_nobody_wants_them(root: Path, mlflow_port: int | None) -> None:
    plan = Plan(
        Settings(),
        root=root,
        python=sys.executable,
        definition=Definition.read(root, VARIABLES),
        prefect_port=4200,
        mlflow_port=mlflow_port,
        started_at=0.0,
    )
    names = [part.name for part in plan.parts(["cpu"])]
    assert names == [
        "database",
        "prefect",
        "api",
        "deployments",
        "worker-cpu",
        "worker-submission",
        *(["mlflow"] if mlflow_port else []),
    ]


def test_a_home_is_closed_to_others(tmp_path: Path) -> None:
    made, found = tmp_path / "made", tmp_path / "found"
    found.mkdir(mode=0o755)
    for path in (made, found):
        Home(path).release()
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    made.chmod(0o755)
    Home(made).release()
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_folder_that_holds_other_things_keeps_its_mode(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "letter.txt").touch()
    Home(tmp_path).release()
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_home_is_held_by_one(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.write_record({"urls": {"api": "http://127.0.0.1:8000"}})
    with pytest.raises(ConfigurationError, match=rf"process {os.getpid()}.*http://127\.0\.0\.1:8000"):
        Home(tmp_path)
    home.release()
    Home(tmp_path).release()


def test_a_home_that_is_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    with pytest.raises(ConfigurationError, match="--home"):
        Home(path)


def start(home: Path, script: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"AFINADOR_HOME": str(home)}
    return subprocess.Popen([sys.executable, "-c", script], env=environment, start_new_session=True)


def test_leftovers_of_this_home_are_ended_and_no_others(tmp_path: Path) -> None:
    ours, theirs = (
        start(tmp_path, "import time; time.sleep(60)"),
        start(tmp_path / "other", "import time; time.sleep(60)"),
    )
    home = Home(tmp_path)
    try:
        home.write_record({"groups": [Group.of(ours.pid).to_json(), Group.of(theirs.pid).to_json()]})
        assert home.end_leftovers() == 1
        assert ours.wait(5) != 0
        assert theirs.poll() is None
    finally:
        home.release()
        theirs.kill()
        theirs.wait()


def test_members_of_a_group_outlive_its_leader(tmp_path: Path) -> None:
    child = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    leader = start(tmp_path, child)
    group = Group.of(leader.pid)
    end = time.monotonic() + 10
    while len(group.members()) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    leader.kill()
    leader.wait()
    assert [process.name() for process in group.members()] == ["sleep"]
    processes.end(group.members(), grace_seconds=5)
    assert group.members() == []


def test_a_process_deaf_to_sigterm_is_killed(tmp_path: Path) -> None:
    script = "import signal, sys, time; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w'); time.sleep(60)"
    ready = tmp_path / "ready"
    deaf = subprocess.Popen([sys.executable, "-c", script, str(ready)], start_new_session=True)
    while not ready.exists():
        time.sleep(0.02)
    processes.end(Group.of(deaf.pid).members(), grace_seconds=0.3)
    assert deaf.wait(5) == -9


def test_the_delay_doubles_up_to_half_a_minute() -> None:
    assert [backoff_seconds(deaths) for deaths in (1, 2, 3, 7, 50)] == [0.5, 1, 2, 30, 30]


def wait_for_change(part: Part) -> str:
    end = time.monotonic() + 10
    while (change := part.look()) is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return change


def test_a_step_is_ready_once_it_has_ended_well(tmp_path: Path) -> None:
    part = Part("step", "Step", [sys.executable, "-c", "print('done')"], tmp_path)
    part.start(dict(os.environ), tmp_path)
    assert wait_for_change(part) == "ready"
    assert (tmp_path / "step.log").read_text() == "done\n"
    assert part.process_id is None


def test_a_part_that_dies_waits_longer_each_time_and_keeps_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such port')"]
    part = Part("api", "API", command, tmp_path, answers=lambda: False)
    delays = []
    for _ in range(2):
        part.start(dict(os.environ), tmp_path)
        assert wait_for_change(part) == "died"
        assert not part.may_start()
        delays.append(part.delay_seconds)
    assert delays == [0.5, 1.0]
    assert part.exit_code() == 1
    assert "no such port" in part.last_words()


def test_a_step_with_nothing_to_do_is_skipped(tmp_path: Path) -> None:
    part = Part("step", "Step", ["/no/such/program"], tmp_path, skip=lambda: True)
    part.start({}, tmp_path)
    assert part.phase == "ready"


def test_prefect_yaml_is_filled_in(root: Path) -> None:
    definition = Definition.read(root, VARIABLES)
    assert {pool["name"]: int(pool["concurrency_limit"]) for pool in definition.work_pools} == {
        "gpu": 2,
        "cpu": 3,
        "housekeeping": 1,
        "submission": 4,
    }
    variables = definition.deployments[0]["work_pool"]["job_variables"]
    assert variables == {"command": "/venv/bin/python -m prefect.engine", "working_dir": "/app", "stream_output": False}


def test_the_digest_changes_with_what_is_deployed(root: Path) -> None:
    first = Definition.read(root, VARIABLES).digest
    assert Definition.read(root, VARIABLES).digest == first
    assert Definition.read(root, VARIABLES | {"AFINADOR_GPUS": "1"}).digest != first
    assert Definition.read(root, VARIABLES | {"AFINADOR_CPU_SLOTS": "1"}).digest != first


def test_a_missing_variable_is_named(root: Path) -> None:
    with pytest.raises(ConfigurationError, match="AFINADOR_"):
        Definition.read(root, {})


def test_a_folder_without_prefect_yaml_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"prefect\.yaml cannot be read"):
        Definition.read(tmp_path, VARIABLES)
