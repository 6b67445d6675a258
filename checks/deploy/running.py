"""The image at work: a worker in a container, on a stand outside of it."""

import json
import os
import statistics
import sys
import time

from container import MEMORY_MIB, Container
from tools import daemon_of, run

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from stand import Stand, call, done, eventually, free_port  # noqa: E402

CONFIG = "/etc/tidewire/tidewire.toml"
READINGS, STARTS = 500, 7
# Kubernetes and ECS are given more; the setting that our own drain keeps to is 25 s.
GRACE_S = 25


def run_as_worker(image):
    """What is wrong with it where it runs; says how long it takes to start and to stop."""
    stand = Stand(daemon_of(os.environ))
    try:
        with open(stand.card["config"], encoding="utf-8") as file:
            config = file.read()
        wrong = without_settings(image) + works(image, stand, config)
        starts = [seconds_to_ready(image, config) for _ in range(STARTS)]
        print(f"from start to ready: {statistics.median(starts):.2f} s (median of {STARTS}, {min(starts):.2f} to {max(starts):.2f}; "
              "runc's own start is in it)")
        return wrong
    finally:
        stand.close()


def settings(port):
    return {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local", "TIDEWIRE_HTTP__LISTEN": f"127.0.0.1:{port}",
            "TIDEWIRE_LOG__FORMAT": "json"}


def ready(port):
    return call(f"http://127.0.0.1:{port}/readyz")[0] == 200


def without_settings(image):
    """It names what is missing and ends."""
    container = Container(image, ["worker"])
    try:
        container.start()
        code = container.process.wait(20)
        said = container.said().strip()
        print(f"without settings: exit {code}: {said.splitlines()[-1][:150] if said else ''}")
        return [] if code not in (0, 137) and "source.stream" in said else [f"without settings it ends with {code}: {said[-300:]}"]
    finally:
        container.close()


def works(image, stand, config):
    """Readings are stored, it is well by its own word, and SIGTERM drains it."""
    port = free_port()
    container = Container(image, ["worker", "--config", CONFIG], settings(port), [(CONFIG, config)])
    wrong = []
    try:
        container.start()
        eventually("the worker in the container is ready", lambda: ready(port))
        stand.feed({"device_id": f"d{n % 7}", "temperature": n, "ts": int(time.time() * 1000) - n} for n in range(READINGS))
        state = lambda: json.loads(call(f"http://127.0.0.1:{port}/state")[1])  # noqa: E731
        eventually(f"{READINGS} readings are stored", lambda: done(state, READINGS))
        code, said = container.exec("/usr/local/bin/tidewire", "health")
        if code != 0:
            wrong.append(f"`tidewire health` says {code}: {said}")
        code, seconds = container.stop(GRACE_S)
        print(f"worker under {MEMORY_MIB} MiB, read-only, no capabilities: {READINGS} readings stored, healthy; SIGTERM: exit {code} after {seconds:.2f} s")
        if code != 0:
            wrong.append(f"SIGTERM ends it with {code}: {container.said()[-600:]}")
        owned, begun = leases(stand)
        print(f"after it: {owned} leases owned, {begun} with a checkpoint in their shard")
        if owned or not begun:
            wrong.append(f"after SIGTERM {owned} leases are still owned, and {begun} have a checkpoint")
        return wrong
    finally:
        container.close()


def leases(stand):
    """How many leases have an owner, and how many a checkpoint after their shard's beginning."""
    said = run([stand.daemon, "leases", "--config", stand.card["config"], "list", "--json"])
    rows = json.loads(said.stdout)["leases"]
    return sum(row["owner"] is not None for row in rows), sum(row["checkpoint"].isdigit() for row in rows)


def seconds_to_ready(image, config):
    port = free_port()
    container = Container(image, ["worker", "--config", CONFIG], settings(port), [(CONFIG, config)])
    try:
        begun = container.start()
        deadline = begun + 60
        while time.monotonic() < deadline:
            try:
                if ready(port):
                    return time.monotonic() - begun
            except OSError:
                pass
            time.sleep(0.005)
        sys.exit(f"the worker is not ready within 60 s: {container.said()[-600:]}")
    finally:
        container.stop(GRACE_S)
        container.close()
