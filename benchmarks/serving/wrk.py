"""wrk as the load generator: bodies prepared beforehand, one JSON line of results."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SCRIPT = """
local requests, paths, at = {}, {}, 0
local function lines(name)
  local found = {}
  for line in io.lines(name) do found[#found + 1] = line end
  return found
end
local function read(name)
  local file = assert(io.open(name, "rb"))
  local data = file:read("*all")
  file:close()
  return data
end
function init(args)
  local folder = args[1]
  local headers = {["X-Headstart-Cache"] = read(folder .. "/cache"), ["Prefer"] = "wait=30"}
  headers["Content-Type"] = read(folder .. "/type")
  headers["Authorization"] = read(folder .. "/key")
  for _, name in ipairs(lines(folder .. "/bodies")) do
    requests[#requests + 1] = read(name)
  end
  paths = lines(folder .. "/paths")
  wrk.method, wrk.headers = "POST", headers
  math.randomseed(os.time())
  at = math.random(#paths)
end
function request()
  at = at + 1
  return wrk.format(nil, paths[at % #paths + 1], nil, requests[at % #requests + 1])
end
function done(summary, latency, r)
  local e = summary.errors
  local bad = e.connect + e.read + e.write + e.status + e.timeout
  io.write("\\nRESULT ", string.format(
    '{"requests":%d,"seconds":%.6f,"errors":%d,"p50":%.3f,"p90":%.3f,"p99":%.3f,"max":%.3f}\\n',
    summary.requests, summary.duration / 1e6, bad,
    latency:percentile(50) / 1e3, latency:percentile(90) / 1e3, latency:percentile(99) / 1e3,
    latency.max / 1e3))
end
"""


@dataclass(frozen=True)
class Load:
    """Requests that wrk repeats in turn: `bodies` of one content type over `paths`."""

    bodies: Sequence[bytes]
    content_type: str
    paths: Sequence[str]
    key: str
    cache: str = "off"


def prepare(load: Load, folder: Path) -> Path:
    """Write a load down for wrk; answers its folder."""
    folder.mkdir(parents=True)
    names = [folder / f"body-{place}" for place in range(len(load.bodies))]
    for name, body in zip(names, load.bodies, strict=True):
        name.write_bytes(body)
    (folder / "bodies").write_text("".join(f"{name}\n" for name in names))
    (folder / "paths").write_text("".join(f"{path}\n" for path in load.paths))
    (folder / "type").write_text(load.content_type)
    (folder / "key").write_text(f"Bearer {load.key}")
    (folder / "cache").write_text(load.cache)
    (folder / "load.lua").write_text(_SCRIPT)
    return folder


def run(url: str, folder: Path, *, clients: int, seconds: float) -> dict[str, Any]:
    """Requests, seconds, errors, and p50, p90, p99, max in ms; `seconds` are whole ones.

    Raises SystemExit without wrk.
    """
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is not installed (apt-get install wrk)")
    command = [wrk, "-t1", f"-c{clients}", f"-d{seconds:g}s", "--timeout", "30s"]
    script = ["-s", str(folder / "load.lua"), url, "--", str(folder)]
    done = subprocess.run([*command, *script], capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("RESULT "))
    return dict(json.loads(line.removeprefix("RESULT ")))
