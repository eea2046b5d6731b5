"""The machines that the tests of several machines run on: tests/hosts.py."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests import hosts
from tests.hosts import Hosts

HEAR = """
import socket
server = socket.create_server(("", 5555))
print("listening", flush=True)
while True:
    connection, caller = server.accept()
    connection.sendall(caller[0].encode())
    connection.close()
"""
CALL = """
import socket, sys
try:
    print(socket.create_connection((sys.argv[1], 5555), 1).recv(99).decode())
except OSError as error:
    print("cut off" if isinstance(error, TimeoutError) else error)
"""


def _call(machines: Hosts, address: str) -> str:
    return machines.run(0, [sys.executable, "-c", CALL, address]).stdout.strip()


def _hear(machines: Hosts, screen: Path) -> subprocess.Popen[bytes]:
    process = machines.popen(1, [sys.executable, "-c", HEAR], screen)
    while "listening" not in screen.read_text():
        assert process.poll() is None, screen.read_text()
    return process


def test_machines_reach_each_other_until_a_cable_is_pulled(
    machines: Callable[[int], Hosts], tmp_path: Path
) -> None:
    two = machines(2)
    _hear(two, tmp_path / "screen")
    assert _call(two, "host1") == two.address(0)
    two.unplug(1)
    assert _call(two, "host1") == "cut off"
    two.plug(1)
    assert _call(two, two.address(1)) == two.address(0)


def test_nothing_is_left_of_machines(machines: Callable[[int], Hosts], tmp_path: Path) -> None:
    two = machines(2)
    process = _hear(two, tmp_path / "screen")
    assert two.pids(1) == [process.pid]
    two.remove()
    assert process.wait(10) == -9
    listed = subprocess.run([*two.enter, "ip", "netns", "list"], capture_output=True, text=True)
    assert two.name not in listed.stdout
    assert not two.folder.exists()


def test_every_machine_has_a_name_an_address_and_variables_of_its_own(
    machines: Callable[[int], Hosts], tmp_path: Path
) -> None:
    three = machines(3)
    show = 'hostname; pwd; echo "$WORD"; ip -brief address show eth0'
    shown = three.run(2, ["sh", "-c", show], {"WORD": "hello"}, tmp_path).stdout.split()
    assert shown[:3] == ["host2", str(tmp_path), "hello"]
    assert f"{three.address(2)}/24" in shown
    assert (f"{three.address6(2)}/64" in shown) == hosts.has_ipv6()
