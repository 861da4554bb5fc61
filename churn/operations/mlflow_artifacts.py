"""Restrict MLflow's server to its own folder or prefix for artifacts, without links out of it.

MLflow accepts any artifact address from a client: it may name any folder, store or host, and the
server reads it with its own permissions. Here the server accepts addresses below one root only.
"""

from pathlib import Path
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_registered_artifact_repositories
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.file_utils import local_file_uri_to_path
from mlflow.utils.uri import get_uri_scheme

LOCAL = ("", "file")
# MLflow resolves these to an address with another scheme, which is then checked.
REFERENCES = ("runs", "models")
# Scheme that clients get if the server transfers their files.
THROUGH_SERVER = "mlflow-artifacts"
ELSEWHERE = "Artifacts of this server lie in its own place alone; leave the location out"


def restrict_to(root: str) -> None:
    """Restrict this process to artifacts below `root`.

    Args:
        root: A folder, or a file: or s3: URI.
    """
    repositories: dict[str, Any] = get_registered_artifact_repositories()
    by_scheme = {scheme: repositories[scheme] for scheme in (*REFERENCES, THROUGH_SERVER)}
    scheme = get_uri_scheme(root)
    if scheme in LOCAL:
        folder = Path(local_file_uri_to_path(root))
        by_scheme |= dict.fromkeys(LOCAL, _folder_repository(folder))
    else:
        by_scheme[scheme] = _prefix_repository(root, repositories[scheme])
    repositories.clear()
    repositories.update(by_scheme)


def is_within(address: str, root: str) -> bool:
    """Return whether an artifact's address is below `root`; the address is not resolved."""
    if get_uri_scheme(address) == THROUGH_SERVER:
        # An address with a host would refer to that host.
        return not address.startswith(f"{THROUGH_SERVER}://") and ".." not in address.split("/")
    if get_uri_scheme(root) not in LOCAL:
        below = address == root or address.startswith(f"{root.rstrip('/')}/")
        return below and not {"..", "."} & set(address.split("/"))
    if get_uri_scheme(address) not in LOCAL:
        return False
    path = Path(local_file_uri_to_path(address))
    folder = Path(local_file_uri_to_path(root))
    return path.is_absolute() and ".." not in path.parts and path.is_relative_to(folder)


def refuse_outside(address: str, root: str) -> None:
    """Raise MLflow's error for an address that is not below `root`.

    Raises:
        MlflowException: The address is not below `root`.
    """
    if not is_within(address, root):
        raise MlflowException.invalid_parameter_value(ELSEWHERE)


def _folder_repository(  # long: a class with one or two lines per method
    root: Path,
) -> type[LocalArtifactRepository]:
    """Return an MLflow repository class for folders below `root` that follows no link."""

    class FolderRepository(LocalArtifactRepository):  # type: ignore[misc]
        def __init__(self, artifact_uri: str, *arguments: Any, **options: Any) -> None:
            refuse_outside(artifact_uri, str(root))
            super().__init__(artifact_uri, *arguments, **options)
            self._reject_links(None)

        def _reject_links(self, path: str | None) -> None:
            target = Path(self.artifact_dir, path or "")
            refuse_outside(str(target), str(root))
            below = target.relative_to(root).parts
            steps = [root.joinpath(*below[:depth]) for depth in range(1, len(below) + 1)]
            if any(step.is_symlink() for step in steps):
                raise MlflowException.invalid_parameter_value("An artifact's path has a link in it")

        def get_local_path(self, artifact_path: str) -> Any:
            self._reject_links(artifact_path)
            return super().get_local_path(artifact_path)

        def _get_or_create_artifact_dir(self, artifact_path: str | None = None) -> Any:
            self._reject_links(artifact_path)
            return super()._get_or_create_artifact_dir(artifact_path)

        def _download_file(self, remote_file_path: str, local_path: str) -> Any:
            self._reject_links(remote_file_path)
            return super()._download_file(remote_file_path, local_path)

        def delete_artifacts(self, artifact_path: str | None = None) -> None:
            self._reject_links(artifact_path)
            super().delete_artifacts(artifact_path)

        def download_trace_data(self) -> Any:
            self._reject_links("traces.json")
            return super().download_trace_data()

        def list_artifacts(self, path: str | None = None) -> Any:
            self._reject_links(path)
            artifacts = super().list_artifacts(path)
            return [
                artifact
                for artifact in artifacts
                if not Path(self.artifact_dir, artifact.path).is_symlink()
            ]

    return FolderRepository


def _prefix_repository(root: str, repository: Any) -> Any:
    """Return a factory of MLflow repositories for addresses below a prefix of an object store."""

    def make(artifact_uri: str, *arguments: Any, **options: Any) -> Any:
        refuse_outside(artifact_uri, root)
        return repository(artifact_uri, *arguments, **options)

    return make
