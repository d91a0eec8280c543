"""Networks and what is done with them."""
