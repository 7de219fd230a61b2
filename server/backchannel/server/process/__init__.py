"""How a relay lives as one process or several: sockets, signals, beginning anew; no request."""
