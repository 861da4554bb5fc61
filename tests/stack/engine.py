"""A real Docker engine of one's own, with the stack's images, for a machine without a registry."""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from environments import called

from lakehouse.settings import PROJECT

IMAGE = "dag-spark:v1"
SUBSTITUTES = Path(__file__).with_name("stand_ins")
# The images that are replaced, and the stages of the substitutes' Dockerfile.
IMAGES = {
    "postgres:17.6-bookworm": "postgres",
    "redis:8.2-bookworm": "redis",
    "chrislusf/seaweedfs:4.48": "seaweedfs",
}
PACKAGES = "postgresql redis-server wget"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
# Tools in the image trust what the machine trusts.
TRUST = " ".join(
    f"{name}={CERTIFICATES}" for name in ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
)
MINUTES = 60


@dataclass(frozen=True)
class Engine:
    """A running engine; `tools` is the folder with the scripts that started it."""

    folder: Path
    tools: Path

    @property
    def environ(self) -> dict[str, str]:
        return {**os.environ, "DOCKER_HOST": f"unix://{self.folder}/docker.sock"}

    def call(self, *command: str | Path, minutes: float = 2, **environ: str) -> str:
        """What the command prints."""
        answer = called(command, {**self.environ, **environ}, minutes * MINUTES)
        said = f"{answer.stdout}{answer.stderr}"
        assert answer.returncode == 0, f"{' '.join(map(str, command))}\n{said[-4000:]}"
        return said

    def import_base(self, name: str, packages: str, *changes: str) -> None:
        """A minimal Debian 12 with those packages, as an image."""
        tar = self.folder / "base.tar"
        self.call("bash", self.tools / "mkbase.sh", tar, packages, minutes=8)
        told = [part for change in changes for part in ("--change", change)]
        self.call("docker", "import", *told, tar, name)
        tar.unlink()

    def build(self, tag: str, context: Path, *arguments: str | Path) -> None:
        self.call(
            *("docker", "build", "--network", "host", "-t", tag, *arguments, context), minutes=15
        )


@contextmanager
def engine(folder: Path, tools: Path) -> Iterator[Engine]:
    """Start an engine, with the project's image and substitutes for the public images."""
    made = Engine(folder, tools)
    made.call("bash", tools / "engine.sh", "up", folder, minutes=8)
    try:
        made.import_base(
            "python:3.11-slim-bookworm", "python3 python3-venv python3-pip", f"ENV {TRUST}"
        )
        made.build(IMAGE, PROJECT, "-f", PROJECT / "docker" / "spark" / "Dockerfile")
        made.import_base("debian-for-stand-ins", PACKAGES)
        context = folder / "stand_ins"
        shutil.copytree(SUBSTITUTES, context)
        shutil.copy(Path(sys.executable).with_name("weed"), context)
        for tag, stage in IMAGES.items():
            made.build(tag, context, "--target", stage)
        yield made
    finally:
        made.call("bash", tools / "engine.sh", "down", folder)
