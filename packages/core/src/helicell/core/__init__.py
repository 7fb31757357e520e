"""What proteins and cells share: spaces, paths, dynamics, training, reproducible runs and the command line."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from helicell.core.citations import cite

__all__ = ["cite"]


def __getattr__(name: str) -> Any:
    """Import what is exported here when it is first asked for, so that importing a part stays fast."""
    if name == "cite":
        from helicell.core.citations import cite

        return cite
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
