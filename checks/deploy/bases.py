"""Stand-ins for the bases of the Dockerfile, where no registry of images is at hand: made of the Debian packages
that the real ones are made of, and tagged with their names. What is built on them is built by the Dockerfile as it
stands; what they cannot show is a change that the makers of the real bases made."""

import os
import re
import shutil
import subprocess

from tools import PLACE, ROOT, cannot, program, run

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
MIRROR = os.environ.get("TIDEWIRE_DEBIAN_MIRROR", "http://deb.debian.org/debian")
# What gcr.io/distroless/cc-debian12 lists as its packages.
RUNTIME = ["base-files", "ca-certificates", "gcc-12-base", "libc6", "libgcc-s1", "libgomp1", "libssl3", "libstdc++6",
           "media-types", "netbase", "tzdata"]
# What docker.io/library/rust has and we use: Debian with a C compiler; the toolchain is this machine's.
BUILDING = "ca-certificates,gcc,libc6-dev,make"
# Of that base's user.
HOME = os.path.join("/", "home", "nonroot")
CONTAINERS = os.path.join(PLACE, "containers")


def buildah(*arguments, check=True, **more):
    """One call of Buildah on storage of our own; answers what it said."""
    command = [program("buildah", "apt-get install buildah runc"), "--root", os.path.join(CONTAINERS, "root"), "--runroot",
               os.path.join(CONTAINERS, "run"), "--storage-driver", "vfs", *arguments]
    done = run(command, **more)
    if check and done.returncode != 0:
        cannot(f"buildah {arguments[0]} failed: {(done.stderr or done.stdout).strip()[-600:]}")
    return done.stdout.strip()


def stages():
    """The Dockerfile's two bases: (of the build, of what is run)."""
    with open(os.path.join(ROOT, "Dockerfile"), encoding="utf-8") as file:
        found = re.findall(r"^FROM (?:--platform=\S+ )?(\S+)", file.read(), re.M)
    if len(found) != 2:
        cannot(f"the Dockerfile has {len(found)} stages, and this check knows of two")
    return found


def apt(place, arch):
    """apt-get with lists and settings of its own, for Debian 12 and this architecture."""
    if not os.path.exists(KEYRING):
        cannot("apt-get install debian-archive-keyring: the bases are made of Debian's packages")
    for folder in ("state/lists/partial", "cache/archives/partial", "parts"):
        os.makedirs(os.path.join(place, folder), exist_ok=True)
    with open(os.path.join(place, "sources.list"), "w", encoding="utf-8") as file:
        file.write(f"deb [signed-by={KEYRING}] {MIRROR} bookworm main\n")
    open(os.path.join(place, "status"), "w").close()
    options = {"APT::Architecture": arch, "APT::Architectures": arch, "APT::Sandbox::User": "root", "Acquire::Languages": "none",
               "Dir::State": f"{place}/state", "Dir::State::status": f"{place}/status", "Dir::Cache": f"{place}/cache",
               "Dir::Etc::sourcelist": f"{place}/sources.list", "Dir::Etc::sourceparts": f"{place}/parts",
               "Dir::Etc::preferencesparts": f"{place}/parts"}
    return [program("apt-get", "the bases are made of Debian's packages"),
            *(word for key, value in options.items() for word in ("-o", f"{key}={value}"))]


def unpacked(arch):
    """A folder with the runtime's packages in it, as distroless unpacks them: no shell, no package manager."""
    place = os.path.join(PLACE, f"runtime-{arch}")
    root = os.path.join(place, "root")
    if os.path.exists(os.path.join(place, "whole")):
        return root
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(os.path.join(place, "packages"))
    get = apt(place, arch)
    for arguments in (["update", "-qq"], ["download", "-qq", *RUNTIME]):
        got = run([*get, *arguments], cwd=os.path.join(place, "packages"))
        if got.returncode != 0:
            cannot(f"apt-get {arguments[0]} failed: {got.stderr.strip()[-400:]}")
    for package in sorted(os.listdir(os.path.join(place, "packages"))):
        subprocess.run(["dpkg-deb", "-x", os.path.join(place, "packages", package), root], check=True)
    for folder in ("usr/share/doc", "usr/share/man", "usr/share/lintian", "usr/sbin"):
        shutil.rmtree(os.path.join(root, folder), ignore_errors=True)
    # What the packages' own scripts would have made.
    bundle = os.path.join(root, "etc", "ssl", "certs", "ca-certificates.crt")
    authorities = os.path.join(root, "usr", "share", "ca-certificates", "mozilla")
    with open(bundle, "w", encoding="utf-8") as file:
        for name in sorted(os.listdir(authorities)):
            with open(os.path.join(authorities, name), encoding="utf-8") as one:
                file.write(one.read())
    for file, lines in {"passwd": ["root:x:0:0:root:/root:/sbin/nologin", f"nonroot:x:65532:65532:nonroot:{HOME}:/sbin/nologin"],
                        "group": ["root:x:0:", "nonroot:x:65532:"]}.items():
        with open(os.path.join(root, "etc", file), "w", encoding="utf-8") as out:
            out.write("\n".join(lines) + "\n")
    os.makedirs(root + HOME)
    os.makedirs(os.path.join(root, "tmp"), exist_ok=True)
    os.chmod(os.path.join(root, "tmp"), 0o1777)
    open(os.path.join(place, "whole"), "w").close()
    return root


def runtime(arch):
    """Makes the base of what is run; answers its folder, to weigh the image against."""
    root = unpacked(arch)
    commit(stages()[1], root, arch, ["--user", "nonroot", "--workingdir", HOME,
                                     "--env", "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"])
    return root


def building(arch):
    """Makes the base of the build: Debian with a C compiler, and this machine's Rust where that image has its own."""
    place = os.path.join(PLACE, "building")
    root = os.path.join(place, "root")
    if not os.path.exists(os.path.join(place, "whole")):
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        got = run([program("debootstrap", "apt-get install debootstrap"), "--variant=minbase", f"--include={BUILDING}",
                   f"--keyring={KEYRING}", "bookworm", root, MIRROR])
        if got.returncode != 0:
            cannot(f"debootstrap failed: {got.stdout.strip()[-400:]}")
        toolchain = run(["rustc", "--print", "sysroot"]).stdout.strip()
        name = os.path.basename(toolchain)
        there = os.path.join(root, "usr", "local", "rustup")
        shutil.copytree(toolchain, os.path.join(there, "toolchains", name), symlinks=True, ignore=shutil.ignore_patterns("doc", "share"))
        binaries = os.path.join(root, "usr", "local", "cargo", "bin")
        os.makedirs(binaries)
        shutil.copy2(os.path.realpath(program("rustup", "install Rust with rustup")), os.path.join(binaries, "rustup"))
        for tool in ("cargo", "rustc"):
            os.symlink("rustup", os.path.join(binaries, tool))
        with open(os.path.join(there, "settings.toml"), "w", encoding="utf-8") as file:
            file.write(f'version = "12"\ndefault_toolchain = "{name}"\nprofile = "minimal"\n')
        open(os.path.join(place, "whole"), "w").close()
    commit(stages()[0], root, arch, [
        "--env", "RUSTUP_HOME=/usr/local/rustup", "--env", "CARGO_HOME=/usr/local/cargo",
        "--env", "PATH=/usr/local/cargo/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])


def commit(name, root, arch, config):
    """An image of this folder under this name."""
    # As the platform `linux/arm64` is looked up.
    variant = ["--variant", "v8"] if arch == "arm64" else []
    container = buildah("from", "--arch", arch, "scratch")
    buildah("add", "--quiet", container, root, "/")
    buildah("config", "--os", "linux", "--arch", arch, *variant, *config, container)
    buildah("commit", "--quiet", "--rm", "--format", "docker", container, name)
