"""Build and sign a release: `make release VERSION=0.2.0 KEY=~/.ssh/id_ed25519`.

It sets the version, closes the changelog's section, builds wheel, sdist, bill of materials and
constraints in `dist/VERSION`, writes SHA256SUMS and signs it with the releaser's key, commits and
tags. Nothing is pushed. If a step fails, the checkout is as before. docs/release.md describes how
to verify and install the result.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from churn.reports.bill_of_materials import read_bill_of_materials

PROJECT = Path(__file__).resolve().parent.parent
CHANGELOG = "CHANGELOG.md"
UNRELEASED = "## Unreleased\n"
SECTION = re.compile(rf"^{UNRELEASED}(?P<text>.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
# Where the version is written, as a group between what is before and after it.
VERSIONS = {
    "pyproject.toml": r'(?m)^(version = ")([^"]+)(")$',
    "uv.lock": r'(?m)^(name = "telco-churn"\nversion = ")([^"]+)(")$',
    "dbt_project.yml": r"(?m)^(version: )(\S+)()$",
    "docker/helm/churn/Chart.yaml": r"(?m)^(version: )(\S+)()$",
}
CHANGED = [*VERSIONS, CHANGELOG]
SUMS = "SHA256SUMS"
# What the signature is for; a verifier names the same, so that it is valid for nothing else.
NAMESPACE = "telco-churn"


class ReleaseError(Exception):
    """A reason why there is no release."""


@dataclass(frozen=True)
class Signer:
    """The releaser's key: a file is one of SSH, anything else names a key of GnuPG."""

    key: str

    @property
    def is_ssh(self) -> bool:
        """Return whether the key is a file."""
        return Path(self.key).expanduser().is_file()

    def sign_file(self, path: Path) -> None:
        """Write the signature beside a file, as `.sig` (SSH) or `.asc` (GnuPG)."""
        if self.is_ssh:
            key = Path(self.key).expanduser()
            run("ssh-keygen", "-Y", "sign", "-q", "-n", NAMESPACE, "-f", str(key), str(path))
        else:
            run("gpg", "--batch", "--local-user", self.key, "--armor", "--detach-sign", str(path))

    def tag(self, name: str, text: str) -> None:
        """Create a signed tag of the current commit."""
        key = str(Path(self.key).expanduser()) if self.is_ssh else self.key
        form = "ssh" if self.is_ssh else "openpgp"
        config = ["-c", f"gpg.format={form}", "-c", f"user.signingKey={key}"]
        # verbatim: lines that begin with # are headings, not comments
        command = ["tag", "--sign", "--cleanup=verbatim", "--message", f"{text}\n", name]
        run("git", *config, *command)


def run(*command: str, **environ: str) -> str:
    """Run a command in the project and return its output.

    Raises:
        ReleaseError: The command is missing or failed.
    """
    values = {**os.environ, **environ}
    try:
        answer = subprocess.run(command, cwd=PROJECT, env=values, capture_output=True, text=True)
    except FileNotFoundError as error:
        raise ReleaseError(f"{command[0]} is not installed") from error
    if answer.returncode:
        raise ReleaseError(f"`{' '.join(command)}` failed:\n{answer.stdout}{answer.stderr}")
    return answer.stdout.strip()


def read_version() -> str:
    """Return the version in pyproject.toml."""
    match = re.search(VERSIONS["pyproject.toml"], (PROJECT / "pyproject.toml").read_text())
    assert match is not None
    return match[2]


def check_request(version: str) -> None:
    """Check that the version follows the current one, and that there is something to release.

    Raises:
        ReleaseError: It does not, or the checkout has changes.
    """
    current = read_version()
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ReleaseError(f"VERSION={version} is not of the form 1.2.3")
    if [int(part) for part in version.split(".")] <= [int(part) for part in current.split(".")]:
        raise ReleaseError(f"VERSION={version} does not follow {current}")
    if run("git", "tag", "--list", f"v{version}"):
        raise ReleaseError(f"the tag v{version} exists already")
    if changes := run("git", "status", "--porcelain"):
        raise ReleaseError(f"the checkout has changes; commit them first:\n{changes}")
    if not read_changes():
        raise ReleaseError(f"{CHANGELOG} has nothing under Unreleased")


def read_changes() -> str:
    """Return the text of the changelog's section of unreleased changes."""
    match = SECTION.search((PROJECT / CHANGELOG).read_text())
    return match["text"].strip() if match else ""


def write_version(version: str, day: str) -> None:
    """Set the version in all files that have it, and make the changes those of the version.

    Raises:
        ReleaseError: A file has no version, or more than one.
    """
    for name, pattern in VERSIONS.items():
        text, count = re.subn(pattern, rf"\g<1>{version}\g<3>", (PROJECT / name).read_text())
        if count != 1:
            raise ReleaseError(f"{name} has {count} versions")
        (PROJECT / name).write_text(text)
    changelog = PROJECT / CHANGELOG
    heading = f"{UNRELEASED}\n## {version} ({day})\n"
    changelog.write_text(changelog.read_text().replace(UNRELEASED, heading, 1))


def build(folder: Path, version: str, epoch: int, image: bool) -> None:
    """Write the files of the release.

    Args:
        folder: The folder, which is created.
        version: The version, which is in the files already.
        epoch: Time that the archives contain, in seconds: who builds the tag gets the same bytes.
        image: Whether to build the stack's image as well.
    """
    folder.mkdir(parents=True)
    run("uv", "build", "--quiet", "--out-dir", str(folder), ".", SOURCE_DATE_EPOCH=str(epoch))
    (folder / ".gitignore").unlink(missing_ok=True)
    stem = folder / f"telco_churn-{version}"
    bill = read_bill_of_materials(PROJECT / "uv.lock")
    stem.with_name(f"{stem.name}.cdx.json").write_text(json.dumps(bill, indent=1) + "\n")
    constraints = ["--frozen", "--no-dev", "--no-emit-project", "--no-hashes", "--no-header"]
    listed = run("uv", "export", "--quiet", "--no-annotate", *constraints)
    stem.with_name(f"{stem.name}-constraints.txt").write_text(listed + "\n")
    if image:
        tag = f"dag-spark:{version}"
        run("docker", "build", "--quiet", "-t", tag, "-f", "docker/spark/Dockerfile", ".")
        digest = run("docker", "image", "inspect", "--format", "{{.Id}}", tag)
        (folder / "image.txt").write_text(f"{tag} {digest}\n")


def write_sums(folder: Path) -> Path:
    """Write the hashes of all files of the folder, as `sha256sum --check` reads them."""
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n"
        for path in sorted(folder.iterdir())
    ]
    sums = folder / SUMS
    sums.write_text("".join(lines))
    return sums


def release(version: str, signer: Signer, image: bool) -> Path:
    """Build, sign, commit and tag a release; return its folder.

    Raises:
        ReleaseError: There is no release, and the checkout is as before.
    """
    if not signer.key:
        raise ReleaseError("KEY names no key: the file of an SSH key, or a key of GnuPG")
    check_request(version)
    changes, epoch = read_changes(), int(time.time())
    folder = PROJECT / "dist" / version
    if folder.exists():
        raise ReleaseError(f"{folder} exists already")
    head = run("git", "rev-parse", "HEAD")
    try:
        write_version(version, time.strftime("%Y-%m-%d", time.gmtime(epoch)))
        build(folder, version, epoch, image)
        (folder / "NOTES.md").write_text(f"# {version}\n\n{changes}\n")
        signer.sign_file(write_sums(folder))
        dates = dict.fromkeys(("GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE"), f"@{epoch} +0000")
        run("git", "commit", "--quiet", "--message", f"Release {version}", *CHANGED, **dates)
        signer.tag(f"v{version}", f"Release {version}\n\n{changes}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        # The commit of a release that could not be tagged is not one.
        run("git", "reset", "--quiet", "--soft", head)
        run("git", "checkout", "--quiet", head, "--", *CHANGED)
        raise
    return folder


def main() -> None:
    """Release the version that the command line names, or say why not and exit with 1."""
    parser = argparse.ArgumentParser(description="Build and sign a release")
    parser.add_argument("version", help="the new version, such as 0.2.0")
    parser.add_argument("--key", required=True, help="file of an SSH key, or a key of GnuPG")
    parser.add_argument("--image", action="store_true", help="build the stack's image as well")
    arguments = parser.parse_args()
    try:
        folder = release(arguments.version, Signer(arguments.key), arguments.image)
    except ReleaseError as error:
        sys.exit(f"no release: {error}")
    print(*sorted(str(path.relative_to(PROJECT)) for path in folder.iterdir()), sep="\n")
    print(f"publish it with `git push --follow-tags` and the files of {folder.name}")


if __name__ == "__main__":
    main()
