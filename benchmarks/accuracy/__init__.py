"""How well the product forecasts several sets of sales, against specialists, and what each part of it is worth."""
