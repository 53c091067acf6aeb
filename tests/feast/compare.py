#!/usr/bin/env python3
"""Feast and Auspex side by side: the same numbers, the same machine, the same run.

    python3 tests/feast/compare.py [--auspex target/release/auspex] [--venv DIR] [--feast 0.67.0] [--calls 400]

Makes a virtual environment of its own and installs Feast there (about 600 MB with what it needs), so it runs only when it
is asked for. 10,000 entities with 32 float features each; Feast serves them by HTTP from its SQLite online store with one
worker, Auspex by gRPC with `auspex bench features`. They take turns: Auspex, Feast, Auspex. What is compared first is the CPU that
the kernel counted for the server's threads per read, because it hardly depends on neighbours. Prints one JSON document.
"""

import argparse
import glob
import http.client
import json
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ENTITIES, WIDTH = 10_000, 32

SETUP = """
import numpy, pandas, sys
seed = numpy.arange({entities} * {width}, dtype=numpy.uint64)
mixed = (seed + numpy.uint64(1)) * numpy.uint64(0x9e3779b97f4a7c15)
values = ((mixed ^ (mixed >> numpy.uint64(29))) >> numpy.uint64(12)).astype(float) / float(1 << 52)
frame = pandas.DataFrame(values.reshape({entities}, {width}).astype("float32"), columns=[f"f{{n:02}}" for n in range({width})])
frame["bench_id"] = range({entities})
now = pandas.Timestamp.now("UTC").floor("s")
frame["event_timestamp"] = now - pandas.Timedelta("1h")
frame["created"] = now
frame.to_parquet("rows.parquet")
"""

DEFINITIONS = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.types import Float32
bench = Entity(name="bench_id", join_keys=["bench_id"], value_type=ValueType.INT64)
source = FileSource(path="rows.parquet", timestamp_field="event_timestamp", created_timestamp_column="created")
view = FeatureView(name="bench_view", entities=[bench], ttl=timedelta(days=365), source=source,
                   schema=[Field(name=f"f{n:02}", dtype=Float32) for n in range(32)])
service = FeatureService(name="bench-service", features=[view])
"""

STORE = """
project: bench
registry: registry.db
provider: local
online_store: {type: sqlite, path: online.db}
entity_key_serialization_version: 3
"""


def cpu(pid):
    """CPU nanoseconds of a process, its threads and its children."""
    total, open_pids = 0, [pid]
    while open_pids:
        one = open_pids.pop()
        for task in glob.glob(f"/proc/{one}/task/*"):
            try:
                total += int(pathlib.Path(task, "schedstat").read_text().split()[0])
                open_pids += map(int, pathlib.Path(task, "children").read_text().split())
            except (OSError, ValueError, IndexError):
                pass
    return total


def resident(pid):
    """Megabytes of a process and its children."""
    total, open_pids = 0, [pid]
    while open_pids:
        one = open_pids.pop()
        try:
            for line in pathlib.Path(f"/proc/{one}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1]) * 1024
            for task in glob.glob(f"/proc/{one}/task/*"):
                open_pids += map(int, pathlib.Path(task, "children").read_text().split())
        except OSError:
            pass
    return total / 1e6


def auspex(program):
    done = subprocess.run([program, "bench", "features", "--output", "json"], stdout=subprocess.PIPE, check=False)
    rows = json.loads(done.stdout)["results"]
    return {row["name"]: row["value"] for row in rows}


def feast(python, version, calls):
    feast_program = str(pathlib.Path(python).parent / "feast")
    with tempfile.TemporaryDirectory(prefix="auspex-feast-") as folder:
        pathlib.Path(folder, "feature_store.yaml").write_text(STORE)
        pathlib.Path(folder, "definitions.py").write_text(DEFINITIONS)
        subprocess.run([python, "-c", SETUP.format(entities=ENTITIES, width=WIDTH)], cwd=folder, check=True)
        quiet = {"cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
        subprocess.run([feast_program, "apply"], **quiet)
        began = time.monotonic()
        end = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 86_400))
        subprocess.run([feast_program, "materialize-incremental", end], **quiet)
        materialized = time.monotonic() - began
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        # Its workers restart after 1,000 requests unless told otherwise: that would be measured, too.
        server = subprocess.Popen(
            [feast_program, "serve", "-h", "127.0.0.1", "-p", str(port), "--workers", "1", "--no-access-log",
             "--max-requests", "10000000", "--registry_ttl_sec", "3600"],
            cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            return serve(server.pid, port, calls) | {"version": version, "materialize_seconds": round(materialized, 2)}
        finally:
            server.terminate()
            server.wait(30)


def serve(pid, port, calls):
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2)
            break
        except OSError:
            time.sleep(0.2)
    else:
        sys.exit("feast serve does not answer")
    found = {"memory_mb": round(resident(pid), 1)}
    for entities, by in [(1, "list"), (1, "service"), (50, "list"), (50, "service")]:
        count = calls if entities == 1 else max(calls // 4, 40)
        asked = {"features": [f"bench_view:f{n:02}" for n in range(WIDTH)]} if by == "list" else {
            "feature_service": "bench-service"}
        line = http.client.HTTPConnection("127.0.0.1", port)
        line.connect()
        line.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wall = []
        for call in range(count + count // 10):
            if call == count // 10:
                began = cpu(pid)
                wall.clear()
            ids = [(call * 7919 + n * 31) % ENTITIES for n in range(entities)]
            body = json.dumps(asked | {"entities": {"bench_id": ids}})
            start = time.perf_counter()
            line.request("POST", "/get-online-features", body, {"Content-Type": "application/json"})
            answer = line.getresponse()
            text = answer.read()
            wall.append(time.perf_counter() - start)
            if answer.status != 200 or (call == 0 and len(json.loads(text)["results"]) < WIDTH):
                sys.exit(f"feast answered {answer.status}: {text[:300]}")
        found[f"read_{entities}_by_{by}_cpu_ms"] = round((cpu(pid) - began) / count / 1e6, 4)
        found[f"read_{entities}_by_{by}_wall_p50_us"] = round(statistics.median(wall) * 1e6, 1)
        line.close()
    return found


def main():
    here = pathlib.Path(__file__).resolve()
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--auspex", default=str(here.parents[2] / "target/release/auspex"))
    parser.add_argument("--venv", default=str(pathlib.Path(tempfile.gettempdir()) / "auspex-feast-venv"))
    parser.add_argument("--feast", default="0.67.0")
    parser.add_argument("--calls", type=int, default=400)
    asked = parser.parse_args()
    python = pathlib.Path(asked.venv, "bin/python")
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", asked.venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", f"feast=={asked.feast}"], check=True)
    first = auspex(asked.auspex)
    other = feast(str(python), asked.feast, asked.calls)
    second = auspex(asked.auspex)
    # The worse of the two turns counts for us.
    ours = {name: max(value, second.get(name, value)) for name, value in first.items()}
    ratios = {}
    for entities in (1, 50):
        own = ours[f"read {entities} x {WIDTH} over gRPC, CPU of the server"]
        for by in ("list", "service"):
            theirs = other[f"read_{entities}_by_{by}_cpu_ms"]
            ratios[f"cpu_read_{entities}_feast_by_{by}_over_auspex"] = round(theirs / own, 1)
    memory = ours["memory of the server, 10,000 entities x 32"]
    ratios["memory_feast_over_auspex"] = round(other["memory_mb"] / memory, 1)
    print(json.dumps({"auspex": ours, "feast": other, "ratios": ratios}, indent=2))


if __name__ == "__main__":
    main()
