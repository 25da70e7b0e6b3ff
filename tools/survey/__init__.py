"""What shipped libraries compute as sinusoidal positions, measured on their own code."""
