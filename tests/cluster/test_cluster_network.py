"""Ports and interfaces that the engine's parts are told of in a run of several machines."""

import contextlib
import socket

import pytest

from verlaunch.engine import environment
from verlaunch.engine.processes import ray_node

HERE = "127.0.0.1"
PLACE = {"address": "10.77.0.2", "interface": "eth0"}


def taken(port: int) -> socket.socket:
    busy = socket.socket()
    with contextlib.suppress(OSError):  # someone else has it: that is as good
        busy.bind((HERE, port))
    return busy


def test_without_a_range_ray_takes_the_kernels_ports() -> None:
    assert set(ray_node.ports(HERE, None).values()) == {0}


def test_every_port_is_of_the_range_and_none_is_given_twice() -> None:
    chosen = ray_node.ports(HERE, (23000, 23299))
    workers = [int(port) for port in chosen.pop("worker_port_list").split(",")]
    assert set(chosen) == set(ray_node.SINGLE)
    assert sorted([*chosen.values(), *workers]) == list(range(23000, 23300))


def test_busy_ports_are_passed_over() -> None:
    busy = range(23400, 23415)
    with contextlib.ExitStack() as stack:
        for port in busy:
            stack.enter_context(taken(port))
        chosen = ray_node.ports(HERE, (23400, 23434))
        assert not {chosen[name] for name in ray_node.SINGLE} & set(busy)


def test_a_range_with_no_free_port_says_so() -> None:
    with contextlib.ExitStack() as stack:
        for port in range(23500, 23510):
            stack.enter_context(taken(port))
        with pytest.raises(OSError, match="no port is free among those of --port_range"):
            ray_node.ports(HERE, (23500, 23509))


def test_among_machines_the_engine_talks_over_the_interface_that_reaches_them() -> None:
    for hardware in ("cpu", "gpu"):
        found = environment.for_run(hardware, {}, PLACE)
        assert found["GLOO_SOCKET_IFNAME"] == "eth0"
        assert found["NCCL_SOCKET_IFNAME"] == "=eth0"
        assert found["VLLM_HOST_IP"] == "10.77.0.2"
        assert found["RAY_AUTH_MODE"] == "token"
        assert "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER" not in found


def test_a_machine_alone_stays_on_loopback() -> None:
    found = environment.for_run("cpu", {})
    assert found["GLOO_SOCKET_IFNAME"] == "lo"
    assert found["VLLM_HOST_IP"] == HERE
    assert found["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] == "0"
    assert "GLOO_SOCKET_IFNAME" not in environment.for_run("gpu", {})


def test_the_token_cannot_be_turned_off_among_machines() -> None:
    for given in ("disabled", ""):
        assert environment.for_run("cpu", {"RAY_AUTH_MODE": given}, PLACE)["RAY_AUTH_MODE"] == (
            "token"
        )


def test_thresholds_of_malloc_that_the_user_has_set_are_left_out_on_a_cpu_and_said() -> None:
    # Dask's starter sets the first, for every program below it.
    for name, value in (("MALLOC_TRIM_THRESHOLD_", "65536"), ("MALLOC_MMAP_THRESHOLD_", "4096")):
        assert int(environment.for_run("cpu", {name: value})[name]) == 128 << 20
        assert name not in environment.for_run("gpu", {name: value})
        (note,) = environment.notes("cpu", {name: value})
        assert f"{name}={value} is left out" in note
        assert environment.notes("gpu", {name: value}) == []
    assert environment.notes("cpu", {"MALLOC_ARENA_MAX": "4"}) == []
    assert "MALLOC_ARENA_MAX" not in environment.for_run("cpu", {"MALLOC_ARENA_MAX": "4"})


def test_an_interface_that_the_user_has_set_stays() -> None:
    mine = {"GLOO_SOCKET_IFNAME": "ib0", "NCCL_SOCKET_IFNAME": "ib", "VLLM_HOST_IP": "10.1.0.2"}
    assert not mine.keys() & environment.for_run("gpu", mine, PLACE).keys()


def test_an_address_without_an_interface_leaves_that_choice_to_the_libraries() -> None:
    found = environment.for_run("gpu", {}, {"address": "10.77.0.2", "interface": None})
    assert found["VLLM_HOST_IP"] == "10.77.0.2"
    assert "GLOO_SOCKET_IFNAME" not in found


def test_no_secret_is_among_what_ray_prints() -> None:
    found = environment.for_run("gpu", {"RAY_AUTH_TOKEN": "planted"}, PLACE)
    assert "RAY_AUTH_TOKEN" not in found
    assert "planted" not in found.values()
