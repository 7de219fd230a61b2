"""The way to one relay: connections, their pace and patience, a proxy, authentic answers."""
