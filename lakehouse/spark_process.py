"""State of the Spark server: whether it runs, which process it is, and whether it responds."""

from lakehouse.errors import ServerLostError
from lakehouse.process import IDLE_SECONDS, ProcessInfo, Service, port_is_open
from lakehouse.settings import LOOPBACK, Settings

# A healthy server responds in milliseconds; garbage collection may delay it by some seconds.
RESPONSE_SECONDS = 15


def service(settings: Settings) -> Service:
    """Return the Spark server's service of this CHURN_HOME."""
    # A server for other machines keeps running without connected clients.
    idle = IDLE_SECONDS if settings.spark_bind == LOOPBACK else None
    return Service("spark", settings.home / "spark", idle)


def find(settings: Settings) -> ProcessInfo | None:
    """Return the running server, or None.

    A server on another machine is found by its state file and its open ports.
    """
    if not settings.spark_is_elsewhere:
        return service(settings).find()
    running = service(settings).read_state()
    return running if running and ports_open(settings, running) else None


def ports_open(settings: Settings, running: ProcessInfo) -> bool:
    """Return whether both endpoints of the server accept connections."""
    return all(port_is_open(port, settings.spark_host) for port in running.ports)


def is_responsive(settings: Settings) -> bool:
    """Return whether the server responds to a request; a hung process only accepts connections.

    Tries twice, because a client process that was itself suspended for a while may time out.
    """
    return _responds(settings) or _responds(settings)


def _responds(settings: Settings) -> bool:
    import grpc  # type: ignore[import-untyped]  # not needed to find the server

    with grpc.insecure_channel(f"{settings.spark_host}:{settings.connect_port}") as channel:
        try:
            # Does not involve Spark; the error for an unknown method is also a response.
            channel.unary_unary("/grpc.health.v1.Health/Check")(b"", timeout=RESPONSE_SECONDS)
        except grpc.RpcError as answer:
            none = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
            return answer.code() not in none
    return True


def check_running(settings: Settings, running: ProcessInfo) -> None:
    """Raise ServerLostError if that server process has exited or does not respond."""
    if find(settings) != running or not is_responsive(settings):
        raise server_lost_error(settings, running)


def server_lost_error(settings: Settings, running: ProcessInfo) -> ServerLostError:
    """Return the error for a server that has exited or does not respond."""
    if find(settings) != running:
        return ServerLostError(
            "The Spark server ended while the command was using it",
            where=f"process {running.pid}, {running.log}",
            hint="repeat the command: it starts the server and continues where it stopped",
        )
    return ServerLostError(
        f"The Spark server has not answered for {2 * RESPONSE_SECONDS} s",
        where=f"process {running.pid}, {settings.connect_url}",
        hint="call `churn down`, which also ends a server that hangs; then repeat the command",
    )


def identity(settings: Settings) -> str:
    """Return the settings that a client and the server must have in common.

    A server from before passwords were introduced has a different identity.
    """
    return f"{settings.lake.address} on {settings.spark_master}, with a password"
