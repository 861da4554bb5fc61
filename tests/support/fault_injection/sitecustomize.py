"""Count the commits of a command and strike before or after the n-th one.

Python imports this module when it starts, where a test has put its folder on PYTHONPATH; the
production code does not know of it. CHURN_FAULT says what to do (`faults.Fault`); it is taken out
of the environment, so that only the command itself counts, not the processes that it starts.

A commit is a call after which something is stored that was not stored before: a statement that
writes (over Connect or Thrift: a Delta commit, a call of the metastore, or both), a command that
writes to Redis, as it goes over the socket, and a renaming or removal of files below CHURN_HOME.
"""

import importlib.abc
import importlib.machinery
import json
import os
import re
import resource
import shutil
import signal
import socket
import sys
import threading
import time
from pathlib import Path

WRITES = re.compile(
    r"(create(?!( or replace)? temp)|insert|merge|alter|drop|delete|update|replace|vacuum|comment)",
    re.IGNORECASE,
)
COMMENT = re.compile(r"/\*.*?\*/|--[^\n]*", re.DOTALL)
# Names that differ from call to call.
PASSING = re.compile(r"[0-9a-f]{16,}|[0-9a-f]{8}-[0-9a-f-]{27}|\d{8}T\d{6}Z-\w+|'[^']*'|\.\d+\.")
REDIS = re.compile(rb"\*\d+\r\n\$\d+\r\n(SET|DEL|UNLINK|RENAME|HSET|HDEL|FLUSHDB)\r\n")
# What they leave in these folders decides nothing.
ASIDE = ("dbt", "dbt_compiled", "logs", "mlflow", "sample")
NEVER = 60.0


class Fault:
    """The commits so far, and the one at which to strike."""

    def __init__(self, told):
        self.home, self.log = Path(told["home"]), Path(told["log"])
        self.kind, self.at, self.when = told["kind"], told["at"], told["when"]
        self.count = 0
        self.lock = threading.RLock()
        self.inside = threading.local()

    def commit(self, kind, name, call):
        """Do what commits; a commit within another one is not counted."""
        if getattr(self.inside, "deep", False):
            return call()
        with self.lock:
            self.count += 1
            number = self.count
            with self.log.open("a") as log:
                log.write(f"{number}\t{kind}\t{PASSING.sub('…', name)}\n")
        self.inside.deep = True
        try:
            return self._struck(kind, call) if number == self.at else call()
        finally:
            self.inside.deep = False

    def _struck(self, kind, call):
        if self.when == "before":
            self.strike()
        elif self.when == "within" and kind in ("connect", "thrift"):
            threading.Thread(target=self._strike_at_log, daemon=True).start()
            time.sleep(0.01)
        result = call()
        if self.when != "before":
            self.strike()
        return result

    def _strike_at_log(self):
        """Strike once a Delta log has one more version; the metastore may be told afterwards."""
        before = self._versions()
        deadline = time.monotonic() + NEVER
        while self._versions() == before and time.monotonic() < deadline:
            time.sleep(0.001)
        self.strike()

    def _versions(self):
        return {
            entry.path
            for log in self.home.glob("lake/*/*/_delta_log")
            for entry in os.scandir(log)
            if entry.name.endswith(".json") and entry.name[0].isdigit()
        }

    def strike(self):
        """Once: let happen what is to happen."""
        with self.lock:
            if self.kind == "none":
                return
            kind, self.kind = self.kind, "none"
        with self.log.open("a") as log:
            log.write(f"struck\t{kind}\t{self.when}\n")
        if kind == "client_killed":
            os.kill(os.getpid(), signal.SIGKILL)
        service = "redis" if kind == "redis_killed" else "spark"
        try:
            server = json.loads((self.home / service / "state.json").read_text())["pid"]
            if kind == "disk_full":
                # Nought, so that a write fails whole: what lies on a full disk is not torn either.
                resource.prlimit(server, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
            else:
                os.kill(server, signal.SIGSTOP if kind == "server_hangs" else signal.SIGKILL)
        except (FileNotFoundError, ProcessLookupError):
            pass  # none runs

    def is_of_home(self, path):
        """Whether a path, or an open folder's name, lies in CHURN_HOME, and counts."""
        try:
            below = Path(os.fsdecode(path)).relative_to(self.home)
        except (TypeError, ValueError):
            return False
        return below.parts[:1] != () and below.parts[0] not in ASIDE


def words(sql):
    """The statement's first words."""
    return " ".join(COMMENT.sub(" ", sql).split())[:70]


def count_connect(fault, module):
    """Spark Connect's client."""
    client = module.SparkConnectClient
    plain = client.execute_command

    def execute_command(self, command, *arguments, **options):
        call = lambda: plain(self, command, *arguments, **options)  # noqa: E731
        kind = command.WhichOneof("command_type")
        if kind == "sql_command":
            sql = command.sql_command
            name = words(sql.input.sql.query or sql.sql)
            return fault.commit("connect", name, call) if WRITES.match(name) else call()
        if kind == "write_operation":
            table = command.write_operation.table.table_name
            return fault.commit("connect", f"append {table}", call)
        if kind == "write_operation_v2":
            return fault.commit("connect", f"replace {command.write_operation_v2.table_name}", call)
        if kind == "ml_command" and command.ml_command.WhichOneof("command") == "write":
            return fault.commit("connect", "write model", call)
        return call()

    client.execute_command = execute_command


def count_thrift(fault, module):
    """dbt's statements, over PyHive."""
    wrapper = module.PyhiveConnectionWrapper
    plain = wrapper.execute

    def execute(self, sql, *arguments, **options):
        call = lambda: plain(self, sql, *arguments, **options)  # noqa: E731
        name = words(sql)
        return fault.commit("thrift", name, call) if WRITES.match(name) else call()

    wrapper.execute = execute


def count_removals(fault, module):
    """What is removed through pyarrow, whose classes take no patches."""
    plain = module.Storage.remove

    def remove(self, info):
        call = lambda: plain(self, info)  # noqa: E731
        name = (
            Path(info.path).relative_to(fault.home / "lake") if fault.is_of_home(info.path) else ""
        )
        return fault.commit("file", f"remove {name}", call)

    module.Storage.remove = remove


def count_release(fault, module):
    """Count the emptying of the lock file, which marks the work as completed."""
    plain = module.release
    module.release = lambda lock: fault.commit("file", "empty the run lock", lambda: plain(lock))


MODULES = {
    "pyspark.sql.connect.client.core": count_connect,
    "dbt.adapters.spark.connections": count_thrift,
    "lakehouse.storage": count_removals,
    "lakehouse.run_lock": count_release,
}


class Patching(importlib.abc.MetaPathFinder):
    """Patches the modules when they are imported."""

    def __init__(self, fault):
        self.fault = fault

    def find_spec(self, name, path=None, target=None):
        """The module's own spec, whose loader patches it afterwards."""
        patch = MODULES.get(name)
        spec = importlib.machinery.PathFinder.find_spec(name, path) if patch else None
        if spec is not None:
            plain = spec.loader.exec_module

            def exec_module(module):
                plain(module)
                patch(self.fault, module)

            spec.loader.exec_module = exec_module
        return spec


def count_sockets(fault):
    """Redis: what redis-py sends and what the feature store streams past it."""
    plain = socket.socket.sendall

    def sendall(self, data, *flags):
        call = lambda: plain(self, data, *flags)  # noqa: E731
        asked = REDIS.match(bytes(data[:64]))
        return fault.commit("redis", asked.group(1).decode(), call) if asked else call()

    socket.socket.sendall = sendall


def count_files(fault):
    """Renamings, links and removals of whole folders."""
    for owner, name, place in (
        (os, "replace", 1),
        (os, "rename", 1),
        (os, "link", 1),
        (shutil, "rmtree", 0),
    ):
        setattr(owner, name, counted(fault, getattr(owner, name), name, place))


def counted(fault, plain, name, place):
    def count(*arguments, **options):
        call = lambda: plain(*arguments, **options)  # noqa: E731
        path = arguments[place] if len(arguments) > place else None
        # A folder that is not there is not removed; drafts beside it are named by process.
        if not fault.is_of_home(path) or (name == "rmtree" and not Path(path).exists()):
            return call()
        below = Path(os.fsdecode(path)).relative_to(fault.home)
        return fault.commit("file", f"{name} {below}", call)

    return count


if "CHURN_FAULT" in os.environ:
    FAULT = Fault(json.loads(os.environ.pop("CHURN_FAULT")))
    sys.meta_path.insert(0, Patching(FAULT))
    count_sockets(FAULT)
    count_files(FAULT)
