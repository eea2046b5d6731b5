"""The network inside the machine: all processes of a run talk through ports of 127.0.0.1.

    No program here can reach another at 127.0.0.1. ... sudo ip link set lo up

Ports are chosen by the kernel, so no number is fixed that another program could hold; VLLM_PORT is
the one exception. Proxies are heeded by the two clients that read them (httpx, requests), and only
where they talk to this machine; Ray's and verl's own calls do not use one (grpc.enable_http_proxy
0 in ray/_private/ray_constants.py:599, aiohttp without trust_env).
"""

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

from verlaunch.errors import Finding
from verlaunch.plan.guards.scene import Scene
from verlaunch.plan.sizes import processes

PORTS_EACH = 20  # per process of a run, connections among them
RAYS = 8
ANY = "all_proxy"  # beside http_proxy and https_proxy, which are for addresses of that kind
SERVERS = {"rm_base_url": "--rm_base_url", "sandbox_url": "--sandbox_url"}


def check(scene: Scene) -> Iterator[Finding]:
    if not scene.host.loopback:
        yield Finding(
            "No program here can reach another at 127.0.0.1, and all parts of a run do. Switch the "
            "loopback interface on: sudo ip link set lo up; in a sandbox, allow local connections."
        )
    yield from _few(scene)
    yield from _vllm(scene.env)
    yield from _proxied(scene)


def _few(scene: Scene) -> Iterator[Finding]:
    need = PORTS_EACH * (processes(scene.config.verl) + RAYS)
    if scene.host.ports < need:
        yield Finding(
            f"The kernel gives out {scene.host.ports} ports (net.ipv4.ip_local_port_range), and a "
            f"run may need {need}. Widen it: sudo sysctl "
            'net.ipv4.ip_local_port_range="32768 60999"',
            stops=False,
        )


def _vllm(env: Mapping[str, str]) -> Iterator[Finding]:
    """Kubernetes sets it for a service that is called vllm (vllm/envs.py:498)."""
    port = env.get("VLLM_PORT", "")
    if port and not port.isdigit():
        yield Finding(
            f"VLLM_PORT={port} is no number, and vLLM stops at that; Kubernetes sets it where a "
            "service is called vllm. Type: unset VLLM_PORT"
        )


def _is_local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_excepted(host: str, no_proxy: str) -> bool:
    words = [word.strip() for word in no_proxy.split(",")]
    return "*" in words or host in words


def _proxied(scene: Scene) -> Iterator[Finding]:
    bypassed = scene.env.get("no_proxy") or scene.env.get("NO_PROXY") or ""
    for key, flag in SERVERS.items():
        kind, host = _parts(str(scene.config.launch.get(key) or ""))
        heeded = (f"{kind}_proxy", ANY)
        names = [name for name in scene.env if name.lower() in heeded and scene.env[name]]
        if names and _is_local(host) and not _is_excepted(host, bypassed):
            yield Finding(
                f"{flag} is on this machine, but {names[0]} sends its requests to a proxy. Exclude "
                f"this machine: export no_proxy={','.join(filter(None, [bypassed, host]))}",
                stops=False,  # a proxy on this very machine may well reach it; the trial call tells
            )


def _parts(url: str) -> tuple[str, str]:
    """The kind of address, and its host."""
    try:
        return urlsplit(url).scheme, urlsplit(url).hostname or ""
    except ValueError:  # told elsewhere
        return "", ""
