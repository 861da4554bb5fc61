"""Read Feast's registry as Feast's own message, from a file or from a database."""

from collections.abc import Iterator, Sequence
from typing import Any

from feast import FeatureStore
from feast.protos.feast.core.Registry_pb2 import Registry

from feature_repo.feature_store import configuration, registry_file
from lakehouse.online_store import Address
from lakehouse.settings import LOOPBACK, Settings

# Feast's configuration requires an online store; reading the registry does not access it.
NO_STORE = Address(LOOPBACK, 0, None)


def read_registry(settings: Settings) -> bytes:
    """Return the serialized registry; empty if nothing has been registered yet."""
    if settings.registry_url is None:
        file = registry_file(settings)
        return file.read_bytes() if file.exists() else b""
    registry = FeatureStore(config=configuration(settings, NO_STORE)).registry
    return bytes(registry.proto().SerializeToString())


def diff_registries(left: bytes, right: bytes) -> list[str]:
    """Return the names of declarations that differ between two registries.

    A difference is a declaration that is missing from one of them or has other contents; times are
    ignored.
    """
    one, other = dict(_list_declarations(left)), dict(_list_declarations(right))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _list_declarations(registry: bytes) -> Iterator[tuple[str, Any]]:
    message = Registry.FromString(registry)
    for kind in ("entities", "feature_views", "feature_services"):
        for declaration in getattr(message, kind):
            _clear_times(declaration.spec)
            yield f"{kind}: {declaration.spec.name}", declaration.spec


def _clear_times(message: Any) -> None:
    """Clear the registration times of the message and of all nested messages."""
    for field, value in message.ListFields():
        if field.name == "meta":
            message.ClearField(field.name)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for item in value if isinstance(value, Sequence) else [value]:
                _clear_times(item)
