"""The words of the house as frozen records; everything that passes between rooms is one of these."""
