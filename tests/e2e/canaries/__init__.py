"""What callers and operators want kept, planted everywhere and looked for where it must not be."""
