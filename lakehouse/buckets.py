"""Create and verify the buckets of the lake and of the landing zone.

    python -m lakehouse.buckets

Use it for a self-hosted object store that was just started. Exits with 0 if an object could be
written to and read back from each bucket.
"""

import sys

from lakehouse.errors import ChurnError, UnavailableError
from lakehouse.settings import Settings, read_settings

OBJECT = "_is-kept"


def create_buckets(settings: Settings) -> list[str]:
    """Create the missing buckets, verify all of them and return their names.

    Raises:
        UnavailableError: If the store does not respond, refuses a request, or returns different
            content from what was written.
    """
    addresses = [each for each in (settings.lake, settings.landing_zone) if each.bucket]
    for address in addresses:
        bucket = str(address.bucket)
        try:
            address.create_bucket()
        except OSError as error:
            raise UnavailableError(
                f"The bucket {bucket} can't be created: {error}",
                where=address.address,
                hint="check the address and the AWS_* variables, or create the bucket yourself",
            ) from error
        path, content = f"{bucket}/{OBJECT}", bucket.encode()
        with address.files.open_output_stream(path) as target:
            target.write(content)
        with address.files.open_input_stream(path) as source:
            if source.read() != content:
                raise UnavailableError(
                    f"The object store returned other bytes than were written to {bucket}",
                    where=address.address,
                    hint="use another object store: this one would damage the lake",
                )
        address.files.delete_file(path)
    return [str(address.bucket) for address in addresses]


def main() -> None:
    """Create and verify the buckets as a standalone command."""
    try:
        for bucket in create_buckets(read_settings()):
            print(f"the bucket {bucket} is there")
    except ChurnError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
