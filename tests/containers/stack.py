"""docker-compose.yml whole, as podman-compose brings it up."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.containers.machine import ROOT, Machine
from tests.servers import wait_for

PROJECT = "hs"
OURS = ("api", "worker", "predictor")
SERVERS = ("postgres", "redis", "store")
FILE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@dataclass(frozen=True)
class Stack:
    """The services of one project, and how they are reached."""

    machine: Machine
    folder: Path
    port: int

    @classmethod
    def made(cls, machine: Machine, port: int) -> Stack:
        """A copy of the file with passwords of its own, that has started nothing."""
        folder = machine.folder / PROJECT
        folder.mkdir()
        shutil.copy(ROOT / "docker-compose.yml", folder)
        machine.run("make", "--file", str(ROOT / "Makefile"), "--directory", str(folder), "secrets")
        with (folder / ".env").open("a") as file:
            file.write(f"PORT={port}\n")
        return cls(machine, folder, port)

    def compose(self, *command: str) -> str:
        tool = os.environ["HEADSTART_PODMAN_COMPOSE"]
        return self.machine.run(tool, "--project-name", PROJECT, *command, cwd=self.folder)

    def up(self) -> None:
        """In the order that `depends_on` gives, which this podman cannot wait for by itself."""
        self._start(*SERVERS)
        self._start("bucket")
        wait_for(lambda: not self.state("hs_bucket_1")["Running"], seconds=60)
        assert self.state("hs_bucket_1")["ExitCode"] == 0
        self._start("api")
        self._start("worker", "predictor")

    def _start(self, *services: str, options: Sequence[str] = ()) -> None:
        self.compose("up", "--detach", "--no-build", "--no-deps", *options, *services)
        for name in self.containers(*services):
            if not name.startswith("hs_bucket"):
                self.wait_healthy(name)

    def scale(self, service: str, count: int) -> None:
        self._start(service, options=["--scale", f"{service}={count}"])

    def containers(self, *services: str) -> list[str]:
        """The names of those that there are, of any service where none is named."""
        named = self.machine.run("podman", "ps", "--all", "--format", "{{.Names}}").split()
        wanted = tuple(f"{PROJECT}_{one}_" for one in services) or (f"{PROJECT}_",)
        return sorted(one for one in named if one.startswith(wanted))

    def state(self, container: str) -> dict[str, Any]:
        said = self.machine.run("podman", "inspect", "--format", "{{json .State}}", container)
        found: dict[str, Any] = json.loads(said)
        return found

    def inside(self, container: str, *command: str) -> str:
        return self.machine.run("podman", "exec", container, *command).strip()

    def wait_healthy(self, container: str, *, seconds: float = 240) -> None:
        """By the check that the file gives it."""
        check = ("podman", "healthcheck", "run", container)
        wait_for(lambda: self.machine.succeeds(*check), seconds=seconds)

    def kill(self, container: str) -> None:
        """As a crash would, and not by podman, which then takes it for wanted; until it is back."""
        before = self.state(container)["Pid"]
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self.state(container)["Pid"] not in (0, before), seconds=60)
        self.wait_healthy(container)

    def client(self) -> httpx.Client:
        """A caller with the first key, as who runs the stack reads it."""
        key = self.inside("hs_api_1", "cat", "/data/api-key")
        headers = {"Authorization": f"Bearer {key}"}
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=120, trust_env=False
        )
