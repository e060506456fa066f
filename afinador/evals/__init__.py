"""How good a model is: likelihood, generated answers, and base against tuned. Knows no run and no service."""
