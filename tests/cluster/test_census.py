"""Counting room, and telling who holds the rest."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cluster.census import Holding, Node, room_of


def node(name, total, free, kind="CPU"):
    return Node(
        node_id=name, address=f"10.0.0.{name}", port=1, total={kind: total}, free={kind: free}
    )


def holding(owner, name, number, kind="CPU"):
    return Holding(owner=owner, node_id=name, resources={kind: number})


def test_each_owner_is_named_once_with_all_its_nodes():
    nodes = [node("1", 4, 0), node("2", 2, 1), node("3", 8, 8)]
    held = [holding("a", "1", 2), holding("b", "1", 1), holding("a", "2", 1), holding("a", "1", 1)]
    room = room_of(nodes, held, "cpu")
    assert (room.free, room.total) == (9, 14)
    assert room.holders == (
        "job a: 3 CPUs on 10.0.0.1, 1 CPU on 10.0.0.2",
        "job b: 1 CPU on 10.0.0.1",
    )


def test_what_no_group_and_no_actor_holds_is_tasks():
    room = room_of([node("1", 4, 0.5)], [holding("a", "1", 2)], "cpu")
    assert room.holders == ("job a: 2 CPUs on 10.0.0.1", "tasks: 1.5 CPUs on 10.0.0.1")


def test_parts_of_a_cpu_on_two_nodes_are_no_room_for_a_worker():
    assert room_of([node("1", 1, 0.5), node("2", 1, 0.5)], [], "cpu").free == 0


def test_gpus_are_counted_by_themselves():
    nodes = [node("1", 4, 1, kind="GPU"), node("2", 16, 16)]
    room = room_of(nodes, [holding("a", "1", 3, kind="GPU"), holding("b", "2", 9)], "gpu")
    assert (room.free, room.total) == (1, 4)
    assert room.holders == ("job a: 3 GPUs on 10.0.0.1",)


def test_holdings_elsewhere_are_none_of_these_nodes_concern():
    assert room_of([node("1", 4, 4)], [holding("a", "gone", 2)], "cpu").holders == ()


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=5),
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 8)), max_size=8),
)
def test_nobody_is_said_to_hold_more_than_is_taken(sizes, claims):
    nodes = [node(str(i), max(s), min(s)) for i, s in enumerate(sizes)]
    held = [holding(f"j{i}", str(where), number) for i, (where, number) in enumerate(claims)]
    room = room_of(nodes, held, "cpu")
    named = [part for text in room.holders for part in text.split(": ")[1].split(", ")]
    assert sum(float(part.split()[0]) for part in named) == room.total - room.free
