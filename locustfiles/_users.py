"""Locust's side: the user that takes turns, and the events that build, start and stop a load. Every locustfile calls `install` once."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import _byhand
import _parent
import _web
import gevent
from _local import Local, Reporter
from _master import Master
from _settings import LoadSettings, told
from _work import MakeWork, Mix, Work
from _worker import Worker
from locust import User, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner
from locust.user.task import LOCUST_STATE_RUNNING

from probes.errors import ExitCode, ProbesError
from probes.system import keep_time
from probes.tokens import redact

Load = Local | Master | Worker
WAIT_VARIABLE = "LOCUST_WAIT_FOR_WORKERS_REPORT_AFTER_RAMP_UP"
"""Locust's master hears no messages while it waits for users to be reported: a second by default, too long for ours."""


class Process:
    """What this process is about: one locustfile, at most one load at a time."""

    name: str | None = None
    work: MakeWork
    environment: Environment
    load: Load | None = None


class ProbeUser(User):
    """Takes one due time after another. How many there are bounds how many requests may be in flight."""

    abstract = True

    @task
    def turns(self) -> None:
        """One due time and its request after another, until Locust asks this user to stop."""
        while self._state == LOCUST_STATE_RUNNING:  # going back to Locust after each would cost a tenth of the throughput
            load = Process.load
            if load is None or load.engine is None:
                gevent.sleep(0.1)
            else:
                load.engine.turn()


def mix(settings: LoadSettings) -> Work:
    """The calls by weight."""
    return Mix(settings.calls)


def install(name: str, work: MakeWork = mix) -> None:
    """Connects a locustfile to the machinery. Where a folder was given to -f the first file decides."""
    if Process.name is not None:
        return
    Process.name, Process.work = name, work
    keep_time()
    if told() is not None:
        _parent.attend()
    os.environ.setdefault(WAIT_VARIABLE, "0.05")
    events.init_command_line_parser.add_listener(_byhand.arguments(name))
    events.init.add_listener(_on_init)
    events.test_start.add_listener(_on_start)
    events.spawning_complete.add_listener(_each(lambda load: load.begin()))
    events.test_stopping.add_listener(_each(lambda load: load.halt()))
    events.test_stop.add_listener(_on_stop)
    events.quitting.add_listener(_on_quitting)


def _each(act: Callable[[Load], None]) -> Callable[..., None]:
    def listener(**_: Any) -> None:
        if Process.load is not None:
            act(Process.load)

    return listener


def _on_init(environment: Environment, **_: Any) -> None:
    Process.environment = environment
    runner = environment.runner
    if isinstance(runner, MasterRunner):
        runner.register_message("probes_hello", _heard(lambda load, msg: load.hello(msg.node_id, msg.data)))
        runner.register_message("probes_report", _heard(lambda load, msg: load.report(msg.node_id, msg.data)))
    elif isinstance(runner, WorkerRunner):
        runner.register_message("probes_welcome", _heard(lambda load, msg: load.welcome(msg.data)))
        runner.register_message("probes_lease", _heard(lambda load, msg: load.lease(msg.data)))
        runner.register_message("probes_stop", _heard(lambda load, _: load.stop()))
        runner.register_message("probes_finish", _heard(lambda load, msg: load.finish(msg.data["patience_s"])), concurrent=True)
    if environment.web_ui is not None:
        _web.add_tab(environment, lambda: Process.load.document() if isinstance(Process.load, Local | Master) else {})
    settings = told()
    if settings is not None and isinstance(runner, MasterRunner):
        Reporter(settings)("port", {"port": runner.server.port})


def _heard(act: Callable[[Any, Any], None]) -> Callable[..., None]:
    def listener(msg: Any, **_: Any) -> None:
        if Process.load is not None:
            act(Process.load, msg)

    return listener


def _on_start(environment: Environment, **_: Any) -> None:
    environment.process_exit_code = int(ExitCode.DONE)
    try:
        Process.load = _load(environment)
    except ProbesError as error:
        sys.stderr.write(f"{redact(str(error))}\n")
        environment.process_exit_code = int(error.exit_code)
        _leave()


def _load(environment: Environment) -> Load:
    assert Process.name is not None
    options: Any = environment.parsed_options
    worker = bool(options.worker)  # not by its runner: to one that joins a running load users are sent before its runner is made
    settings = told() or _byhand.settings(Process.name, options, worker=worker)
    if worker:
        return Worker(environment, settings, Process.work)
    if isinstance(environment.runner, MasterRunner):
        return Master(environment, settings, _leave)
    return Local(environment, settings, Process.work(settings), _leave)


def _on_stop(environment: Environment, **_: Any) -> None:
    load, Process.load = Process.load, None
    if load is None:
        return
    load.end()
    if isinstance(load, Local | Master):
        document = load.document()
        _byhand.finish(load.settings, document)
        if load.settings.by_hand and document["why"] is not None:
            sys.stderr.write(f"{document['why']}\n")
            environment.process_exit_code = int(ExitCode.GUARD)


def _on_quitting(**_: Any) -> None:
    if isinstance(Process.load, Worker):
        Process.load.depart()
    elif isinstance(Process.load, Master):
        Process.load.halt()


def _leave() -> None:
    runner: Any = Process.environment.runner
    ends = runner.quit if Process.environment.web_ui is None else runner.stop
    gevent.spawn(ends)  # called in a user's own greenlet it would wait for itself
