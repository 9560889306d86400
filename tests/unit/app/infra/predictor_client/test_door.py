"""Who is refused at the door: as the predictor said it, for as long, and nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from app.core import messages
from app.core.errors import HeadstartError
from app.core.messages import Call, Input, Options, Target, WaitTooLongError
from app.infra.predictor_client import Answer, PredictorClient
from app.infra.predictor_client.door import Door, served_by

TARGET = Target(model="m", backbone="b", artifact="a/b", sha256="0")
OTHER = Target(model="n", backbone="b", artifact="c/d", sha256="0")
UNCACHED = Options(cache=False)


def call(
    *, tenant: str = "t", target: Target = TARGET, options: Options = UNCACHED, inputs: int = 1
) -> Call:
    pictures = (Input("image", b"x"),) * inputs
    return Call(id="p", tenant=tenant, target=target, options=options, inputs=pictures)


def refusal(*, stands: float = 0.05, bears: float = 1.0, unsaid: bool = True) -> WaitTooLongError:
    return WaitTooLongError(
        "the wait", retry_after=0.5, stands=stands, bears=bears, unsaid=unsaid, step=0.01
    )


class World:
    """A door, and a clock that stands still."""

    def __init__(self, said: WaitTooLongError | None = None) -> None:
        self.now = 100.0
        self.door = Door(lambda: self.now)
        if said is not None:
            self.door.shut(call(), said)

    def after(self, asked: Call) -> float | None:
        """What a call is told at the door; None where it goes by."""
        try:
            served = served_by(asked.target)
            self.door.check(asked.tenant, served, asked.options, len(asked.inputs))
        except HeadstartError as error:
            return error.retry_after
        return None


def test_who_comes_next_is_told_the_same_and_to_return_after_those_before() -> None:
    world = World(refusal())
    told = [world.after(call()), world.after(call(inputs=5)), world.after(call())]
    assert told == pytest.approx([0.51, 0.52, 0.57])
    assert world.door.turned_away(call()) == (3, 7)
    assert world.door.turned_away(call()) == (0, 0)


def test_callers_see_nothing_of_how_long_it_stands() -> None:
    with pytest.raises(HeadstartError) as refused:
        World(refusal()).door.check("t", served_by(TARGET), UNCACHED, 1)
    assert (refused.value.code, refused.value.extra) == ("overloaded", {})
    assert refusal().extra == {}


def test_it_holds_no_longer_than_was_said() -> None:
    world = World(refusal(stands=0.02))
    world.now += 0.019
    assert world.after(call()) is not None
    world.now += 0.002
    assert world.after(call()) is None


def test_it_is_over_once_something_of_the_tenants_has_ended() -> None:
    world = World(refusal())
    world.door.open("another")
    assert world.after(call()) is not None
    world.door.open("t")
    assert world.after(call()) is None
    assert world.door.turned_away(call()) == (1, 1), "the predictor is yet to be told of them"


@pytest.mark.parametrize(
    "asked",
    [
        call(tenant="another"),
        call(target=OTHER),
        call(options=Options()),  # the cache may know it
        call(options=Options(cache=False, wait=30.0)),
        call(options=Options(cache=False, level=0.5)),  # which the model may not have
        call(options=Options(cache=False, levels={"a": 0.5})),
        call(inputs=0),
    ],
)
def test_who_might_be_told_something_else_goes_by(asked: Call) -> None:
    assert World(refusal()).after(asked) is None


def test_an_embedding_is_in_no_cache() -> None:
    world, embedding = World(), call(target=Target(model="", backbone="b", artifact="", sha256=""))
    world.door.shut(embedding, refusal())
    assert world.after(embedding) is not None


def test_few_calls_that_say_nothing_wait_on() -> None:
    """The first sixteen calls wait for as long as it takes: who asked for less was refused."""
    world = World(refusal(bears=0.2, unsaid=False))
    assert world.after(call()) is None
    assert world.after(call(options=Options(cache=False, wait=0.1))) is not None
    assert world.after(call(options=Options(cache=False, wait=0.3))) is None


def test_a_second_refusal_forgets_nobody_who_was_told_to_return() -> None:
    world = World(refusal())
    told = [world.after(call()) for _ in range(10)]
    world.door.shut(call(), refusal())
    assert world.after(call()) == pytest.approx(told[-1] + 0.01)
    assert world.door.turned_away(call()) == (11, 11)


def test_a_refusal_crosses_the_hop_as_it_is() -> None:
    said = refusal(bears=0.3, unsaid=False)
    read = messages.read_error(messages.to_json(messages.error_body(said)))
    assert isinstance(read, WaitTooLongError)
    assert (read.code, read.message, read.retry_after) == ("overloaded", "the wait", 0.5)
    assert read.told == said.told


class Hop(PredictorClient):
    """A client whose predictor answers as it is told, and notes what it was asked."""

    def __init__(self, answer: Callable[[], Answer]) -> None:
        super().__init__("unix:/nowhere", limit=100)
        self.asked: list[Call] = []
        self._answer = answer

    async def _post(self, path: str, pieces: list[bytes | memoryview], seconds: float) -> Answer:
        self.asked.append(messages.decode(b"".join(pieces)))
        return self._answer()


def _ask(client: PredictorClient, times: int) -> list[str]:
    async def ask() -> list[str]:
        told = []
        for _ in range(times):
            try:
                await client.predict(call())
                told.append("ok")
            except HeadstartError as error:
                told.append(error.code)
        return told

    return asyncio.run(ask())


def test_the_predictor_is_not_asked_again_and_is_told_of_those_it_did_not_see() -> None:
    body = messages.to_json(messages.error_body(refusal(stands=60)))
    client = Hop(lambda: Answer(503, body, ""))
    assert _ask(client, 4) == ["overloaded"] * 4
    assert [one.turned_away for one in client.asked] == [(0, 0)]
    client._door.open("t")
    assert _ask(client, 1) == ["overloaded"]
    assert [one.turned_away for one in client.asked] == [(0, 0), (3, 3)]


def test_a_full_queue_or_a_call_that_gave_way_shuts_no_door() -> None:
    gone = HeadstartError("overloaded", "gave way to others", retry_after=1)
    client = Hop(lambda: Answer(503, messages.to_json(messages.error_body(gone)), ""))
    assert _ask(client, 3) == ["overloaded"] * 3
    assert len(client.asked) == 3
