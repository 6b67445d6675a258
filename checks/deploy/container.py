"""An image run as an orchestrator runs it: by runc, with its own user, entry point and stop signal, a root that
cannot be written, no capabilities, no new privileges, and as much memory as the manifests give. It shares the
host's network, where the embedded AWS is."""

import json
import os
import shutil
import subprocess
import tempfile
import time

from bases import CONTAINERS, buildah
from tools import program

MEMORY_MIB = 256


class Container:
    def __init__(self, image, arguments, environment=None, files=(), writable=False):
        self.runc = [program("runc", "apt-get install runc"), "--root", os.path.join(CONTAINERS, "runc")]
        self.place = tempfile.mkdtemp(prefix="tidewire-container-")
        self.name = os.path.basename(self.place)
        self.built = buildah("from", "--pull-never", image)
        self.image = configuration(image)
        root = buildah("mount", self.built)
        subprocess.run([*self.runc, "spec", "--bundle", self.place], check=True)
        path = os.path.join(self.place, "config.json")
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        user, _, group = self.image.get("User", "").partition(":")
        numbers = {"uid": int(user), "gid": int(group or 0)} if user.isdigit() else {"uid": 0, "gid": 0}
        spec["process"].update(
            terminal=False, args=[*self.image["Entrypoint"], *arguments], user=numbers, noNewPrivileges=True,
            cwd=self.image.get("WorkingDir") or "/",
            env=[*self.image.get("Env", []), *(f"{key}={value}" for key, value in (environment or {}).items())],
            capabilities={kind: [] for kind in ("bounding", "effective", "inheritable", "permitted", "ambient")})
        for number, (there, text) in enumerate(files):
            here = os.path.join(self.place, str(number))
            with open(here, "w", encoding="utf-8") as file:
                file.write(text)
            spec["mounts"].append({"destination": there, "type": "bind", "source": here, "options": ["bind", "ro"]})
        spec["root"] = {"path": root, "readonly": not writable}
        spec["linux"]["namespaces"] = [one for one in spec["linux"]["namespaces"] if one["type"] != "network"]
        spec["linux"].setdefault("resources", {})["memory"] = {"limit": MEMORY_MIB * 1024 * 1024}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        self.log = os.path.join(self.place, "log")
        self.process = None

    def start(self):
        """Starts it; answers when, by a clock that only goes forward."""
        begun = time.monotonic()
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([*self.runc, "run", "--bundle", self.place, self.name], stdout=log, stderr=log)
        return begun

    def exec(self, *command):
        """A command in it, as a health check is run; answers its exit code and what it said."""
        done = subprocess.run([*self.runc, "exec", "--cap", "", self.name, *command], capture_output=True, text=True, timeout=30)
        return done.returncode, (done.stdout + done.stderr).strip()

    def stop(self, seconds):
        """The image's stop signal; answers the exit code and the seconds it took, or no code after so many."""
        begun = time.monotonic()
        subprocess.run([*self.runc, "kill", self.name, self.image.get("StopSignal", "SIGTERM")], check=True)
        try:
            return self.process.wait(seconds), time.monotonic() - begun
        except subprocess.TimeoutExpired:
            return None, time.monotonic() - begun

    def said(self):
        with open(self.log, encoding="utf-8") as file:
            return file.read()

    def close(self):
        subprocess.run([*self.runc, "delete", "--force", self.name], capture_output=True)
        if self.process:
            self.process.wait(20)
        buildah("rm", self.built)
        shutil.rmtree(self.place, ignore_errors=True)


def configuration(image):
    """What the image says of itself, with its architecture."""
    said = json.loads(buildah("inspect", "--type", "image", image))["Docker"]
    return said["config"] | {"Architecture": said["architecture"]}
