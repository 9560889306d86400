"""How long whoever queues may come to wait: the time is held, not the queue's length.

After CoDel (Nichols and Jacobson, Controlling Queue Delay, ACM Queue 10(5), 2012): how many may
wait follows from how fast they are served. Its drops would come late here, when a client has waited
for nothing; so who cannot be served in time is told as it comes, and only who was misjudged later.
"""

from __future__ import annotations

from app.core.messages import LONGEST_RETURN as LONGEST
from app.core.messages import WaitTooLongError

GRACE = 1.0
"""Seconds beyond its wait after which a call of which nothing has begun is sent away."""
STANDS = 0.05
"""The longest for which the app may tell others the same without asking."""
_MEMORY = 1 / 50
"""Of the pace, that one input's time replaces: some fifty inputs back, however they come."""
_MOST_RETURNS = 4096


class HeldWait:
    """What a queue's clock knows: the pace of its inputs, and who has been told to come back when.

    Every `now` is in seconds of one clock. Not thread-safe: whoever owns it holds a lock.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.pace = 0.0
        """Seconds an input takes while there is always one."""
        self._last_done = 0.0
        self._returns: dict[str, float] = {}

    def served(self, count: int, *, started: float, done: float) -> float:
        """So many inputs were served together; the seconds that they took beyond those before."""
        began, self._last_done = max(started, self._last_done), done
        taken = (done - began) / count
        kept = (1 - _MEMORY) ** count if self.pace else 0.0
        self.pace = kept * self.pace + (1 - kept) * taken
        return done - began

    def admit(
        self,
        tenant: str,
        ahead: int,
        *,
        wait: float,
        now: float,
        size: int,
        each: int = 1,
        unsaid: bool = False,
    ) -> None:
        """Raise overloaded if the answers to `ahead` others take longer than `wait`.

        Whoever has one other before it is let in: it cannot wait for less. `size` inputs come back,
        of which one takes the place of `each`; `unsaid`: the call itself says nothing of its wait.

        What is said holds for as long as the queue takes to come down to what the call bears.
        """
        late = self.pace * (ahead + 1) - wait
        if ahead > 1 and late > 0:
            raise WaitTooLongError(
                f"the wait would be longer than {wait:g} s; try again",
                retry_after=self.retry_after(tenant, size, now=now, late=late),
                stands=min(late, STANDS),
                bears=wait,
                unsaid=unsaid and wait == self.seconds,
                step=each * self.pace,
            )

    def turned_away(self, tenant: str, size: int, *, now: float) -> None:
        """The app has told so many inputs more to come back, one after another."""
        at = max(self._returns.get(tenant, 0.0), now)
        self._returns[tenant] = min(at + size * self.pace, now + LONGEST)

    def misjudged(self, waited: float, *, wait: float) -> bool:
        """Whether who was let in has waited so much longer that it had better be sent away."""
        return waited > wait + max(GRACE, 2 * self.pace)

    def retry_after(self, tenant: str, size: int, *, now: float, late: float) -> float:
        """Seconds after which there is room, `late` ones at least and after those who were told
        before: if all came back together, most of them would be sent away again.
        """
        if len(self._returns) >= _MOST_RETURNS:
            self._returns = {who: at for who, at in self._returns.items() if at > now}
        at = max(self._returns.get(tenant, 0.0), now + late)
        self._returns[tenant] = min(at + size * self.pace, now + LONGEST)
        return min(max(at - now, self.pace), LONGEST)
