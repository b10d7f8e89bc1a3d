"""Sources as a training takes them: what they hold, what is wrong with them, what they allow, prepared pictures."""
