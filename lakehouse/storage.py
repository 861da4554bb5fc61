"""Files below a local folder or below a prefix of an object store (S3).

An address is an absolute folder or `s3a://bucket/prefix`; only this module distinguishes the two.
The store is configured by the standard variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
`AWS_SESSION_TOKEN`, `AWS_REGION` and, for stores other than Amazon's, `AWS_ENDPOINT_URL`.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lakehouse.errors import InvalidInputError, UnavailableError

if TYPE_CHECKING:  # slow to import, and most dbt calls do not need it
    from pyarrow import fs

SCHEME = "s3a"
# Time-outs in seconds, and attempts: a store that is temporarily busy is waited for.
CONNECT_SECONDS, RESPONSE_SECONDS = 10, 60
ATTEMPTS = 10


class _FileSystem:
    """The file system of a location; opened once, when it is first used."""

    def __init__(self, address: str, aws: Mapping[str, str]) -> None:
        self._address, self._aws = address, aws

    @cached_property
    def handle(self) -> "fs.FileSystem":
        from pyarrow import fs

        if _is_folder(self._address):
            return fs.LocalFileSystem()
        return _open_bucket(self._address, self._aws)


@dataclass(frozen=True)
class Storage:
    """A folder, or a prefix of an object store.

    Attributes:
        address: Absolute folder or `s3a://bucket/prefix`, as Spark accepts it.
        aws: The variables AWS_*, with which an object store is opened.
    """

    address: str
    aws: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    _file_system: _FileSystem | None = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the file system, which locations below this one share."""
        if self._file_system is None:
            object.__setattr__(self, "_file_system", _FileSystem(self.address, self.aws))

    @property
    def files(self) -> "fs.FileSystem":
        """Return the file system, in which `root` is the path of this location.

        Raises:
            InvalidInputError: If the address is neither a folder nor an `s3a://` prefix.
            UnavailableError: If the object store does not respond, or has no such bucket.
        """
        assert self._file_system is not None
        return self._file_system.handle

    @property
    def root(self) -> str:
        """Return the path of this location in its file system."""
        if self.folder:
            return self.address
        url = urlsplit(self.address)
        return f"{url.netloc}{url.path}".rstrip("/")

    @property
    def folder(self) -> Path | None:
        """Return the local folder, or None if the location is in an object store."""
        return Path(self.address) if _is_folder(self.address) else None

    @property
    def bucket(self) -> str | None:
        """Return the bucket, or None if the location is a local folder."""
        return None if self.folder else urlsplit(self.address).netloc

    @property
    def lineage_name(self) -> tuple[str, str]:
        """Return the OpenLineage namespace and name of this location."""
        if self.folder:
            return "file", self.address
        # The store is the same, whatever scheme the file system driver uses (`s3a`).
        return f"s3://{self.bucket}", urlsplit(self.address).path.lstrip("/")

    @property
    def s3_address(self) -> str:
        """Return the address for clients other than Spark, which know the scheme `s3`."""
        return re.sub(f"^{SCHEME}://", "s3://", self.address)

    @property
    def jar_purposes(self) -> set[str]:
        """Return the purposes whose additional JARs Spark needs for this location."""
        return set() if self.folder else {SCHEME}

    @property
    def spark_configuration(self) -> dict[str, str]:
        """Return the settings that Spark needs for this location; none for a local folder."""
        return {} if self.folder else _spark_configuration(self.aws)

    def prepare(self) -> None:
        """Create a local folder if it is missing; check that an object store's bucket exists.

        Raises:
            OSError: The folder cannot be created.
            InvalidInputError, UnavailableError: As for `files`.
        """
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
        else:
            _ = self.files

    def create_bucket(self) -> None:
        """Create the bucket of a location in an object store."""
        _object_store(self.aws).create_dir(self.bucket)

    def prepare_file(self) -> None:
        """Create the folder that is to contain a file, if this location is local.

        An object store has no folders; creating one would leave an object of that name.
        """
        if self.folder:
            self.folder.parent.mkdir(parents=True, exist_ok=True)

    @property
    def has_settable_mtime(self) -> bool:
        """Return whether files can be given the modification time of their original."""
        return self.folder is not None

    def set_mtime(self, mtime_ns: int) -> None:
        """Set a file's modification time to that of its original, if the file system supports it.

        Delta's history and the landing zone depend on it.
        """
        if self.folder:
            os.utime(self.folder, ns=(mtime_ns, mtime_ns))

    def exists(self) -> bool:
        """Return whether the location exists.

        A prefix of an object store exists if there is an object below it.
        """
        from pyarrow import fs

        return bool(self.files.get_file_info(self.root).type != fs.FileType.NotFound)

    def join(self, *parts: str) -> "Storage":
        """Return the storage at a relative path below this location."""
        address = "/".join([self.address.rstrip("/"), *parts])
        return Storage(address, self.aws, self._file_system)

    def locate(self, info: "fs.FileInfo") -> "Storage":
        """Return the storage at a file or folder that another method returned."""
        address = info.path if self.folder else f"{SCHEME}://{info.path}"
        return Storage(address, self.aws, self._file_system)

    def list_children(self, *parts: str) -> "list[fs.FileInfo]":
        """Return the direct children of a relative path, or none if it does not exist."""
        from pyarrow import fs

        selected = fs.FileSelector(self.join(*parts).root, allow_not_found=True)
        return sorted(self.files.get_file_info(selected), key=lambda info: info.path)

    def list_files(self) -> "list[fs.FileInfo]":
        """Return all files below at any depth, or none if the location does not exist."""
        from pyarrow import fs

        selected = fs.FileSelector(self.root, allow_not_found=True, recursive=True)
        found = [info for info in self.files.get_file_info(selected) if info.is_file]
        return sorted(found, key=lambda info: info.path)

    def relative_path(self, path: str) -> str:
        """Return a path of the file system relative to this location."""
        return path.removeprefix(f"{self.root}/")

    def list_folders(self, *parts: str) -> "list[fs.FileInfo]":
        """Return the direct children that are folders."""
        from pyarrow import fs

        return [info for info in self.list_children(*parts) if info.type == fs.FileType.Directory]

    def list_under(self, info: "fs.FileInfo", *parts: str) -> "list[fs.FileInfo]":
        """Return the children of a file or folder that another method returned."""
        return self.locate(info).list_children(*parts)

    def remove(self, info: "fs.FileInfo") -> None:
        """Remove a file, or a folder with its contents."""
        if info.is_file:
            self.files.delete_file(info.path)
        else:
            self.files.delete_dir(info.path)


def resolve_address(folder: Path, text: str) -> str:
    """Return the address that a setting or an argument names.

    Args:
        folder: The folder that relative paths are relative to.
        text: A folder, or a prefix of an object store, which is returned unchanged.
    """
    # normpath, not resolve: a link to another disk remains as the user named it.
    return os.path.normpath(folder / Path(text).expanduser()) if _is_folder(text) else text


def _is_folder(address: str) -> bool:
    return "://" not in address


def _open_bucket(address: str, aws: Mapping[str, str]) -> "fs.FileSystem":
    from pyarrow import fs

    url = urlsplit(address)
    if url.scheme != SCHEME or not url.netloc:
        raise InvalidInputError(
            f"{address} is neither a folder nor {SCHEME}://bucket/prefix",
            where=address,
            hint="correct it, where it was given: on the command line, or as CHURN_LAKE_URI or "
            "CHURN_LANDING",
        )
    store = _object_store(aws)
    try:
        exists = store.get_file_info(url.netloc).type != fs.FileType.NotFound
    except OSError as error:
        raise UnavailableError(
            f"The object store does not answer: {error}",
            where=f"{address} at {aws.get('AWS_ENDPOINT_URL', 'Amazon S3')}",
            hint="check the address and the AWS_* variables",
        ) from error
    if not exists:
        raise UnavailableError(
            f"The object store has no bucket {url.netloc}",
            where=address,
            hint="create the bucket, or correct the address",
        )
    return store


def path_from_uri(uri: str) -> str:
    """Return the file system path of a file that Spark names by its URI."""
    parts = urlsplit(uri)
    bucket = parts.netloc if parts.scheme == SCHEME else ""
    return unquote(f"{bucket}{parts.path}")


def spark_uri(uri: str) -> str:
    """Return the unescaped address of the same file, which Spark accepts for reading."""
    return f"{urlsplit(uri).scheme}://{path_from_uri(uri)}"


def escape_glob(address: str) -> str:
    """Return the address as a pattern that matches only this location.

    Spark interprets paths to read as patterns, in which brackets and similar characters have a
    special meaning; paths to write are taken literally.
    """
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", address)


def path_from_describe(location: str) -> str:
    """Return the file system path of a location that `describe` or `vacuum` reports.

    These locations are like URIs, but nothing is escaped.
    """
    scheme, _, path = location.partition(":")
    return path.removeprefix("//") if scheme == SCHEME else f"/{path.lstrip('/')}"


def _spark_configuration(aws: Mapping[str, str]) -> dict[str, str]:
    """Return Spark's settings for the object store.

    Spark reads the access keys from the standard variables itself.
    """
    endpoint = aws.get("AWS_ENDPOINT_URL")
    options = {
        "endpoint.region": aws.get("AWS_REGION", "us-east-1"),
        "attempts.maximum": str(ATTEMPTS),
        "connection.establish.timeout": f"{CONNECT_SECONDS}s",
        "connection.timeout": f"{RESPONSE_SECONDS}s",
    }
    if endpoint:
        options |= {
            "endpoint": endpoint,
            "path.style.access": "true",
            "connection.ssl.enabled": str(endpoint.startswith("https://")).lower(),
        }
    return {
        # A folder that a publish writes is not visible until the metastore is updated, so files
        # can be written directly to it, which saves a copy of each.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        **{f"spark.hadoop.fs.s3a.{name}": value for name, value in options.items()},
    }


def _object_store(aws: Mapping[str, str]) -> "fs.S3FileSystem":
    """Return the configured object store, as a file system whose top folders are buckets."""
    from pyarrow import fs

    told = {
        "access_key": aws.get("AWS_ACCESS_KEY_ID"),
        "secret_key": aws.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": aws.get("AWS_SESSION_TOKEN"),
        "region": aws.get("AWS_REGION"),
        "tls_ca_file_path": aws.get("AWS_CA_BUNDLE"),
    }
    if endpoint := aws.get("AWS_ENDPOINT_URL"):
        told["scheme"], _, told["endpoint_override"] = endpoint.rstrip("/").partition("://")
    return fs.S3FileSystem(
        allow_bucket_creation=True,  # for `create_bucket`; opening requires an existing bucket
        connect_timeout=CONNECT_SECONDS,
        request_timeout=RESPONSE_SECONDS,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS // 2),
        **{name: value for name, value in told.items() if value},
    )
