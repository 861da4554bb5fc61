"""The buckets of lake and landing place: made where they are missing, and tried.

    python -m lakehouse.buckets

For an object store of one's own that was just started. Ends with 0 when an object that was written
to each bucket was read back.
"""

import sys
from urllib.parse import urlsplit

from lakehouse.errors import ChurnError, UnavailableError
from lakehouse.settings import Settings, read_settings
from lakehouse.storage import is_folder, object_store, storage

OBJECT = "_is-kept"


def make_buckets(settings: Settings) -> list[str]:
    """Make what is missing and return the names of all of them.

    Raises:
        UnavailableError: the store does not answer, refuses, or does not give back what it was
            given.
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
    """Make them."""
    try:
        for bucket in make_buckets(read_settings()):
            print(f"the bucket {bucket} is there")
    except ChurnError as fault:
        sys.exit(str(fault))


if __name__ == "__main__":
    main()
