"""A round with a channel: what is owed goes out, what relays hold comes in, what time asks for."""
