"""What is kept on this side: read, shown, brought out, carried, and let go of."""
