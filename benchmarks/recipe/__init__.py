"""What each part of the forecasting recipe is worth: backtests of several sets by the product's own functions."""
