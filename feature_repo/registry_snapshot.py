"""What Feast's registry holds, as Feast's own message, wherever it is kept."""

from collections.abc import Iterator, Sequence
from typing import Any

from feast import FeatureStore
from feast.protos.feast.core.Registry_pb2 import Registry

from feature_repo.store import configuration, registry_file
from lakehouse.online_store import Address
from lakehouse.settings import LOOPBACK, Settings

# Feast's configuration names an online store, which reading the registry asks nothing of.
NOWHERE = Address(LOOPBACK, 0, None)


def read_registry(settings: Settings) -> bytes:
    """The registry; empty where nothing was registered yet."""
    if settings.registry_url is None:
        file = registry_file(settings)
        return file.read_bytes() if file.exists() else b""
    registry = FeatureStore(config=configuration(settings, NOWHERE)).registry
    return bytes(registry.proto().SerializeToString())


def diff_registries(left: bytes, right: bytes) -> list[str]:
    """What is declared in one registry and not, or otherwise, in another; times left aside."""
    one, other = dict(_declared(left)), dict(_declared(right))
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _declared(registry: bytes) -> Iterator[tuple[str, Any]]:
    message = Registry.FromString(registry)
    for kind in ("entities", "feature_views", "feature_services"):
        for each in getattr(message, kind):
            _clear_times(each.spec)
            yield f"{kind}: {each.spec.name}", each.spec


def _clear_times(message: Any) -> None:
    """Clear what says when a thing was registered, here and in all that is within."""
    for field, value in message.ListFields():
        if field.name == "meta":
            message.ClearField(field.name)
        elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for each in value if isinstance(value, Sequence) else [value]:
                _clear_times(each)
