"""Whether a challenger replaces the champion: comparison, gate, report, rollback."""
