"""A checkpoint's weights: joined, cut anew, exported, proven. Knows neither verl nor Ray."""
