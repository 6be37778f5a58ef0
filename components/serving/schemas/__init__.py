"""Bodies, answers and problems as documented types."""
