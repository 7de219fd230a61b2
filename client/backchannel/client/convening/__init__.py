"""What a facilitator draws up: kinds, charters, places of a channel, a file that says it all."""
