"""Other services' shapes: what their clients send and read, over what the other rooms do."""
