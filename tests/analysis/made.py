"""Features made with a known answer."""

import numpy as np

from igc.analysis import CUES


def faces(people=48, each=6, planted=None, seed=0, parts=2, width=4):
    """(features by component, who is seen): `planted` is {component: (number of the code, strength)}."""
    draw = np.random.default_rng(seed)
    who = np.repeat(np.arange(people), each)
    codes = draw.normal(size=(3, people, 3))
    made = {}
    for component in [(m, cue) for m in range(parts) for cue in CUES]:
        values = draw.normal(size=(len(who), width))
        if component in (planted or {}):
            code, strength = planted[component]
            values[:, :3] += strength * codes[code][who]
        made[component] = values @ draw.normal(size=(width, width))
    return made, who
