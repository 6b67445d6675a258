"""A local stand, workers on it, and means to look at what they did; Python's own library only."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def cannot(why):
    """This check cannot run here: says so, and is neither green nor red."""
    print(f"cannot run: {why}", file=sys.stderr)
    sys.exit(3)


def build():
    """The daemon, unoptimised, as the tests have it; answers its path."""
    cargo = ["cargo", "build", "--locked", "--bin", "tidewire"]
    if subprocess.run(cargo, cwd=ROOT).returncode != 0:
        sys.exit("the daemon does not build")
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "debug", "tidewire")


def program(package, binary):
    """A program: one that is installed, or Debian's package unpacked beside the build."""
    found = shutil.which(binary)
    if found:
        return found
    place = os.path.join(ROOT, "target", "peers", package)
    path = os.path.join(place, "usr", "bin", binary)
    if os.path.exists(path):
        return path
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        cannot(f"{binary} is not installed, and there is no apt-get to bring it")
    os.makedirs(place, exist_ok=True)
    download = ["apt-get", "download", package]
    got = subprocess.run(download, cwd=place, capture_output=True, text=True)
    if got.returncode != 0:
        # A fresh container has no lists of packages.
        subprocess.run(["apt-get", "update"], capture_output=True)
        got = subprocess.run(download, cwd=place, capture_output=True, text=True)
    files = [name for name in os.listdir(place) if name.endswith(".deb")]
    if got.returncode != 0 or not files:
        cannot(f"apt-get download {package} failed: {got.stderr.strip()[-300:]}")
    subprocess.run(["dpkg", "-x", os.path.join(place, files[0]), place], check=True)
    if not os.path.exists(path):
        cannot(f"{package} has no {binary}")
    return path


def call(url, method="GET", body=None, headers=None):
    """Status and text of an answer, whatever its status."""
    data = body.encode() if isinstance(body, str) else body
    request = urllib.request.Request(url, data=data, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def eventually(what, look, seconds=120):
    """The first answer of `look` that is true."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            found = look()
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            found = None
        if found:
            return found
        time.sleep(0.2)
    sys.exit(f"not within {seconds} s: {what}")


class Stand:
    """`tidewire local`, by default without devices and workers; ends with the script."""

    def __init__(self, daemon, shards=2, devices=0, more=(), workers=0):
        self.daemon = daemon
        self.place = tempfile.TemporaryDirectory()
        self.processes = []
        env = dict(os.environ, XDG_STATE_HOME=self.place.name)
        arguments = ["local", "--json", "--port-base", "0", "--devices", str(devices)]
        arguments += ["--workers", str(workers), "--shards", str(shards), *more]
        stand = self.start(arguments, env, stdout=subprocess.PIPE)
        self.card = json.loads(stand.stdout.readline())

    def state(self):
        """What gives the state of the stand's own services."""
        root = "/".join(self.card["metrics"][0].split("/")[:3])
        return lambda: json.loads(call(f"{root}/state")[1])

    def start(self, arguments, env=None, **more):
        log = open(os.path.join(self.place.name, f"{len(self.processes)}.log"), "w")
        process = subprocess.Popen([self.daemon, *arguments], env=env, stderr=log, **more)
        process.log = log.name
        self.processes.append(process)
        return process

    def worker(self, settings, port=None):
        """A worker with these settings besides the stand's; answers what gives its state."""
        port = port or free_port()
        env = dict(os.environ, TIDEWIRE_HTTP__LISTEN=f"127.0.0.1:{port}")
        env.update({f"TIDEWIRE_{key}": value for key, value in settings.items()})
        self.start(["worker", "--config", self.card["config"]], env)
        state = lambda: json.loads(call(f"http://127.0.0.1:{port}/state")[1])
        eventually("the worker answers", state)
        return state

    def feed(self, readings, rate=None):
        lines = "".join(json.dumps(reading) + "\n" for reading in readings)
        arguments = [self.daemon, "feed", "--config", self.card["config"], "-"]
        if rate:
            arguments += ["--rate", str(rate)]
        subprocess.run(arguments, input=lines.encode(), check=True, stderr=subprocess.DEVNULL)

    def fault(self, server, switches):
        root = "/".join(self.card[server].split("/")[:3])
        call(f"{root}/_local/faults", "DELETE")
        if switches:
            call(f"{root}/_local/faults", "PUT", json.dumps(switches))

    def letters(self):
        queue = self.card["dead_letter_queue_url"].rsplit("/", 1)[1]
        root = "/".join(self.card["sqs"].split("/")[:3])
        text = call(f"{root}/_local/peek?queue={queue}&limit=10000")[1]
        return [json.loads(message["body"]) for message in json.loads(text)["messages"]]

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
        self.place.cleanup()


def free_port():
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def done(state, count):
    """Whether every sink's book says that so many readings are done."""
    sinks = state()["readings"]["sinks"].values()
    books = [sink["book"] for sink in sinks]
    return books and all(book["read"] == count and book["in_flight"] == 0 for book in books)
