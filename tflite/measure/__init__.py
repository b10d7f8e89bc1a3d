"""What files cost: time, operators, precisions."""
