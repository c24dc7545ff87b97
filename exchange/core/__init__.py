"""What a node decides: pure functions of state, event, now and rules. No I/O, clock or chance."""
