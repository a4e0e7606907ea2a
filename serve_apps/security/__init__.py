"""Who may call: API keys, their scopes and rates, and the layer in front of all paths that asks for them."""
