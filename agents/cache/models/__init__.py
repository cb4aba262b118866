"""Answers that may be given again, and what is known of how well that goes."""

from agents.cache.models.entries import CacheEntry, CacheEpoch, EntryTag
from agents.cache.models.learning import Calibration, Trial

__all__ = ["CacheEntry", "CacheEpoch", "Calibration", "EntryTag", "Trial"]
