"""What drives the forecasts: of a model as a whole, and of single forecasts."""
