"""Pictures of fitted models; matplotlib is imported when one is drawn."""

from ._margin_display import MarginDisplay

__all__ = ["MarginDisplay"]
