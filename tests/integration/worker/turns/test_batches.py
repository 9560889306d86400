"""A chunk of a batch that is passed again and again gets on, whatever its first inputs are."""

from __future__ import annotations

from app.infra.repositories import work
from tests.batch_kit import contents, lines, over_members, row_of, trained
from tests.integration.worker.conftest import LIGHT, training
from tests.worker_kit import Kit, organisation
from worker.trainer import endings
from worker.trainer.attempt import Attempt
from worker.trainer.context import Context, MadeWayError, open_context
from worker.trainer.kinds import KINDS, batch
from worker.trainer.lease import Lease

GOOD, BAD = 20, 40


def test_what_cannot_be_decoded_is_found_out_in_one_turn_only(kit: Kit) -> None:
    with training(kit, LIGHT):
        _, model = trained(kit, contents(8))
    members = [*contents(BAD, b"bad slow "), *contents(GOOD, b"slow ")]
    asked = over_members(kit, model, members, chunk=len(members))
    organisation(kit, "bolt")
    kit.commit(lambda session: work.add(session, "embed", organisation_id="bolt", payload={}))
    context = open_context(kit.settings, child=LIGHT)
    try:
        turns = 1
        while turns < 20 and passed(kit, context):
            turns += 1
    finally:
        context.close()
    assert turns == 1 + (BAD + GOOD) // 16, "sixteen inputs a turn, and what is left"
    found = row_of(kit, asked)
    assert (found.status, found.done, found.failed) == ("succeeded", BAD + GOOD, BAD)
    said = lines(kit, asked)
    assert ["error" in one for one in said] == [True] * BAD + [False] * GOOD
    assert said[0]["error"] == {"code": "image_invalid", "message": "bad"}


def passed(kit: Kit, context: Context) -> bool:
    """Whether a turn of the chunk had to make way."""
    claim = kit.commit(
        lambda session: work.claim(session, worker="w", kinds=["batch"], lease_seconds=600)
    )
    assert claim is not None
    assert kit.commit(lambda session: batch.begin(session, claim))
    with Lease(kit.sessions, claim, kit.settings, lambda: None) as lease:
        try:
            batch.run(Attempt(context, claim, lease, makes_way_to=KINDS))
        except MadeWayError as error:
            put_off = error
            kit.commit(lambda session: endings.conclude(session, claim, put_off))
            return True
    return False
