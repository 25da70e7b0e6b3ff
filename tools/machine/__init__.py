"""What depends on the machine: its Python, browsers, fonts, Jupyter, processes and clock."""
