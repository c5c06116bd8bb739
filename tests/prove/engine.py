"""A container engine of the proof's own: Debian's podman, over a storage in the cache folder, without a service of any kind.

No registry of images is reached from a test machine, so a fresh Debian root (debootstrap, bookworm, its Python 3.11) is
imported under the name of the base image. Refuses to know what the image is for. Invariant: what it started is gone when it
is closed, and nothing of this machine's configuration (of pip, for one) gets into an image.
"""

from __future__ import annotations

import ast
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

BASE = "docker.io/library/python:3.11-slim-bookworm"
_PACKAGES = "ca-certificates,python3,python3-pip,python3-venv"
_TOOLS = ("podman", "crun", "debootstrap", "nsenter", "unshare")
_PIP_OPTIONS = ("cert", "default-timeout", "extra-index-url", "index-url", "proxy", "trusted-host")
# crun refuses the mix of both kinds of cgroups that some machines have; it needs none here.
_HIDE_CGROUPS = "umount -R /sys/fs/cgroup; mount -t tmpfs none /sys/fs/cgroup && exec sleep infinity"


class Engine:
    """podman in a mount namespace of its own. Use `engine()`."""

    def __init__(self, folder: Path) -> None:
        self._room = subprocess.Popen(["unshare", "--mount", "--propagation", "private", "sh", "-c", _HIDE_CGROUPS])
        self._folder = folder
        self._names: list[str] = []
        self._volumes: list[str] = []

    def command(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """One podman command. `check`: fails with what it said."""
        enter = ["nsenter", f"--target={self._room.pid}", "--mount", f"--wd={self._folder}"]
        stores = ["--root", str(self._folder / "root"), "--runroot", str(self._folder / "run")]
        kind = ["--cgroup-manager", "cgroupfs", "--runtime", "crun", "--events-backend", "none"]
        done = subprocess.run(
            [*enter, "podman", *stores, *kind, *words], capture_output=True, text=True, check=False, timeout=540
        )
        assert not check or done.returncode == 0, f"{words[:3]}: {done.stdout[-2000:]}{done.stderr[-4000:]}"
        return done

    def inspect(self, what: str) -> Any:
        return json.loads(self.command("inspect", what).stdout)[0]

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A container that lives as long as its command."""
        return self.command("run", "--rm", *_limits(), "--no-healthcheck", *words, check=check)

    def start(self, name: str, *words: str) -> None:
        """A container that goes on; its health is asked by hand, since there is no systemd to ask it."""
        self._names.append(name)
        self.command("run", "--detach", "--name", name, *_limits(), "--health-interval", "disable", *words)

    def volume(self, name: str) -> str:
        self._volumes.append(name)
        self.command("volume", "rm", "--force", name, check=False)
        return name

    def close(self) -> None:
        for name in self._names:
            self.command("rm", "--force", "--time", "1", name, check=False)
        for name in self._volumes:
            self.command("volume", "rm", "--force", name, check=False)
        self.command("image", "prune", "--force", check=False)
        self._room.kill()
        self._room.wait()


@contextmanager
def engine() -> Iterator[Engine]:
    """Skips the test, by name, where a tool is missing or we are not root."""
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing or os.geteuid() != 0:
        pytest.skip(f"needs root and the Debian packages podman, crun and debootstrap (missing: {', '.join(missing) or 'root'})")
    folder = _cache() / "containers"
    folder.mkdir(parents=True, exist_ok=True)
    opened = Engine(folder)
    try:
        if opened.command("image", "exists", BASE, check=False).returncode != 0:
            _import_base(opened, folder)
        yield opened
    finally:
        opened.close()


def build(engine: Engine, source: Path, name: str) -> str:
    """The Dockerfile of `source`, every step anew. Returns the image's name."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "pip.conf"
        text, paths = _pip_settings()
        settings.write_text(text)
        mounts = [f"--volume={settings}:/etc/pip.conf:ro", *(f"--volume={path}:{path}:ro" for path in paths)]
        options = ("--isolation=chroot", "--network=host", "--no-cache", "--layers=false", "--pull=never", "--format=docker")
        engine.command("build", *options, *mounts, f"--tag={name}", str(source))
    return name


def _cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "claude-code-proxy"


def _limits() -> tuple[str, ...]:
    """podman would raise the limits of processes and files, which not every machine allows."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return (
        "--cgroups=disabled",
        "--network=host",
        "--log-driver=k8s-file",
        f"--ulimit=nofile={files}:{files}",
        "--ulimit=nproc=4096",
    )


def _import_base(engine: Engine, folder: Path) -> None:
    """As the image it stands for: `python` and a pip that installs outside a virtual environment; no compiler."""
    with tempfile.TemporaryDirectory(dir=folder) as made:
        root = Path(made) / "root"
        words = ["debootstrap", "--variant=minbase", f"--include={_PACKAGES}", "bookworm", str(root)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:]
        (root / "usr/lib/python3.11/EXTERNALLY-MANAGED").unlink()
        (root / "usr/local/bin/python").symlink_to("/usr/bin/python3")
        (root / "etc/pip.conf").touch()  # a place for this machine's, while the image is built
        shutil.rmtree(root / "var/cache/apt")
        tarball = Path(made) / "root.tar"
        subprocess.run(["tar", "--numeric-owner", "-C", root, "-cf", tarball, "."], check=True)
        engine.command("import", str(tarball), BASE)


def _pip_settings() -> tuple[str, list[str]]:
    """(a pip.conf that says how this machine's pip reaches its registry, the certificates it names)."""
    shown = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True).stdout
    found = dict[str, str]()
    for line in sorted(shown.splitlines(), key=lambda line: line.startswith(":env:")):  # the environment wins
        name, _, value = line.partition("=")
        found[name.rpartition(".")[2]] = str(ast.literal_eval(value))
    told = {
        name: [word for word in found[name].split() if not word.startswith("file:")] for name in _PIP_OPTIONS if name in found
    }
    lines = [f"{name} = " + "\n    ".join(words) for name, words in told.items() if words]
    return "\n".join(["[global]", *lines, ""]), [word for words in told.values() for word in words if word.startswith("/")]
