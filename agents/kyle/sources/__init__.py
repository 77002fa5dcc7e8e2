"""Where market data comes from: the port, its implementations, and their register."""
