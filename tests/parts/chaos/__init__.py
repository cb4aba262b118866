"""An app for platforms that tests break (`tests/chaos`): agents whose steps leave a trace, and faults to choose."""
