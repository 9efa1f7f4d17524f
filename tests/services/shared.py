"""A server that several users share: MLflow with passwords, on PostgreSQL, its files in S3."""

import base64
import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from research.tracking.server import _answers
from tests.services.started import end, find, free_port, running, wait_for

ADMIN = ("admin", "administers-this-server")
USERS = {"ada": "ada-s-long-password", "bob": "bob-s-long-password"}

AUTH = """\
[mlflow]
default_permission = READ
database_uri = {database}
admin_username = {name}
admin_password = {password}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@dataclass
class Server:
    """MLflow's server, which a test may kill and start again.

    Attributes:
        uri: its address.
    """

    uri: str
    command: list[str]
    env: dict[str, str]
    log: Path
    running: ExitStack = field(default_factory=ExitStack)

    def start(self) -> None:
        self.process = self.running.enter_context(running(self.command, self.log, self.env))
        wait_for(lambda: _answers(f"{self.uri}/health"), "MLflow's server", self.log)

    def kill(self) -> None:
        end(self.process)


@contextmanager
def server(folder: Path) -> Iterator[Server]:
    """The whole, all on the loopback, with two users."""
    [moto] = find("moto_server", hint="uv tool install 'moto[server]'").values()
    folder.mkdir(exist_ok=True)
    s3 = f"http://127.0.0.1:{free_port()}"
    port = free_port()
    with ExitStack() as stack:
        database = stack.enter_context(postgres(folder / "postgres.log"))
        log = folder / "moto.log"
        stack.enter_context(running([moto, "-H", "127.0.0.1", "-p", s3.rpartition(":")[2]], log))
        wait_for(lambda: _answers(f"{s3}/moto-api/"), "moto", log)
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
        _make_bucket(s3, keys)
        auth = folder / "auth.ini"
        name, password = ADMIN
        auth.write_text(AUTH.format(database=f"{database}/auth", name=name, password=password))
        command = [sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth"]
        command += ["--backend-store-uri", f"{database}/mlflow", "--serve-artifacts"]
        command += ["--artifacts-destination", "s3://runs/artifacts"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
        # a worker that a busy machine keeps waiting for five seconds would be ended
        command += ["--uvicorn-opts", "--timeout-worker-healthcheck 120"]
        env = os.environ | keys | {
            "MLFLOW_AUTH_CONFIG_PATH": str(auth), "MLFLOW_FLASK_SERVER_SECRET_KEY": "of this test",
            "MLFLOW_S3_ENDPOINT_URL": s3, "AWS_DEFAULT_REGION": "us-east-1",
            "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }  # fmt: skip
        mlflow = Server(f"http://127.0.0.1:{port}", command, env, folder / "mlflow.log")
        stack.enter_context(mlflow.running)
        mlflow.start()
        for user, secret in USERS.items():
            _make_user(mlflow.uri, user, secret)
        yield mlflow


@contextmanager
def postgres(log: Path) -> Iterator[str]:
    """The address of a fresh PostgreSQL with the databases `mlflow` and `auth`.

    Its files lie in none of pytest's folders: root's may be entered by root alone, who may not run
    it, and each pytest that starts closes them again.
    """
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda one: int(one.parent.name))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", os.pathsep.join([*map(str, newest[-1:]), os.environ["PATH"]]))
        hint = "Debian's postgresql"
        initdb, postgres, psql = find("initdb", "postgres", "psql", hint=hint).values()
    with tempfile.TemporaryDirectory(prefix="postgres-", ignore_cleanup_errors=True) as own:
        folder = Path(own)
        as_user = _as_ordinary_user(folder)
        data, port = folder / "data", free_port()
        subprocess.run(
            [*as_user, initdb, "-D", data, "-U", "mlflow", "--auth=trust", "--no-sync"],
            check=True, capture_output=True, cwd=folder,
        )  # fmt: skip
        command = [*as_user, postgres, "-D", str(data), "-p", str(port), "-h", "127.0.0.1"]
        command += ["-k", str(folder), "-c", "fsync=off"]
        with running(command, log):
            ask = [psql, "-h", "127.0.0.1", "-p", str(port), "-U", "mlflow", "-d", "postgres"]

            def asked(sql: str) -> bool:
                return subprocess.run([*ask, "-c", sql], capture_output=True).returncode == 0

            wait_for(lambda: asked("SELECT 1"), "PostgreSQL", log)
            assert asked("CREATE DATABASE mlflow") and asked("CREATE DATABASE auth")
            yield f"postgresql://mlflow@127.0.0.1:{port}"


def _as_ordinary_user(folder: Path) -> list[str]:
    """What is put before a command that root may not run, and the folder made that user's."""
    if os.getuid():
        return []
    setpriv = shutil.which("setpriv") or pytest.skip("needs setpriv (Debian's util-linux)")
    name = next(one.pw_name for one in pwd.getpwall() if one.pw_name in ("postgres", "nobody"))
    user = pwd.getpwnam(name)
    os.chown(folder, user.pw_uid, user.pw_gid)
    return [
        setpriv, "--pdeathsig", "TERM",  # once more: another user's process has forgotten it
        f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
    ]  # fmt: skip


def _make_bucket(s3: str, keys: dict[str, str]) -> None:
    import boto3  # type: ignore[import-untyped]

    names = {
        "aws_access_key_id": "AWS_ACCESS_KEY_ID",
        "aws_secret_access_key": "AWS_SECRET_ACCESS_KEY",
    }
    given = {name: keys[key] for name, key in names.items()}
    boto3.client("s3", endpoint_url=s3, region_name="us-east-1", **given).create_bucket(
        Bucket="runs"
    )


def _make_user(uri: str, name: str, password: str) -> None:
    request = urllib.request.Request(
        f"{uri}/api/2.0/mlflow/users/create",
        json.dumps({"username": name, "password": password}).encode(),
        {"Content-Type": "application/json", "Authorization": authorization(*ADMIN)},
    )
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with directly.open(request, timeout=60) as reply:
        assert reply.status == 200


def authorization(name: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}"
