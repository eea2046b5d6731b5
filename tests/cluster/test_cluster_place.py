"""Which machine of a run this is, its address, and what cannot be."""

import socket

import pytest

from verlaunch.cluster import addresses, place
from verlaunch.config.compose import compose
from verlaunch.config.flags import parse
from verlaunch.config.tree import Config
from verlaunch.errors import UserError


def configured(*words: str) -> Config:
    return compose(parse(("--nnodes", "2", *words), {}), "cpu")


def problems(*words: str) -> str:
    with pytest.raises(UserError) as caught:
        place.of(configured(*words))
    return str(caught.value)


@pytest.fixture
def ours() -> str:
    """An address of this machine that others could reach."""
    address = addresses.own_address()
    if address is None:
        pytest.skip("this machine has no address but its loopback's")
    return address


def test_the_leader_is_where_its_address_says(ours: str) -> None:
    where = place.of(configured("--master_addr", ours, "--master_port", "29700"))
    assert (where.rank, where.nodes, where.address, where.leader) == (0, 2, ours, ours)
    assert addresses.is_local(where.address)
    assert str(where) == (
        f"node 0 of 2 is {ours} on {where.interface}, and waits at "
        f"{addresses.with_port(ours, 29700)}"
    )


def test_the_leader_finds_its_address_itself(ours: str) -> None:
    assert place.of(configured()).address == ours


def test_a_node_takes_the_address_from_which_it_reaches_the_leader(ours: str) -> None:
    where = place.of(configured("--node_rank", "1", "--master_addr", ours))
    assert (where.rank, where.address, where.leader) == (1, ours, ours)
    assert "and joins node 0 at" in str(where)


def test_what_a_person_gave_is_used_as_it_is(ours: str) -> None:
    words = ("--node_rank", "1", "--master_addr", "192.0.2.7", "--node_addr", ours)
    where = place.of(configured(*words, "--port_range", "20000-20999"))
    assert (where.address, where.leader, where.port) == (ours, "192.0.2.7", 29500)
    assert where.port_range == (20000, 20999)


@pytest.mark.parametrize("leader", ["127.0.0.1", "::1", "localhost"])
def test_loopback_is_no_place_where_a_node_meets_another(leader: str) -> None:
    found = problems("--node_rank", "1", "--master_addr", leader)
    assert found.startswith(f"--master_addr {leader} is this machine to itself")


@pytest.mark.parametrize("leader", ["127.0.0.1", "localhost", "no-such-host.invalid"])
def test_a_leader_that_is_called_by_a_name_of_no_use_here_waits_at_an_address_of_use(
    leader: str, ours: str
) -> None:
    """Some schedulers call node 0 localhost on node 0, and a service's name is no address here."""
    assert place.of(configured("--master_addr", leader)).address == ours


def test_a_leader_tells_the_name_by_which_the_others_know_it(ours: str) -> None:
    where = place.of(configured("--master_addr", "no-such-host.invalid"))
    assert where.meeting == "no-such-host.invalid:29500"
    assert "which the others call no-such-host.invalid" in str(where)


def test_a_leader_whose_name_is_not_known_yet_may_be_asked_again() -> None:
    with pytest.raises(place.UnknownLeader, match="no machine is known by that name"):
        place.of(configured("--node_rank", "1", "--master_addr", "no-such-host.invalid"))


def test_every_problem_of_a_place_is_told_at_once() -> None:
    found = problems("--node_rank", "2", "--node_addr", "192.0.2.9", "--port_range", "80-90")
    assert "--node_rank 2: with --nnodes 2 the ranks are 0 to 1, one for each machine." in found
    assert "--node_addr 192.0.2.9 is not an address of this machine" in found
    assert "--port_range 80-90: takes FIRST-LAST between 1024 and 65535" in found
    assert "MASTER_ADDR=ADDRESS_OF_NODE_0" in found
    assert len(found.splitlines()) == 4


def test_a_node_without_a_leaders_address_is_told_how_to_give_it() -> None:
    assert "MASTER_ADDR=ADDRESS_OF_NODE_0" in problems("--node_rank", "1")


@pytest.mark.parametrize(
    "text", ["20000", "20999-20000", "20000-20100", "1000-2000", "65000-66000", "a-b", "-", "1-2-3"]
)
def test_a_range_that_is_none_or_has_no_room_is_refused(text: str) -> None:
    with pytest.raises(UserError, match=f"^--port_range {text}: takes FIRST-LAST"):
        place.ports_of(text)
    assert (place.ports_of("20000-20199"), place.ports_of(None)) == ((20000, 20199), None)


def test_an_address_in_brackets_is_one_of_ipv6() -> None:
    where = place.of(configured("--node_rank", "1", "--master_addr", "[2001:db8::7]",
                                "--node_addr", "127.0.0.1"))  # fmt: skip
    assert where.leader == "2001:db8::7"
    assert addresses.with_port(where.leader, where.port) == "[2001:db8::7]:29500"


def test_names_resolve_to_addresses_and_what_is_no_name_to_none() -> None:
    assert addresses.resolve("127.0.0.1") == ["127.0.0.1"]
    assert addresses.resolve("[::1]") == ["::1"]
    for nonsense in ("", "no-such-host.invalid", "10.0.0.1:29500", "a..b", "x" * 300):
        assert addresses.resolve(nonsense) == [], nonsense


def test_an_interface_is_known_by_its_address() -> None:
    assert addresses.interface_of("127.0.0.1") == "lo"
    assert addresses.interface_of("192.0.2.1") is None
    assert "127.0.0.1" not in addresses.known()


def test_this_machine_knows_its_own_addresses() -> None:
    assert addresses.is_local("127.0.0.1")
    assert addresses.is_local("localhost")
    assert not addresses.is_local("192.0.2.1")
    assert not addresses.is_local("no-such-host.invalid")


def test_asking_for_a_route_sends_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        assert addresses.own_address("127.0.0.1", listener.getsockname()[1]) == "127.0.0.1"
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.recv(1)
