"""Position schemes: one class for each way to tell a model where its tokens stand.

A new scheme is a module with a subclass of :class:`PositionScheme`, and an entry here.
"""

from .absolute import Learned, Sinusoidal
from .alibi import Alibi
from .none import NoPositions
from .nope_every_4 import NopeEvery4
from .rope import Rope
from .scheme import PositionScheme, TokensOnly
from .t5 import T5
from .two_bases import TwoBases

#: Each scheme by the name that a configuration's ``position`` calls it.
POSITION_SCHEMES: dict[str, type[PositionScheme]] = {
    "none": NoPositions,
    "sinusoidal": Sinusoidal,
    "learned": Learned,
    "rope": Rope,
    "alibi": Alibi,
    "t5": T5,
    "nope_every_4": NopeEvery4,
    "two_bases": TwoBases,
}

__all__ = ["POSITION_SCHEMES", "PositionScheme", "TokensOnly"]
