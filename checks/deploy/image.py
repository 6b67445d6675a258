"""Builds the image by the Dockerfile, on stand-ins for its bases, and looks into what came of it."""

import gzip
import os
import re
import shutil
import struct
import subprocess
import sys

from bases import buildah, building, runtime
from container import configuration
from tools import PLACE, ROOT, cannot, program, python_with, run

BINARY, LIST = "usr/local/bin/tidewire", "usr/share/sbom/tidewire.cdx.json"
# The tools that the Dockerfile installs, pinned there.
TOOLS = re.compile(r"cargo-(?:auditable|cyclonedx)@[0-9.]+")
BITES = [
    ("root", "USER 65532:65532", "USER 0:0"),
    ("a user by name", "USER 65532:65532", "USER nonroot"),
    ("a shell around the entry point", 'ENTRYPOINT ["/usr/local/bin/tidewire"]', "ENTRYPOINT /usr/local/bin/tidewire"),
    ("no signal to drain by", "STOPSIGNAL SIGTERM", "STOPSIGNAL SIGKILL"),
    ("a check by a tool that is not there", 'CMD ["/usr/local/bin/tidewire", "health"]', "CMD curl -f localhost:9090/livez"),
    ("no list of crates", "COPY --from=build /out/tidewire.cdx.json /usr/share/sbom/tidewire.cdx.json\n", ""),
    ("another program for the daemon", "COPY --from=build /out/tidewire /usr", "COPY --from=build /out/tidewire.cdx.json /usr"),
    ("more than the daemon", "EXPOSE 9090", "COPY Cargo.toml /\nEXPOSE 9090"),
]
ELF_MACHINE = {"amd64": 62, "arm64": 183}


def compiled():
    """A folder with the binary and its list, made by the same script as in the Dockerfile, outside of it."""
    named = os.environ.get("TIDEWIRE_IMAGE_OUT")
    if named:
        return os.path.abspath(named)
    tools, out = os.path.join(PLACE, "cargo"), os.path.join(PLACE, "image", "out")
    environment = dict(os.environ, OUT=out, PATH=f"{tools}/bin:{os.environ['PATH']}")
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        wanted = TOOLS.findall(file.read())
    install = ["cargo", "install", "--locked", "--quiet", "--root", tools, *wanted]
    if len(wanted) != 2 or subprocess.run(install, cwd=ROOT).returncode != 0:
        cannot(f"cargo could not install {wanted}")
    for what in ("list", "compile"):
        if subprocess.run([os.path.join(ROOT, "deploy", "image", "build"), what], cwd=ROOT, env=environment).returncode != 0:
            sys.exit(f"deploy/image/build {what} failed")
    return out


def build(arch, whole, dockerfile=None, out=None):
    """The image's name, and the folder that its base was made of."""
    name = f"localhost/tidewire-checked:{arch}{'-whole' if whole else ''}"
    base = runtime(arch)
    command = ["build", "--isolation", "chroot", "--pull-never", "--format", "docker", "--platform", f"linux/{arch}",
               "--file", dockerfile or os.path.join(ROOT, "Dockerfile")]
    if whole:
        building("amd64")
        # Whoever this machine trusts, the build may: registries may be mirrored. BuildKit sets BUILDPLATFORM itself;
        # Buildah 1.28 does not, and looks for the second base by the platform of the first, so one is built at a time.
        log = buildah(*command, "--build-arg", "COMMIT=checked", "--build-arg", "BUILDPLATFORM=linux/amd64", "--target", "build",
                      "--volume", "/etc/ssl/certs:/etc/ssl/certs:ro", "--tag", f"{name}-build", ROOT)
        with open(os.path.join(PLACE, "image.log"), "w", encoding="utf-8") as file:
            file.write(log)
        container = buildah("from", "--pull-never", f"{name}-build")
        out = os.path.join(buildah("mount", container), "out")
    # In place of the first stage: what it has in /out.
    context = os.path.join(PLACE, "image", "context")
    shutil.rmtree(context, ignore_errors=True)
    shutil.copytree(out or compiled(), os.path.join(context, "out"))
    if whole:
        buildah("rm", container)
    buildah(*command, "--build-context", f"build={context}", "--target", "run", "--tag", name, ROOT)
    # What carries no name any more: bases of earlier runs, and images that were built anew.
    buildah("rmi", "--prune", check=False)
    return name, base


def looked_into(image, base, arch, say=print):
    """What is wrong with the image as it lies there; says how large it is."""
    wrong = []
    said = configuration(image)

    def so(what, is_so):
        if not is_so:
            wrong.append(f"not so: {what}")

    so("its user is a number other than root's", re.fullmatch(r"[1-9]\d*:[1-9]\d*", said.get("User", "")))
    so("its entry point is the binary alone, without a shell", said.get("Entrypoint") == [f"/{BINARY}"])
    so("it is stopped by SIGTERM", said.get("StopSignal") == "SIGTERM")
    so("it asks itself whether it is well", said.get("Healthcheck", {}).get("Test") == ["CMD", f"/{BINARY}", "health"])
    so(f"it is for {arch}", said["Architecture"] == arch)
    so("the port of metrics is named", "9090/tcp" in said.get("ExposedPorts", {}))
    container = buildah("from", "--pull-never", image)
    try:
        root = buildah("mount", container)
        added = sorted(set(files(root)) - set(files(base)))
        so(f"it adds the binary and its list to the base, and no more ({added})", added == [BINARY, LIST])
        if added == [BINARY, LIST]:
            wrong += binary(os.path.join(root, BINARY), root, arch, say) + listed(root, say)
            say(f"image for {arch}: user {said['User']}, {megabytes(root, files(root))} MB, of it the binary "
                  f"{megabytes(root, [BINARY])} MB ({compressed(os.path.join(root, BINARY))} MB compressed)")
    finally:
        buildah("rm", container)
    return wrong


def files(root):
    for folder, _, names in os.walk(root):
        for name in names:
            yield os.path.relpath(os.path.join(folder, name), root)


def megabytes(root, names):
    return f"{sum(os.lstat(os.path.join(root, name)).st_size for name in names) / 1e6:.1f}"


def compressed(path):
    with open(path, "rb") as file:
        return f"{len(gzip.compress(file.read(), 6)) / 1e6:.1f}"


def binary(path, root, arch, say):
    """Is it for this machine, does it start, and does every library that it wants lie in the image?"""
    with open(path, "rb") as file:
        head = file.read(20)
    wrong = []
    machine = struct.unpack_from("<H", head, 18)[0]
    if machine != ELF_MACHINE[arch]:
        wrong.append(f"the binary is for machine {machine}, not {ELF_MACHINE[arch]} ({arch})")
    starter = ["chroot", root, f"/{BINARY}"]
    if arch == "arm64":
        starter = [program("qemu-aarch64-static", "apt-get install qemu-user-static"), "-L", root, path]
    said = run([*starter, "--version"])
    say(f"says of itself: {said.stdout.strip() or said.stderr.strip()[-300:]}")
    if said.returncode != 0 or "tidewire" not in said.stdout:
        wrong.append(f"it does not start in the image: {said.stderr.strip()[-300:]}")
    return wrong


def listed(root, say):
    """Is the list CycloneDX, and does it name the crates that are in the binary?"""
    python = python_with("bom", ["cyclonedx-python-lib[json-validation]==11.12.0", "pyelftools==0.33"])
    script = os.path.join(ROOT, "checks", "deploy", "bom.py")
    said = run([python, script, os.path.join(root, BINARY), os.path.join(root, LIST)])
    say(said.stdout.strip())
    return [line for line in said.stderr.strip().splitlines() if line] if said.returncode else []


def planted():
    """Faults in the Dockerfile, one after the other: is each found? Answers the exit code."""
    out = compiled()
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        whole = file.read()
    missed = 0
    for what, old, new in BITES:
        if whole.count(old) != 1:
            print(f"MISSED: {what}: the Dockerfile has no longer one `{old}`", file=sys.stderr)
            missed += 1
            continue
        path = os.path.join(PLACE, "Dockerfile.bitten")
        with open(path, "w", encoding="utf-8") as file:
            file.write(whole.replace(old, new))
        image, base = build("amd64", False, path, out)
        wrong = looked_into(image, base, "amd64", lambda _: None)
        print(f"{'found' if wrong else 'MISSED'}: {what}: {wrong[0][:160] if wrong else ''}")
        missed += not wrong
    return 1 if missed else 0
