"""Rectification: a backbone flow is trained again on the pairs that it itself connects, so that few steps will do."""

from helicell.protein.model import WEIGHTS
from helicell.protein.rectification.rectifying import rectify_to_folder
from helicell.protein.rectification.settings import RectificationSettings
from helicell.protein.rectification.straightness import BackboneStraightness, backbone_straightness

RECIPE = WEIGHTS / "rectified.yaml"

__all__ = [
    "RECIPE",
    "BackboneStraightness",
    "RectificationSettings",
    "backbone_straightness",
    "rectify_to_folder",
]
