"""Whether a challenger becomes champion: comparison, gate, report. Knows no Prefect."""
