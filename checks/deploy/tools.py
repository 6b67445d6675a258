"""What the checks of deploy/ share: a place beside the build, a Python of their own, exit 3 with a reason."""

import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PLACE = os.path.join(ROOT, "target", "deploy-tools")


def cannot(why):
    """This check cannot run here: says so, and is neither green nor red."""
    print(f"cannot run: {why}", file=sys.stderr)
    sys.exit(3)


def program(name, remedy):
    found = shutil.which(name)
    if not found:
        cannot(f"{name} is missing: {remedy}")
    return found


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, **options)


def daemon_of(environment):
    """The daemon that the environment names, else one built now."""
    named = environment.get("TIDEWIRE_DAEMON")
    if named:
        return named
    print("building the daemon (TIDEWIRE_DAEMON would name one that is built)", file=sys.stderr, flush=True)
    if subprocess.run(["cargo", "build", "--locked", "--bin", "tidewire"], cwd=ROOT).returncode != 0:
        sys.exit("the daemon does not build")
    return os.path.join(environment.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "debug", "tidewire")


def python_with(name, packages):
    """A Python with these packages (pinned), made once; answers its path."""
    venv = os.path.join(PLACE, name)
    python, stamp = os.path.join(venv, "bin", "python"), os.path.join(venv, "packages")
    wanted = "\n".join(sorted(packages))
    if os.path.exists(stamp):
        with open(stamp, encoding="utf-8") as file:
            if file.read() == wanted:
                return python
    shutil.rmtree(venv, ignore_errors=True)
    os.makedirs(PLACE, exist_ok=True)
    made = run([sys.executable, "-m", "venv", venv])
    if made.returncode != 0:
        cannot(f"python3 has no venv ({made.stdout.strip()[-200:]}): install python3-venv")
    got = run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *packages])
    if got.returncode != 0:
        cannot(f"pip could not bring {', '.join(packages)}: {got.stderr.strip()[-400:]}")
    with open(stamp, "w", encoding="utf-8") as file:
        file.write(wanted)
    return python


def npm_archive(package, version):
    """A package of npm's as it is packed; answers the archive's path."""
    file = f"{package.removeprefix('@').replace('/', '-')}-{version}.tgz"
    path = os.path.join(PLACE, file)
    if os.path.exists(path):
        return path
    npm = program("npm", f"install Node.js with npm, which brings {package}")
    os.makedirs(PLACE, exist_ok=True)
    # Packed beside its place and moved there whole: a broken download is not taken for one.
    part = os.path.join(PLACE, f"part-{os.getpid()}")
    os.makedirs(part, exist_ok=True)
    got = run([npm, "pack", "--silent", f"{package}@{version}"], cwd=part)
    if got.returncode != 0:
        shutil.rmtree(part, ignore_errors=True)
        cannot(f"npm could not bring {package} {version}: {got.stderr.strip()[-400:]}")
    os.replace(os.path.join(part, file), path)
    shutil.rmtree(part, ignore_errors=True)
    return path
