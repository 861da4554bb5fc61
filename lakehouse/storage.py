"""Files below a local folder or below a prefix of an object store (S3).

An address is an absolute folder or `s3a://bucket/prefix`. The store is configured by the standard
variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` and, for
stores other than Amazon's, `AWS_ENDPOINT_URL`.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lakehouse.errors import InvalidInputError, UnavailableError
from lakehouse.settings import Settings

if TYPE_CHECKING:  # slow to import, and most dbt calls do not need it
    from pyarrow import fs

SCHEME = "s3a"
# Time-outs in seconds, and attempts: a store that is temporarily busy is waited for.
CONNECT, ANSWER = 10, 60
TRIES = 10


@dataclass(frozen=True)
class Storage:
    """A file system and a location `root` in it; paths are those of the file system."""

    files: "fs.FileSystem"
    root: str

    def is_there(self) -> bool:
        """Return whether the location exists.

        A prefix of an object store exists if there is an object below it.
        """
        from pyarrow import fs

        return bool(self.files.get_file_info(self.root).type != fs.FileType.NotFound)

    def at(self, *parts: str) -> "Storage":
        """Return the storage at a relative path below this location."""
        return Storage(self.files, "/".join([self.root, *parts]))

    def children(self, *parts: str) -> "list[fs.FileInfo]":
        """Return the direct children of a relative path, or none if it does not exist."""
        from pyarrow import fs

        selected = fs.FileSelector(self.at(*parts).root, allow_not_found=True)
        return sorted(self.files.get_file_info(selected), key=lambda each: each.path)

    def all_files(self) -> "list[fs.FileInfo]":
        """Return all files below at any depth, or none if the location does not exist."""
        from pyarrow import fs

        selected = fs.FileSelector(self.root, allow_not_found=True, recursive=True)
        found = [each for each in self.files.get_file_info(selected) if each.is_file]
        return sorted(found, key=lambda each: each.path)

    def name(self, path: str) -> str:
        """Return a path of the file system relative to this location."""
        return path.removeprefix(f"{self.root}/")

    def folders(self, *parts: str) -> "list[fs.FileInfo]":
        """Return the direct children that are folders."""
        from pyarrow import fs

        return [each for each in self.children(*parts) if each.type == fs.FileType.Directory]

    def below(self, info: "fs.FileInfo", *parts: str) -> "list[fs.FileInfo]":
        """Return the children of a file or folder that another method returned."""
        return Storage(self.files, info.path).children(*parts)

    def remove(self, info: "fs.FileInfo") -> None:
        """Remove a file, or a folder with its contents."""
        if info.is_file:
            self.files.delete_file(info.path)
        else:
            self.files.delete_dir(info.path)


def is_folder(address: str) -> bool:
    """Return whether the address is a local folder."""
    return "://" not in address


def storage(settings: Settings, address: str) -> Storage:
    """Return the storage at an address.

    Raises:
        InvalidInputError: If the address is neither a folder nor an `s3a://` prefix.
        UnavailableError: If the object store does not respond, or has no such bucket.
    """
    from pyarrow import fs

    if is_folder(address):
        return Storage(fs.LocalFileSystem(), address)
    place = urlsplit(address)
    if place.scheme != SCHEME or not place.netloc:
        raise InvalidInputError(
            f"{address} is neither a folder nor {SCHEME}://bucket/prefix",
            where=address,
            remedy="correct it, where it was given: on the command line, or as CHURN_LAKE_URI or "
            "CHURN_LANDING",
        )
    store = object_store(settings)
    try:
        is_there = store.get_file_info(place.netloc).type != fs.FileType.NotFound
    except OSError as fault:
        raise UnavailableError(
            f"The object store does not answer: {fault}",
            where=f"{address} at {settings.aws.get('AWS_ENDPOINT_URL', 'Amazon S3')}",
            remedy="check the address and the AWS_* variables",
        ) from fault
    if not is_there:
        raise UnavailableError(
            f"The object store has no bucket {place.netloc}",
            where=address,
            remedy="make the bucket, or correct the address",
        )
    return Storage(store, f"{place.netloc}{place.path}".rstrip("/"))


def path_from_uri(uri: str) -> str:
    """Return the file system path of a file that Spark names by its URI."""
    place = urlsplit(uri)
    bucket = place.netloc if place.scheme == SCHEME else ""
    return unquote(f"{bucket}{place.path}")


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


def spark_configuration(settings: Settings) -> dict[str, str]:
    """Return Spark's settings for the object store.

    Spark reads the access keys from the standard variables itself.
    """
    endpoint = settings.aws.get("AWS_ENDPOINT_URL")
    told = {
        "endpoint.region": settings.aws.get("AWS_REGION", "us-east-1"),
        "attempts.maximum": str(TRIES),
        "connection.establish.timeout": f"{CONNECT}s",
        "connection.timeout": f"{ANSWER}s",
    }
    if endpoint:
        told |= {
            "endpoint": endpoint,
            "path.style.access": "true",
            "connection.ssl.enabled": str(endpoint.startswith("https://")).lower(),
        }
    return {
        # A folder that a publish writes is not visible until the metastore is updated, so files
        # can be written directly to it, which saves a copy of each.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        **{f"spark.hadoop.fs.s3a.{name}": value for name, value in told.items()},
    }


def object_store(settings: Settings) -> "fs.S3FileSystem":
    """Return the configured object store, as a file system whose top folders are buckets."""
    from pyarrow import fs

    told = {
        "access_key": settings.aws.get("AWS_ACCESS_KEY_ID"),
        "secret_key": settings.aws.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": settings.aws.get("AWS_SESSION_TOKEN"),
        "region": settings.aws.get("AWS_REGION"),
        "tls_ca_file_path": settings.aws.get("AWS_CA_BUNDLE"),
    }
    if endpoint := settings.aws.get("AWS_ENDPOINT_URL"):
        told["scheme"], _, told["endpoint_override"] = endpoint.rstrip("/").partition("://")
    return fs.S3FileSystem(
        allow_bucket_creation=True,  # unused by `storage`, which requires an existing bucket
        connect_timeout=CONNECT,
        request_timeout=ANSWER,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES // 2),
        **{name: value for name, value in told.items() if value},
    )
