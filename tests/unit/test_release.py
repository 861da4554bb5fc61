"""`make release` in a copy of the checkout, with a key that is thrown away."""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from wheel import UV, build_wheel

from lakehouse.settings import PROJECT

VERSION = "99.0.0"
SIGNER = "releaser@example.org"


def call(*command: str | Path, folder: Path, code: int = 0, **environ: str) -> str:
    """What a command prints in a folder."""
    values = {**os.environ, **environ}
    answer = subprocess.run(command, cwd=folder, env=values, capture_output=True, text=True)
    assert answer.returncode == code, answer.stdout + answer.stderr
    return answer.stdout + answer.stderr


def copy_checkout(folder: Path) -> Path:
    """A repository with the files of this checkout, as they are now."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    for name in call(*listed, folder=PROJECT).splitlines():
        if (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, folder / name)
    call("git", "init", "--quiet", folder=folder)
    for setting, value in (("name", "Releaser"), ("email", SIGNER)):
        call("git", "config", f"user.{setting}", value, folder=folder)
    call("git", "add", "--all", folder=folder)
    call("git", "commit", "--quiet", "--message", "Begin", folder=folder)
    return folder


def release(project: Path, key: str | Path, version: str = VERSION, code: int = 0) -> str:
    """Call the script that `make release` calls, which builds the checkout that it is in."""
    command = [sys.executable, project / ".ci" / "release.py", version, "--key", key]
    search = f"{Path(UV).parent}:{os.environ['PATH']}"
    return call(*command, folder=project, code=code, PATH=search)


@dataclass(frozen=True)
class Released:
    """A released copy of the checkout, and the file of the signers that a verifier trusts."""

    project: Path
    signers: Path

    @property
    def folder(self) -> Path:
        return self.project / "dist" / VERSION

    @property
    def wheel(self) -> Path:
        return self.folder / f"telco_churn-{VERSION}-py3-none-any.whl"


def create_key(folder: Path) -> Path:
    key = folder / "key"
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key, folder=folder)
    return key


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Released:
    folder = tmp_path_factory.mktemp("release")
    key = create_key(folder)
    signers = folder / "allowed_signers"
    signers.write_text(f"{SIGNER} {key.with_suffix('.pub').read_text()}")
    project = copy_checkout(tmp_path_factory.mktemp("checkout"))
    release(project, key)
    return Released(project, signers)


def verify(released: Released, sums: bytes) -> int:
    """The exit code of the verification that docs/release.md describes."""
    signature = released.folder / "SHA256SUMS.sig"
    verifier = ["ssh-keygen", "-Y", "verify", "-f", released.signers, "-I", SIGNER]
    command = [*verifier, "-n", "telco-churn", "-s", signature]
    return subprocess.run(command, input=sums, capture_output=True).returncode


def test_the_signature_is_that_of_the_key_and_of_nothing_else(released: Released) -> None:
    sums = (released.folder / "SHA256SUMS").read_bytes()
    assert verify(released, sums) == 0
    assert verify(released, sums.replace(b"a", b"b", 1)) != 0


def test_every_file_has_its_checksum(released: Released) -> None:
    call("sha256sum", "--check", "--strict", "SHA256SUMS", folder=released.folder)
    lines = (released.folder / "SHA256SUMS").read_text().splitlines()
    files = {path.name for path in released.folder.iterdir()}
    assert {line.split()[1] for line in lines} == files - {"SHA256SUMS", "SHA256SUMS.sig"}
    assert {name.removeprefix(f"telco_churn-{VERSION}") for name in files} == {
        "-py3-none-any.whl",
        ".tar.gz",
        ".cdx.json",
        "-constraints.txt",
        "NOTES.md",
        "SHA256SUMS",
        "SHA256SUMS.sig",
    }


def test_the_version_is_the_same_everywhere(released: Released) -> None:
    names = ("pyproject.toml", "dbt_project.yml", "docker/helm/churn/Chart.yaml")
    for name in names:
        assert re.search(rf'(?m)^version\W+{VERSION}"?$', (released.project / name).read_text())
    metadata = zipfile.ZipFile(released.wheel).read(f"telco_churn-{VERSION}.dist-info/METADATA")
    assert f"\nVersion: {VERSION}\n".encode() in metadata
    bill = json.loads((released.folder / f"telco_churn-{VERSION}.cdx.json").read_text())
    assert bill["metadata"]["component"]["purl"] == f"pkg:pypi/telco-churn@{VERSION}"


def test_the_changes_are_those_of_the_version(released: Released) -> None:
    before = (PROJECT / "CHANGELOG.md").read_text()
    _, _, rest = before.partition("## Unreleased\n")
    changes = rest[: rest.index("\n## ")].strip()
    after = (released.project / "CHANGELOG.md").read_text()
    heading = re.escape(f"## Unreleased\n\n## {VERSION} (") + r"\d{4}-\d\d-\d\d\)\n"
    assert re.search(heading + r"\s*" + re.escape(changes), after)
    assert (released.folder / "NOTES.md").read_text() == f"# {VERSION}\n\n{changes}\n"
    tag = call("git", "cat-file", "tag", f"v{VERSION}", folder=released.project)
    assert f"\n\nRelease {VERSION}\n\n{changes}" in tag


def test_the_tag_is_signed_and_has_the_release(released: Released) -> None:
    signers = ["-c", f"gpg.ssh.allowedSignersFile={released.signers}"]
    call("git", *signers, "verify-tag", f"v{VERSION}", folder=released.project)
    assert call("git", "status", "--porcelain", folder=released.project) == ""
    subjects = call("git", "log", "--format=%s", f"v{VERSION}", folder=released.project)
    assert subjects.splitlines() == [f"Release {VERSION}", "Begin"]


def test_the_tag_builds_the_same_wheel(
    released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    when = call("git", "log", "-1", "--format=%ct", f"v{VERSION}", folder=released.project)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", when.strip())
    rebuilt = build_wheel(tmp_path, released.project).read_bytes()
    assert hashlib.sha256(rebuilt).hexdigest() in (released.folder / "SHA256SUMS").read_text()


def test_the_bill_of_materials_meets_the_schema(released: Released) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    text = (released.folder / f"telco_churn-{VERSION}.cdx.json").read_text()
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"library"', '"book"', 1)) is not None


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("0.0.1", "does not follow"),
        (VERSION, "does not follow"),
        ("v2", "is not of the form 1.2.3"),
        ("99.0.1", "has nothing under Unreleased"),
    ],
)
def test_what_is_no_next_version_is_refused(released: Released, version: str, said: str) -> None:
    assert said in release(released.project, "any", version, code=1)


def test_without_a_key_there_is_no_release(released: Released) -> None:
    assert "KEY names no key" in release(released.project, "", "99.0.1", code=1)


def test_a_release_that_fails_leaves_the_checkout_as_it_was(released: Released) -> None:
    changelog = released.project / "CHANGELOG.md"
    changelog.write_text(changelog.read_text().replace("Unreleased\n", "Unreleased\n\n- More.\n"))
    assert "the checkout has changes" in release(released.project, "any", "99.0.1", code=1)
    # Without it the build fails, after the version was written.
    (released.project / "hatch_build.py").unlink()
    call("git", "commit", "--quiet", "--all", "--message", "Change", folder=released.project)
    head = call("git", "rev-parse", "HEAD", folder=released.project)
    assert "uv build --quiet" in release(released.project, "any", "99.0.1", code=1)
    assert call("git", "rev-parse", "HEAD", folder=released.project) == head
    assert call("git", "status", "--porcelain", folder=released.project) == ""
    assert call("git", "tag", folder=released.project).split() == [f"v{VERSION}"]
    assert not (released.project / "dist" / "99.0.1").exists()


@pytest.fixture
def gnupg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A key of GnuPG without a passphrase, and the end of the agent that it started."""
    if shutil.which("gpg") is None:
        pytest.skip("GnuPG is not installed")
    # A path that is short enough for the agent's socket.
    home = Path(os.environ.get("XDG_RUNTIME_DIR", "/tmp")) / f"gnupg-{os.getpid()}"
    home.mkdir(mode=0o700)
    monkeypatch.setenv("GNUPGHOME", str(home))
    generate = ["gpg", "--batch", "--passphrase", "", "--quick-generate-key", SIGNER]
    call(*generate, "ed25519", "sign", folder=tmp_path)
    yield
    call("gpgconf", "--kill", "all", folder=tmp_path)
    shutil.rmtree(home)


def test_a_key_of_gnupg_signs_as_well(
    released: Released, gnupg: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(PROJECT / ".ci")
    from release import Signer

    sums = released.folder / "SHA256SUMS"
    Signer(SIGNER).sign_file(sums)
    call("gpg", "--verify", f"{sums.name}.asc", sums.name, folder=released.folder)
