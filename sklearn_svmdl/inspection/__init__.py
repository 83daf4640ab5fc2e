"""Pictures of fitted models; matplotlib is imported when one is drawn."""

from ._margin_display import MarginDisplay
from ._tube_display import TubeDisplay

__all__ = ["MarginDisplay", "TubeDisplay"]
