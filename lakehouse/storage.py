"""Where files lie: below a folder of this machine, or below a prefix of an object store (S3).

An address is an absolute folder or `s3a://bucket/prefix`. The store is told by the standard
variables: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION` and, for
stores other than Amazon's, `AWS_ENDPOINT_URL`.
"""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from lakehouse.errors import InvalidInputError, UnavailableError
from lakehouse.settings import Settings

if TYPE_CHECKING:  # takes a moment to import, and most calls of dbt have no need of it
    from pyarrow import fs

SCHEME = "s3a"
# Seconds. A store that is busy for a while is waited for.
CONNECT, ANSWER = 10, 60
TRIES = 10


@dataclass(frozen=True)
class Storage:
    """A file system and the place in it; paths are the file system's own."""

    files: "fs.FileSystem"
    root: str

    def is_there(self) -> bool:
        """Whether the place exists; a prefix of an object store does if something lies below."""
        from pyarrow import fs

        return bool(self.files.get_file_info(self.root).type != fs.FileType.NotFound)

    def at(self, *parts: str) -> "Storage":
        """A place below."""
        return Storage(self.files, "/".join([self.root, *parts]))

    def children(self, *parts: str) -> "list[fs.FileInfo]":
        """What lies right below a place; nothing where it does not exist."""
        from pyarrow import fs

        selected = fs.FileSelector(self.at(*parts).root, allow_not_found=True)
        return sorted(self.files.get_file_info(selected), key=lambda each: each.path)

    def all_files(self) -> "list[fs.FileInfo]":
        """Every file below, however deep; none where the place does not exist."""
        from pyarrow import fs

        selected = fs.FileSelector(self.root, allow_not_found=True, recursive=True)
        found = [each for each in self.files.get_file_info(selected) if each.is_file]
        return sorted(found, key=lambda each: each.path)

    def name(self, path: str) -> str:
        """A path of the file system, as it is called from here."""
        return path.removeprefix(f"{self.root}/")

    def folders(self, *parts: str) -> "list[fs.FileInfo]":
        """The folders among them."""
        from pyarrow import fs

        return [each for each in self.children(*parts) if each.type == fs.FileType.Directory]

    def below(self, info: "fs.FileInfo", *parts: str) -> "list[fs.FileInfo]":
        """What lies below a place that was found here."""
        return Storage(self.files, info.path).children(*parts)

    def remove(self, info: "fs.FileInfo") -> None:
        """Remove a file, or a folder with all that is in it."""
        if info.is_file:
            self.files.delete_file(info.path)
        else:
            self.files.delete_dir(info.path)


def is_folder(address: str) -> bool:
    """Whether the address is a folder of this machine."""
    return "://" not in address


def storage(settings: Settings, address: str) -> Storage:
    """The storage at an address.

    Raises:
        InvalidInputError: the address is neither a folder nor an `s3a://` prefix.
        UnavailableError: the object store does not answer, or has no such bucket.
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
    """The path, as a Storage has it, of a file that Spark names by its URI."""
    place = urlsplit(uri)
    bucket = place.netloc if place.scheme == SCHEME else ""
    return unquote(f"{bucket}{place.path}")


def spark_uri(uri: str) -> str:
    """The address of the same file with nothing escaped, as Spark takes it to read."""
    return f"{urlsplit(uri).scheme}://{path_from_uri(uri)}"


def escape_glob(address: str) -> str:
    """Return the address as a pattern that only this place matches.

    Spark takes what it is given to read for a pattern, in which brackets and the like have a
    meaning of their own; what it is given to write it takes literally.
    """
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", address)


def path_from_describe(location: str) -> str:
    """The same of what `describe` and `vacuum` tell: like a URI, but nothing is escaped."""
    scheme, _, path = location.partition(":")
    return path.removeprefix("//") if scheme == SCHEME else f"/{path.lstrip('/')}"


def spark_configuration(settings: Settings) -> dict[str, str]:
    """What Spark is told of the store; the keys it takes from the same variables itself."""
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
        # A folder that a publish writes is nobody's until the metastore is told; to write it file
        # by file spares a copy of each.
        "spark.hadoop.mapreduce.fileoutputcommitter.algorithm.version": "2",
        **{f"spark.hadoop.fs.s3a.{name}": value for name, value in told.items()},
    }


def object_store(settings: Settings) -> "fs.S3FileSystem":
    """The object store of the settings, as a file system whose top folders are buckets."""
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
        allow_bucket_creation=True,  # the storage above makes none: it asks for its bucket first
        connect_timeout=CONNECT,
        request_timeout=ANSWER,
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES // 2),
        **{name: value for name, value in told.items() if value},
    )
