"""What the Hydra that is installed wants to be told, and does by itself: 1.3 and 1.4 differ."""

import hydra

IS_1_3 = hydra.__version__.startswith("1.3.")

# Hydra 1.3 warns where version_base is missing, 1.4 where it is given; it has the same defaults without it.
BASE: dict[str, str] = {"version_base": "1.3"} if IS_1_3 else {}
