"""What a run changes of the defaults, for a person."""

import shlex

from mnist_exp.config.schema import Settings
from mnist_exp.runtime.redaction import redact

_NO_CHANGE = ("hydra", "resume=")  # of the experiment


def shown(settings: Settings) -> dict[str, str]:
    """Return what was changed as a row of the screen, as it was typed and without secrets; none if nothing was.

    The values from before are not shown: composing a second time, without the overrides, takes 70 ms.
    """
    changes = [redact(text) for text in settings.overrides if not text.lstrip("+~").startswith(_NO_CHANGE)]
    return {"changed": shlex.join(changes)} if changes else {}
