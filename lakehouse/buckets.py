"""Create and verify the buckets of the lake and of the landing zone.

    python -m lakehouse.buckets

Use it for a self-hosted object store that was just started. Exits with 0 if an object could be
written to and read back from each bucket.
"""

import sys
from urllib.parse import urlsplit

from lakehouse.errors import ChurnError, UnavailableError
from lakehouse.settings import Settings, read_settings
from lakehouse.storage import is_folder, object_store, storage

OBJECT = "_is-kept"


def make_buckets(settings: Settings) -> list[str]:
    """Create the missing buckets, verify all of them and return their names.

    Raises:
        UnavailableError: If the store does not respond, refuses a request, or returns different
            content from what was written.
    """
    places = [each for each in (settings.lake_uri, settings.landing) if not is_folder(each)]
    store = object_store(settings)
    for place in places:
        bucket = urlsplit(place).netloc
        try:
            store.create_dir(bucket)
        except OSError as fault:
            raise UnavailableError(
                f"The object store does not make the bucket {bucket}: {fault}",
                where=place,
                remedy="check the address and the AWS_* variables, or make the bucket yourself",
            ) from fault
        found = storage(settings, f"{place.split(':')[0]}://{bucket}")
        path, content = f"{found.root}/{OBJECT}", bucket.encode()
        with found.files.open_output_stream(path) as target:
            target.write(content)
        with found.files.open_input_stream(path) as source:
            if source.read() != content:
                raise UnavailableError(
                    f"The object store gave back something else from {bucket}",
                    where=place,
                    remedy="do not use this store",
                )
        found.files.delete_file(path)
    return [urlsplit(place).netloc for place in places]


def main() -> None:
    """Create and verify the buckets as a standalone command."""
    try:
        for bucket in make_buckets(read_settings()):
            print(f"the bucket {bucket} is there")
    except ChurnError as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
