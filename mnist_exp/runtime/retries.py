"""How long what does not answer is waited for, and how often it is asked again: tenacity's loops with our figures.

Three loops are not here, because they repeat no single call: `tracking.uploader` shares one deadline among many calls,
of which one may still hang; `data.download` goes through all mirrors before it asks the first one again; and `sweeps`
waits for runs of others to end, where nothing has failed.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tenacity

PATIENCE_S = 60.0  # of a run for its store, or for the database of its search
RETRY_S = 2.0


def while_away(patience_s: float, is_away: Callable[[BaseException], bool]) -> "tenacity.Retrying":
    """Return a loop that makes a call again while what it asks is away; at the end it raises the call's own error.

    Args:
        patience_s: for how long; no attempt begins later.
        is_away: whether an error means that it may come back.
    """
    import tenacity

    return tenacity.Retrying(
        stop=tenacity.stop_before_delay(patience_s),
        wait=tenacity.wait_fixed(RETRY_S),
        retry=_if_failed(is_away),
        reraise=True,
    )


def after_race(
    attempts: int, wait_s: tuple[float, float], is_lost: Callable[[BaseException], bool]
) -> "tenacity.Retrying":
    """Return a loop that makes a call again that another process was quicker with; it raises the call's own error.

    Args:
        attempts: how often the call is made at the most.
        wait_s: bounds of the wait, which is drawn, so that two losers do not meet again.
        is_lost: whether an error comes from such a race.
    """
    import tenacity

    return tenacity.Retrying(
        stop=tenacity.stop_after_attempt(attempts),
        wait=tenacity.wait_random(*wait_s),
        retry=_if_failed(is_lost),
        reraise=True,
    )


def _if_failed(is_worth_it: Callable[[BaseException], bool]) -> "tenacity.retry_if_exception":
    import tenacity

    # tenacity asks of KeyboardInterrupt and SystemExit too.
    return tenacity.retry_if_exception(lambda error: isinstance(error, Exception) and is_worth_it(error))
